import { createPublicKey, type KeyObject, verify } from "node:crypto";
import { decodeGoBase64, GoBase64Error } from "./go-base64.ts";

/** Half of the order of secp256k1; a signature with a larger s is refused. */
const HALF_ORDER = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0n;
const SIGNATURE_BYTES = 64;
/** SubjectPublicKeyInfo of a compressed secp256k1 point, without the 33 bytes of the point. */
const SPKI_HEADER = Buffer.from("3036301006072a8648ce3d020106052b8104000a032200", "hex");

/**
 * Checks a request's signature as cosmos-sdk does, with node:crypto: exactly 64 bytes r ‖ s, low s, SHA-256 of the input.
 * @returns undefined when it is good, else the node's words for what is wrong
 */
export function verifySignature(publicKey: Uint8Array, input: Uint8Array, authorization: string): string | undefined {
  let signature: Buffer;
  try {
    signature = decodeGoBase64(authorization);
  } catch (error) {
    if (error instanceof GoBase64Error) return error.message;
    throw error;
  }
  if (signature.length !== SIGNATURE_BYTES) return "invalid signature";
  if (BigInt(`0x${signature.subarray(32).toString("hex")}`) > HALF_ORDER) return "invalid signature";
  const key = importPublicKey(publicKey);
  if (key === undefined) return "invalid signature";
  return verify("sha256", input, { key, dsaEncoding: "ieee-p1363" }, signature) ? undefined : "invalid signature";
}

/** OpenSSL takes nearly as long to import a key as to verify with it, and a test has few accounts and many requests. */
const imported = new Map<string, KeyObject>();
const MAX_IMPORTED = 1_000;

function importPublicKey(publicKey: Uint8Array): KeyObject | undefined {
  const hex = Buffer.from(publicKey).toString("hex");
  const known = imported.get(hex);
  if (known !== undefined) return known;
  try {
    const key = createPublicKey({ key: Buffer.concat([SPKI_HEADER, publicKey]), format: "der", type: "spki" });
    if (imported.size >= MAX_IMPORTED) imported.clear();
    imported.set(hex, key);
    return key;
  } catch {
    // Not a point of the curve: no signature can be good for it.
    return undefined;
  }
}
