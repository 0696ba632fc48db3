import { createHash, createHmac } from "node:crypto";
import { createRequire } from "node:module";
import { ripemd160 } from "@noble/hashes/legacy.js";
import { getPublicKey, hashes, recoverPublicKey, sign } from "@noble/secp256k1";
import { bech32 } from "@scure/base";
import { ZephError } from "../errors.ts";
import { type AddressOptions, DEFAULT_PREFIX, parsePrefix } from "./endpoint.ts";

const COMPRESSED_KEY_BYTES = 33;

/**
 * The account address of a public key: bech32 of RIPEMD-160(SHA-256(key)). Throws `invalid_prefix`.
 *
 * @param publicKey compressed secp256k1 point, 33 bytes
 * @example toAddress(signer.publicKey, { prefix: "cosmos" }) // "cosmos1…"
 */
export function toAddress(publicKey: Uint8Array, { prefix = DEFAULT_PREFIX }: AddressOptions = {}): string {
  if (publicKey.length !== COMPRESSED_KEY_BYTES) {
    throw new ZephError("internal", { detail: "a compressed public key has 33 bytes" });
  }
  // Not node:crypto: its RIPEMD-160 is missing where Node is built against OpenSSL 3.0.0 to 3.0.6.
  const hash = ripemd160(createHash("sha256").update(publicKey).digest());
  return bech32.encode(parsePrefix(prefix), bech32.toWords(hash));
}

let active: Curve | undefined;

/**
 * The fastest implementation this runtime allows: libsecp256k1 as WebAssembly, about four times faster than
 * JavaScript (`bench/signer.mjs`), or JavaScript where WebAssembly is refused. Loaded on first use.
 */
export function activeCurve(): Curve {
  active ??= loadWasmCurve() ?? javascriptCurve;
  return active;
}

/** The operations of secp256k1 that signing needs. Arguments are validated by the callers. */
export interface Curve {
  readonly name: "wasm" | "javascript";
  /** @returns the compressed point, 33 bytes */
  publicKeyOf(privateKey: Uint8Array): Uint8Array;
  /**
   * ECDSA with the nonce of RFC 6979 (HMAC-SHA-256, no extra entropy) and low s.
   *
   * @param digest 32 bytes, already hashed
   * @returns r ‖ s, 32 bytes each, left-padded
   */
  signDigest(digest: Uint8Array, privateKey: Uint8Array): Uint8Array;
  /** The same signature and the recovery id behind it: r ‖ s ‖ v, 65 bytes. */
  signRecoverable(digest: Uint8Array, privateKey: Uint8Array): Uint8Array;
  /**
   * The key that made a signature, whatever it is.
   *
   * @param signature r ‖ s ‖ v, 65 bytes
   * @returns the compressed point; `undefined` when no key can have made it
   */
  recover(digest: Uint8Array, signature: Uint8Array): Uint8Array | undefined;
}

/** libsecp256k1 compiled to WebAssembly; `undefined` where the runtime cannot load it. */
export function loadWasmCurve(): Curve | undefined {
  const library = loadLibrary();
  if (library === undefined) return undefined;
  return {
    name: "wasm",
    publicKeyOf(privateKey) {
      const publicKey = library.pointFromScalar(privateKey, true);
      if (publicKey === null) throw new RangeError("not a valid scalar");
      return publicKey;
    },
    signDigest: (digest, privateKey) => library.sign(digest, privateKey),
    signRecoverable(digest, privateKey) {
      const { signature, recoveryId } = library.signRecoverable(digest, privateKey);
      const whole = new Uint8Array(65);
      whole.set(signature);
      whole[64] = recoveryId;
      return whole;
    },
    recover(digest, signature) {
      const recoveryId = signature[64];
      if (recoveryId !== 0 && recoveryId !== 1 && recoveryId !== 2 && recoveryId !== 3) return undefined;
      try {
        return library.recover(digest, signature.subarray(0, 64), recoveryId, true) ?? undefined;
      } catch {
        // Thrown for r or s of zero or above the order, and for a point that does not exist.
        return undefined;
      }
    },
  };
}

function loadLibrary(): typeof import("tiny-secp256k1") | undefined {
  try {
    // The package compiles its module while it is being loaded. An import statement would make that failure fatal, and
    // a dynamic import would make signers asynchronous.
    return createRequire(import.meta.url)("tiny-secp256k1") as typeof import("tiny-secp256k1");
  } catch {
    // WebAssembly is switched off (node --jitless, some edge runtimes), or a bundler left the package out.
    return undefined;
  }
}

// The library asks its user for the synchronous hashes; OpenSSL's double its speed.
hashes.sha256 = (message) => createHash("sha256").update(message).digest();
hashes.hmacSha256 = (key, message) => createHmac("sha256", key).update(message).digest();

/** secp256k1 in JavaScript: correct everywhere, slower, and not constant in time (see docs/threat-model.md). */
export const javascriptCurve: Curve = {
  name: "javascript",
  publicKeyOf: (privateKey) => getPublicKey(privateKey, true),
  signDigest: (digest, privateKey) => sign(digest, privateKey, { prehash: false, lowS: true, extraEntropy: false }),
  signRecoverable(digest, privateKey) {
    const options = { prehash: false, lowS: true, extraEntropy: false, format: "recovered" } as const;
    // The library puts the recovery id in front.
    const signature = sign(digest, privateKey, options);
    return Buffer.concat([signature.subarray(1), signature.subarray(0, 1)]);
  },
  recover(digest, signature) {
    try {
      const front = Buffer.concat([signature.subarray(64), signature.subarray(0, 64)]);
      return recoverPublicKey(front, digest, { prehash: false });
    } catch {
      // Thrown for r or s out of range, an impossible recovery id, and a point that does not exist.
      return undefined;
    }
  },
};
