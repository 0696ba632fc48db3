import { createHash } from "node:crypto";
import { ripemd160 } from "@noble/hashes/legacy.js";
import { bech32 } from "@scure/base";
import { ZephError } from "../errors/zeph-error.ts";
import { type AddressOptions, DEFAULT_PREFIX, parsePrefix } from "./parse-address.ts";

// Parsing is a file of its own: it runs where there is no Node.
export { type AddressOptions, DEFAULT_PREFIX, isAddress, parseAddress, parsePrefix } from "./parse-address.ts";

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
