import { createHash, createHmac } from "node:crypto";
import { getPublicKey, hashes, sign } from "@noble/secp256k1";
import type { Curve } from "./curve.ts";

// The library asks its user for the synchronous hashes; OpenSSL's double its speed.
hashes.sha256 = (message) => createHash("sha256").update(message).digest();
hashes.hmacSha256 = (key, message) => createHmac("sha256", key).update(message).digest();

/** secp256k1 in JavaScript: correct everywhere, slower, and not constant in time (see docs/threat-model.md). */
export const javascriptCurve: Curve = {
  name: "javascript",
  publicKeyOf: (privateKey) => getPublicKey(privateKey, true),
  signDigest: (digest, privateKey) => sign(digest, privateKey, { prehash: false, lowS: true, extraEntropy: false }),
};
