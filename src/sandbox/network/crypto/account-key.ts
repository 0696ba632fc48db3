import { createECDH, createHash, createPrivateKey, sign } from "node:crypto";
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

const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;

/** Signs as a node signs its identity: r ‖ s with low s, 64 bytes in base64. */
export function signWithAccountKey(key: AccountKey, message: Uint8Array): string {
  const curve = createECDH("secp256k1");
  curve.setPrivateKey(Buffer.from(key.privateKeyHex, "hex"));
  const point = curve.getPublicKey();
  const part = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64url");
  const d = part(Buffer.from(key.privateKeyHex, "hex"));
  const jwk = { kty: "EC", crv: "secp256k1", d, x: part(point.subarray(1, 33)), y: part(point.subarray(33)) };
  const privateKey = createPrivateKey({ key: jwk, format: "jwk" });
  const signature = sign("sha256", message, { key: privateKey, dsaEncoding: "ieee-p1363" });
  const s = BigInt(`0x${signature.subarray(32).toString("hex")}`);
  if (s > ORDER / 2n) signature.write((ORDER - s).toString(16).padStart(64, "0"), 32, "hex");
  return signature.toString("base64");
}
