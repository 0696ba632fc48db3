import { ZephError } from "../errors/zeph-error.ts";
import { type AddressOptions, DEFAULT_PREFIX, parseAddress, toAddress } from "../protocol/address.ts";
import { signingDigest } from "../protocol/signing-input/signing-input.ts";
import { activeCurve } from "./active-curve.ts";
import { parsePrivateKey } from "./private-key.ts";

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
