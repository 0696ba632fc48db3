import { hash } from "node:crypto";
import { DEFAULT_PREFIX } from "../endpoint.ts";
import { activeCurve, toAddress } from "../secp256k1.ts";
import { DevshardRefusal } from "./rules.ts";

/** Signs for one account of a devshard: the escrow's creator, a host, or a host's warm key. */
export interface DevshardSigner {
  /** Bech32 address. */
  readonly address: string;
  /** Compressed point, 33 bytes. */
  readonly publicKey: Uint8Array;
  /**
   * Signs the SHA-256 of a message. Deterministic (RFC 6979), low s.
   *
   * @returns r ‖ s ‖ v, 65 bytes, v = 0 or 1
   */
  sign(message: Uint8Array): Uint8Array;
}

/** A signer that keeps its key in a closure, where no inspection and no JSON shows it. */
export function devshardSigner(
  privateKey: Uint8Array,
  { prefix = DEFAULT_PREFIX }: { readonly prefix?: string | undefined } = {},
): DevshardSigner {
  const key = privateKey.slice();
  const publicKey = activeCurve().publicKeyOf(key);
  return {
    address: toAddress(publicKey, { prefix }),
    publicKey,
    sign: (message) => activeCurve().signRecoverable(sha256(message), key),
  };
}

/** The part of a bech32 address that names its network. */
export function prefixOf(address: string): string {
  return address.slice(0, Math.max(address.lastIndexOf("1"), 0)) || DEFAULT_PREFIX;
}

const SIGNATURE_BYTES = 65;

/**
 * The address whose key signed the message. A signature over something else recovers to some other address, so the caller
 * compares. Throws a {@link DevshardRefusal} `unrecoverable_signature` in the words of a host.
 *
 * @param signature r ‖ s ‖ v, 65 bytes
 * @param prefix of the network's addresses
 */
export function recoverAddress(message: Uint8Array, signature: Uint8Array, prefix = DEFAULT_PREFIX): string {
  const fault = signatureFault(signature);
  if (fault !== undefined) throw new DevshardRefusal("unrecoverable_signature", fault);
  const digest = sha256(message);
  const key = `${latin1(digest)}${latin1(signature)}`;
  const known = recovered.get(key);
  if (known !== undefined) return addressOf(known, prefix);
  const publicKey = activeCurve().recover(digest, signature);
  if (publicKey === undefined)
    throw new DevshardRefusal("unrecoverable_signature", "ecrecover failed: recovery failed");
  remember(key, latin1(publicKey));
  return addressOf(latin1(publicKey), prefix);
}

function signatureFault(signature: Uint8Array): string | undefined {
  if (signature.length !== SIGNATURE_BYTES) return `invalid signature length: ${signature.length}`;
  return (signature[64] ?? 0) > 3 ? "ecrecover failed: invalid signature recovery id" : undefined;
}

/**
 * Recovering costs two hundred times as much as everything else about a transaction, and the same signature is asked for
 * more than once: when it arrives, when it is composed into a diff, and by every host that shares the process.
 */
const recovered = new Map<string, string>();
const MAX_RECOVERED = 8192;

function remember(key: string, publicKey: string): void {
  if (recovered.size >= MAX_RECOVERED) {
    const [oldest] = recovered.keys();
    if (oldest !== undefined) recovered.delete(oldest);
  }
  recovered.set(key, publicKey);
}

/** By prefix and key. A session meets a handful of keys again and again, and an address costs two hashes and a checksum. */
const addresses = new Map<string, string>();
const MAX_ADDRESSES = 1024;

function addressOf(publicKey: string, prefix: string): string {
  const key = `${prefix} ${publicKey}`;
  let address = addresses.get(key);
  if (address === undefined) {
    address = toAddress(Buffer.from(publicKey, "latin1"), { prefix });
    if (addresses.size >= MAX_ADDRESSES) addresses.clear();
    addresses.set(key, address);
  }
  return address;
}

/** What authenticates a POST to a host: `X-Devshard-Signature` and `X-Devshard-Timestamp`. */
interface RequestAuth {
  /** Decimal, as it stands in the path. */
  readonly escrowId: string;
  /** Exactly the bytes that are sent. */
  readonly body: Uint8Array;
  /** Unix time. A host takes what is at most 30 s off its clock. */
  readonly timestampSeconds: number | bigint;
}

/**
 * The 32 bytes that a request's signature is about: SHA-256 of escrow id ‖ body ‖ int64 seconds. The signature hashes them
 * once more. Source: gonka-ai/gonka `devshard/transport/auth.go`.
 */
export function requestDigest({ escrowId, body, timestampSeconds }: RequestAuth): Uint8Array {
  const seconds = Buffer.alloc(8);
  seconds.writeBigInt64BE(BigInt(timestampSeconds));
  return sha256(Buffer.concat([Buffer.from(escrowId, "utf8"), body, seconds]));
}

/** How far a request's time may be off the host's clock, both ways. */
const MAX_TIMESTAMP_DRIFT_SECONDS = 30;

/**
 * The address that signed a request, as a host finds it out. Throws a {@link DevshardRefusal} in the host's words: time out
 * of bounds, or a signature that no key can have made.
 *
 * @param hostClockSeconds Unix time of the host
 */
export function requestSigner(request: RequestAuth, signature: Uint8Array, hostClockSeconds: number): string {
  const drift = Math.abs(Number(request.timestampSeconds) - hostClockSeconds);
  if (drift > MAX_TIMESTAMP_DRIFT_SECONDS) {
    throw new DevshardRefusal("timestamp_drift", `${drift}s exceeds maximum ${MAX_TIMESTAMP_DRIFT_SECONDS}s`);
  }
  return recoverAddress(requestDigest(request), signature);
}

export function sha256(bytes: Uint8Array): Uint8Array {
  return hash("sha256", bytes, "buffer");
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}
