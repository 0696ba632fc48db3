import { createECDH, createHash } from "node:crypto";
import { encodeBech32 } from "./bech32.ts";

/** A key pair of a sandbox account, made and derived by node:crypto. */
export interface AccountKey {
  readonly privateKeyHex: string;
  /** 33 bytes, compressed. */
  readonly publicKey: Buffer;
}

/** Makes a key pair, or derives the public key of the one given as 64 hex digits. */
export function accountKey(privateKeyHex?: string): AccountKey {
  const curve = createECDH("secp256k1");
  if (privateKeyHex === undefined) curve.generateKeys();
  else curve.setPrivateKey(Buffer.from(privateKeyHex, "hex"));
  return {
    privateKeyHex: curve.getPrivateKey("hex").padStart(64, "0"),
    publicKey: curve.getPublicKey(null, "compressed"),
  };
}

/** The account address of a public key: bech32 of RIPEMD160(SHA256(33 bytes)). */
export function addressOfPublicKey(publicKey: Uint8Array, prefix: string): string {
  const sha256 = createHash("sha256").update(publicKey).digest();
  return encodeBech32(prefix, createHash("ripemd160").update(sha256).digest());
}
