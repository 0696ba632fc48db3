import { createECDH, createPrivateKey, createPublicKey, sign, verify } from "node:crypto";
import { openKeyring } from "./keyring.mjs";

const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;

/** `signature create|verify TEXT`: signs the text as given, then timestamp, then endpoint account. */
export async function signatureCommand([command, text], flags) {
  if (text === undefined) throw new Error("accepts 1 arg(s), received 0");
  const account = flags["account-address"];
  const record = (await openKeyring(flags)).find(account);
  if (record === undefined) throw new Error(`${account}: key not found`);
  const message = Buffer.from(text + (flags.timestamp ?? "") + (flags["endpoint-account"] ?? ""));
  const jwk = jwkOf(record.privateKeyHex);
  if (command === "create") {
    const key = createPrivateKey({ key: jwk, format: "jwk" });
    process.stdout.write(`Address: ${record.address}\nSignature: ${signLow(message, key)}\n`);
  } else if (command === "verify") {
    const { d: _, ...open } = jwk;
    const key = createPublicKey({ key: open, format: "jwk" });
    const signature = Buffer.from(flags.signature ?? "", "base64");
    if (!verify("sha256", message, { key, dsaEncoding: "ieee-p1363" }, signature)) throw new Error("invalid signature");
    process.stdout.write("Signature verified\n");
  } else {
    throw new Error(`unknown command "${command}" for "inferenced signature"`);
  }
}

function signLow(message, key) {
  const signature = sign("sha256", message, { key, dsaEncoding: "ieee-p1363" });
  const s = BigInt(`0x${signature.subarray(32).toString("hex")}`);
  if (s > ORDER / 2n) signature.write((ORDER - s).toString(16).padStart(64, "0"), 32, "hex");
  return signature.toString("base64");
}

function jwkOf(privateKeyHex) {
  const curve = createECDH("secp256k1");
  curve.setPrivateKey(Buffer.from(privateKeyHex, "hex"));
  const point = curve.getPublicKey();
  const part = (bytes) => Buffer.from(bytes).toString("base64url");
  const d = part(Buffer.from(privateKeyHex, "hex"));
  return { kty: "EC", crv: "secp256k1", d, x: part(point.subarray(1, 33)), y: part(point.subarray(33)) };
}
