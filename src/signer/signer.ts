import { ZephError } from "../errors.ts";
import { signingDigest } from "../wire/classic.ts";
import { type AddressOptions, DEFAULT_PREFIX, parseAddress } from "../wire/endpoint.ts";
import { activeCurve, toAddress } from "../wire/secp256k1.ts";

export interface SignRequest {
  /** Exactly the bytes that go on the wire; a string stands for its UTF-8 bytes. */
  readonly body: Uint8Array | string;
  /**
   * Nanoseconds since 1970, from 1 to 2⁶³−1, never used twice with one key; or the decimal text that `X-Timestamp` says.
   * No number: it cannot hold 19 digits.
   */
  readonly timestampNanos: bigint | string;
  /** Bech32 address of the node the request goes to, with the signer's prefix. */
  readonly transferAddress: string;
}

export type SignerOptions = AddressOptions;

const MASK = "[redacted]";
const INT64_MAX = 2n ** 63n - 1n;

/**
 * Signs requests for Gonka nodes with a secp256k1 key, which it keeps to itself: no property, no inspection and no JSON
 * shows it.
 *
 * @example
 * ```ts
 * using signer = RequestSigner.fromHex(keyHex);
 * headers.set("authorization", signer.sign({ body, timestampNanos, transferAddress }));
 * headers.set("x-requester-address", signer.address);
 * headers.set("x-timestamp", timestampNanos.toString());
 * ```
 */
export class RequestSigner {
  /** Bech32 account address, the value of `X-Requester-Address`. */
  readonly address: string;
  /** Address prefix of the network this signer works for. */
  readonly prefix: string;
  readonly #publicKey: Uint8Array;
  #privateKey: Uint8Array | undefined;

