import { createPublicKey, hash, type KeyObject, verify } from "node:crypto";
import { decodeBase64 } from "../base/json.ts";
import { ZephError } from "../errors.ts";

/** What goes into the signed text. */
interface SigningParts {
  /** The bytes as they go on the wire. Nothing may be parsed and written again between hashing and sending. */
  readonly body: Uint8Array;
  /** The decimal text of `X-Timestamp`; empty where a node leaves it out (header missing, unreadable or not positive). */
  readonly timestamp: string;
  /** Bech32 address of the node that is called. */
  readonly transferAddress: string;
}

/**
 * The bytes that are signed, before their hash: lower-case hex of SHA-256(body) ‖ timestamp ‖ transfer address, without
 * separators ("phase 3", network versions v0.2.6 to v0.2.13, 2025-12-22 to 2026-07-23). Does not validate: that is for
 * whoever signs or verifies. Source: gonka-ai/gonka 82c43a42, `decentralized-api/internal/server/public/utils.go:11-20`.
 */
export function signingInput({ body, timestamp, transferAddress }: SigningParts): Uint8Array {
  return Buffer.from(hash("sha256", body, "hex") + timestamp + transferAddress, "utf8");
}

/** SHA-256 of {@link signingInput}: the 32 bytes the curve signs. */
export function signingDigest(parts: SigningParts): Uint8Array {
  return hash("sha256", signingInput(parts), "buffer");
}

export interface SignatureToVerify {
  /** Of the account that signs: compressed secp256k1 point, 33 bytes. */
  readonly publicKey: Uint8Array;
  /** The body as received, byte for byte. */
  readonly body: Uint8Array;
  /** `X-Timestamp` as received; absent or unreadable counts as 0, and then no timestamp is in the signed text. */
  readonly timestamp: string | undefined;
  /** Address of the node that verifies: its own, whatever the client thinks. */
  readonly transferAddress: string;
  /** `Authorization` as received: base64, no scheme word. */
  readonly authorization: string;
}

/** `reason` is what a node writes after `Unable to validate request against PubKey:`. */
export type SignatureVerdict = { readonly valid: true } | { readonly valid: false; readonly reason: string };

const SIGNATURE_BYTES = 64;
const HALF_ORDER = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0n;
const INT64_MAX = 2n ** 63n - 1n;

/**
 * Verifies a request's signature as a node does, with OpenSSL and not with the code that signs: exactly 64 bytes, low s,
 * Go's standard base64. Source: cosmos-sdk `crypto/keys/secp256k1` `VerifySignature`, gonka-ai/gonka 8a35022b
 * `inference-chain/x/inference/calculations/signature_validate.go`.
 *
 * @example verifySignature({ publicKey, body, timestamp, transferAddress, authorization }).valid
 */
export function verifySignature(request: SignatureToVerify): SignatureVerdict {
  const decoded = decodeBase64(request.authorization);
  if (!decoded.ok) return { valid: false, reason: `illegal base64 data at input byte ${decoded.errorAt}` };
  const signature = decoded.bytes;
  const { body, transferAddress } = request;
  const input = signingInput({ body, timestamp: timestampText(request.timestamp), transferAddress });
  const valid =
    signature.length === SIGNATURE_BYTES &&
    hasLowS(signature) &&
    verify("sha256", input, { key: toKeyObject(request.publicKey), dsaEncoding: "ieee-p1363" }, signature);
  return valid ? { valid } : { valid, reason: "invalid signature" };
}

/** The node reads the header with Go's `ParseInt(text, 10, 64)`, takes 0 for whatever fails, and omits 0 and below. */
function timestampText(header: string | undefined): string {
  const value = header !== undefined && /^[+-]?\d+$/.test(header) ? BigInt(header.replace(/^\+/, "")) : 0n;
  return value > 0n && value <= INT64_MAX ? value.toString() : "";
}

function hasLowS(signature: Uint8Array): boolean {
  return BigInt(`0x${Buffer.from(signature.subarray(32)).toString("hex")}`) <= HALF_ORDER;
}

/** SubjectPublicKeyInfo of a compressed secp256k1 point, up to the point itself. */
const SPKI_HEAD = Buffer.from("3036301006072a8648ce3d020106052b8104000a032200", "hex");

function toKeyObject(publicKey: Uint8Array): KeyObject {
  try {
    return createPublicKey({ key: Buffer.concat([SPKI_HEAD, publicKey]), format: "der", type: "spki" });
  } catch (cause) {
    throw new ZephError("internal", { detail: "a public key is not a compressed secp256k1 point", cause });
  }
}
