import fc from "fast-check";
import { test } from "vitest";
import { verifySignature } from "../wire/classic.ts";
import { RequestSigner } from "./signer.ts";

const signer = RequestSigner.fromHex("65fdc4cd64c7f63c2a8bf399a0dcee44b2fadc8a8ce34e31c82adc7816f2f87b");
const node = RequestSigner.fromHex("42".repeat(32));

const requests = fc.record({
  key: fc.uint8Array({ minLength: 32, maxLength: 32 }).filter((bytes) => bytes.some((b) => b > 0) && bytes[0] !== 0xff),
  body: fc.uint8Array({ maxLength: 300 }),
  timestampNanos: fc.bigInt({ min: 1n, max: 2n ** 63n - 1n }),
});

test("whatever is signed verifies, and with any one bit changed it does not", () => {
  fc.assert(
    fc.property(requests, fc.nat(511), ({ key, body, timestampNanos }, bit) => {
      const own = RequestSigner.fromHex(Buffer.from(key).toString("hex"));
      const authorization = own.sign({ body, timestampNanos, transferAddress: node.address });
      const request = {
        publicKey: own.publicKey,
        body,
        timestamp: timestampNanos.toString(),
        transferAddress: node.address,
        authorization,
      };
      const flipped = Buffer.from(authorization, "base64");
      flipped.writeUInt8(flipped.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      return (
        authorization.length === 88 &&
        verifySignature(request).valid &&
        !verifySignature({ ...request, authorization: flipped.toString("base64") }).valid &&
        !verifySignature({ ...request, body: Buffer.concat([body, Buffer.of(10)]) }).valid &&
        !verifySignature({ ...request, timestamp: `${timestampNanos ^ 1n}` }).valid &&
        !verifySignature({ ...request, transferAddress: signer.address }).valid
      );
    }),
    { numRuns: 40 },
  );
});
