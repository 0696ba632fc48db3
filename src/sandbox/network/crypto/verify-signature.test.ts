import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parseTimestampHeader, signingInput } from "./signing-input.ts";
import { verifySignature } from "./verify-signature.ts";

const vectors = JSON.parse(readFileSync(new URL("../../../../vectors/signing.json", import.meta.url), "utf8"));

describe("the sandbox's verification", () => {
  it("builds the input of every signing vector and accepts its signature", () => {
    expect(vectors.signing.length).toBeGreaterThan(0);
    for (const vector of vectors.signing.filter(({ phase }: { phase: number }) => phase === 3)) {
      const input = signingInput({
        body: Buffer.from(vector.body_base64, "base64"),
        timestampNanos: parseTimestampHeader(vector.expected_headers["X-Timestamp"]),
        transferAddress: vector.transfer_address,
      });
      expect(input.toString("hex"), vector.id).toBe(vector.expected_signing_input_hex);
      const publicKey = Buffer.from(vector.expected_public_key_hex, "hex");
      expect(verifySignature(publicKey, input, vector.expected_signature_base64), vector.id).toBeUndefined();
    }
  });

  it("accepts and refuses as every verification vector says", () => {
    expect(vectors.verification.length).toBeGreaterThan(0);
    for (const vector of vectors.verification) {
      const input = signingInput({
        body: Buffer.from(vector.body_base64, "base64"),
        timestampNanos: parseTimestampHeader(vector.timestamp_ns === "" ? undefined : vector.timestamp_ns),
        transferAddress: vector.transfer_address,
      });
      const problem = verifySignature(Buffer.from(vector.public_key_hex, "hex"), input, vector.authorization);
      expect(problem === undefined, vector.id).toBe(vector.expected_valid);
      if (problem !== undefined) expect(problem).toMatch(/^(invalid signature|illegal base64 data at input byte \d+)$/);
    }
  });

  it("refuses everything for bytes that are no point of the curve", () => {
    const { expected_signature_base64: signature } = vectors.signing[0];
    expect(verifySignature(Buffer.alloc(33, 5), Buffer.from("x"), signature)).toBe("invalid signature");
  });
});

describe("X-Timestamp", () => {
  it.each([
    ["1700000000000000001", 1_700_000_000_000_000_001n],
    ["+5", 5n],
    ["-5", -5n],
    ["007", 7n],
    ["9223372036854775807", 9_223_372_036_854_775_807n],
    ["9223372036854775808", 0n],
    ["1.0", 0n],
    ["1e3", 0n],
    ["1_000", 0n],
    [" 1", 0n],
    ["", 0n],
    [undefined, 0n],
  ])("%s is read as %s", (text, expected) => {
    expect(parseTimestampHeader(text)).toBe(expected);
  });

  it("is left out of the signed text when it is not above 0", () => {
    const input = (timestampNanos: bigint) =>
      signingInput({ body: Buffer.from("b"), transferAddress: "gonka1x", timestampNanos })
        .toString()
        .slice(64);
    expect(input(0n)).toBe("gonka1x");
    expect(input(-5n)).toBe("gonka1x");
    expect(input(5n)).toBe("5gonka1x");
  });
});