  private constructor(privateKey: Uint8Array, prefix: string) {
    this.#privateKey = privateKey;
    this.#publicKey = activeCurve().publicKeyOf(privateKey);
    this.prefix = prefix;
    this.address = toAddress(this.#publicKey, { prefix });
  }

  /**
   * @param hex 64 hex digits, or another spelling `parsePrivateKey` takes. Throws `invalid_private_key`.
   * @param options prefix of the network, default `gonka`. Throws `invalid_prefix`.
   */
  static fromHex(hex: string, options: SignerOptions = {}): RequestSigner {
    const { prefix = DEFAULT_PREFIX } = options;
    const privateKey = parsePrivateKey(hex);
    try {
      return new RequestSigner(privateKey, prefix);
    } catch (error) {
      privateKey.fill(0);
      throw error;
    }
  }

  /** Compressed point, 33 bytes; a copy. */
  get publicKey(): Uint8Array {
    return this.#publicKey.slice();
  }

  /**
   * The value of `Authorization`: standard base64 of r ‖ s, always 88 characters. Deterministic (RFC 6979), low s.
   * Throws `invalid_address` when `transferAddress` is not an address of the signer's network, `unsupported_body` for
   * anything but bytes and strings, and `internal` for a timestamp out of range or a disposed signer.
   */
  sign({ body, timestampNanos, transferAddress }: SignRequest): string {
    const privateKey = this.#privateKey;
    if (privateKey === undefined) {
      throw new ZephError("internal", {
        detail: "the signer was disposed and holds no key any more",
        hint: "Make a new RequestSigner from the key.",
      });
    }
    const parts = {
      body: bodyBytes(body),
      timestamp: timestampText(timestampNanos),
      transferAddress: parseAddress(transferAddress, { prefix: this.prefix }),
    };
    const digest = signingDigest(parts);
    return Buffer.from(activeCurve().signDigest(digest, privateKey)).toString("base64");
  }

  /** Zeroes the key. Address and public key stay readable; signing throws from now on. */
  dispose(): void {
    this.#privateKey?.fill(0);
    this.#privateKey = undefined;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  toString(): string {
    return `RequestSigner(${this.address})`;
  }

  toJSON(): Record<string, string> {
    return { address: this.address, privateKey: MASK };
  }

  /** Node's `util.inspect` asks for this symbol. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }
}

function bodyBytes(body: Uint8Array | string): Uint8Array {
  if (typeof body === "string") return Buffer.from(body, "utf8");
  // By its tag: an array of another realm (a worker's, a test runner's) is no instance of this one's class.
  if (Object.prototype.toString.call(body) === "[object Uint8Array]") return body;
  throw new ZephError("unsupported_body", { detail: "a signature is for a string or a Uint8Array" });
}

/** No leading zeros or signs: a node writes the number anew, and the signed text must be what it writes. */
function timestampText(timestampNanos: bigint | string): string {
  const text = typeof timestampNanos === "bigint" ? timestampNanos.toString() : timestampNanos;
  if (typeof text === "string" && /^[1-9]\d{0,18}$/.test(text) && BigInt(text) <= INT64_MAX) return text;
  throw new ZephError("internal", {
    detail: "timestampNanos must be a bigint, or its decimal text, from 1 to 9223372036854775807",
  });
}

const KEY_BYTES = 32;
const HEX_DIGITS = 2 * KEY_BYTES;

/** Order n of secp256k1, big-endian. A private key d satisfies 1 <= d < n. */
const ORDER = Buffer.from("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141", "hex");

const MNEMONIC_LENGTHS: ReadonlySet<number> = new Set([12, 15, 18, 21, 24]);
const BROKER_KEY = /^(?:Bearer\s+)?(?:gpm?|gnk-sk|jg|obk|sk)-/i;

/**
 * Reads a private key: 64 hex digits (upper case and a leading `0x` are fine) or base64 of 32 bytes, with blanks around
 * it. Everything else throws `invalid_private_key`, with a hint for recovery words and broker keys. No part of the text
 * is ever repeated.
 *
 * @returns 32 bytes that belong to the caller, who should zero them after use
 */
export function parsePrivateKey(text: string): Uint8Array {
  if (typeof text !== "string") throw refuse("it is not text");
  const trimmed = text.trim();
  const bytes = decodeHex(trimmed) ?? decodeBase64Key(trimmed);
  if (bytes === undefined) throw explain(trimmed);
  if (!isScalar(bytes)) {
    bytes.fill(0);
    throw refuse("its value is outside the range of the curve");
  }
  return bytes;
}

function decodeHex(text: string): Uint8Array | undefined {
  const digits = withoutHexPrefix(text);
  return digits.length === HEX_DIGITS && isHex(digits) ? hexToBytes(digits) : undefined;
}

function decodeBase64Key(text: string): Uint8Array | undefined {
  if (!/^[A-Za-z0-9+/]{43}=$/.test(text)) return undefined;
  const buffer = Buffer.from(text, "base64");
  // The last character carries two unused bits; with those set, the text was not made from 32 bytes.
  const canonical = buffer.toString("base64") === text;
  const bytes = canonical ? Uint8Array.from(buffer) : undefined;
  buffer.fill(0);
  return bytes;
}

function isScalar(bytes: Uint8Array): boolean {
  if (bytes.every((byte) => byte === 0)) return false;
  const different = bytes.findIndex((byte, index) => byte !== ORDER[index]);
  return different >= 0 && (bytes[different] ?? 0) < (ORDER[different] ?? 0);
}

function explain(text: string): ZephError {
  if (text === "") return refuse("it is empty");
  if (BROKER_KEY.test(text)) {
    return refuse(
      "it looks like a broker's API key",
      "A broker key belongs to the gateway path: run `zeph init` and choose Gonka (gateway).",
    );
  }
  const words = text.split(/\s+/);
  if (MNEMONIC_LENGTHS.has(words.length) && words.every((word) => /^\p{L}+$/u.test(word))) {
    return refuse(
      "it looks like recovery words",
      "zeph takes no recovery words. Run `inferenced keys add NAME --recover --keyring-backend BACKEND`, enter them there, then give the key that " +
        "`inferenced keys export NAME --unarmored-hex --unsafe --keyring-backend BACKEND` prints.",
    );
  }
  const digits = withoutHexPrefix(text);
  if (!isHex(digits)) return refuse("it has characters that are not hex digits");
  return refuse(`it has ${digits.length} hex digits instead of ${HEX_DIGITS}`);
}

function refuse(detail: string, hint?: string): ZephError {
  return new ZephError("invalid_private_key", hint === undefined ? { detail } : { detail, hint });
}

function withoutHexPrefix(text: string): string {
  return text.replace(/^0x/i, "");
}

function isHex(text: string): boolean {
  return /^[0-9a-f]+$/i.test(text);
}

/** Not through a Buffer: small ones share memory, and a key must have its own to be zeroed. */
function hexToBytes(digits: string): Uint8Array {
  const bytes = new Uint8Array(digits.length / 2);
  for (let index = 0; index < bytes.length; index++) {
    bytes[index] = Number.parseInt(digits.slice(2 * index, 2 * index + 2), 16);
  }
  return bytes;
}
