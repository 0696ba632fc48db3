import { createHash, createHmac } from "node:crypto";
import { getPublicKey, hashes, recoverPublicKey, sign } from "@noble/secp256k1";
import type { Curve } from "./curve.ts";

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
