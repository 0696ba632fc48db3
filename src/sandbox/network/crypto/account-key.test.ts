import { describe, expect, it } from "vitest";
import { accountKey, signWithAccountKey } from "./account-key.ts";
import { verifySignature } from "./verify-signature.ts";

describe("signWithAccountKey", () => {
  it("makes signatures that the network's own rules accept, for every message", () => {
    const key = accountKey();
    const other = accountKey();
    for (let index = 0; index < 32; index += 1) {
      const message = Buffer.from(`message ${index}`);
      const signature = signWithAccountKey(key, message);
      expect(verifySignature(key.publicKey, message, signature)).toBeUndefined();
      expect(verifySignature(other.publicKey, message, signature)).toBe("invalid signature");
    }
  });
});
