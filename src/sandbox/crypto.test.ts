import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import {
  accountKey,
  addressOfPublicKey,
  decodeBech32,
  decodeGoBase64,
  encodeBech32,
  parseTimestampHeader,
  signingInput,
  signWithAccountKey,
  verifySignature,
} from "./crypto.ts";

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

const vectors = JSON.parse(readFileSync(new URL("../../vectors/signing.json", import.meta.url), "utf8"));

describe("sandbox addresses", () => {
  it("derives every address vector from its private key", () => {
    expect(vectors.address.length).toBeGreaterThan(0);
    for (const vector of vectors.address) {
      const key = accountKey(vector.private_key_hex);
      expect(key.publicKey.toString("hex")).toBe(vector.public_key_hex);
      expect(addressOfPublicKey(key.publicKey, vector.prefix)).toBe(vector.expected_address);
      expect(addressOfPublicKey(key.publicKey, "cosmos")).toBe(vector.same_key_cosmos_prefix);
      expect(addressOfPublicKey(key.publicKey, "gonkavaloper")).toBe(vector.same_key_gonkavaloper);
    }
  });

  it("refuses the texts that are no address, or no address of this network", () => {
    for (const { address, why } of vectors.invalid_addresses) {
      const decoded = decodeBech32(address);
      const isAccount = decoded?.prefix === "gonka" && decoded.bytes.length === 20;
      expect(isAccount, why).toBe(false);
    }
  });

  it("gives a private key with leading zeros all its 64 digits", () => {
    expect(accountKey("1".padStart(64, "0")).privateKeyHex).toBe("1".padStart(64, "0"));
  });

  it("reads back what it wrote, upper case too", () => {
    const bytes = Uint8Array.from({ length: 20 }, (_, index) => index * 13);
    const text = encodeBech32("gonka", bytes);
    expect(decodeBech32(text)).toEqual({ prefix: "gonka", bytes });
    expect(decodeBech32(text.toUpperCase())).toEqual({ prefix: "gonka", bytes });
  });

  it.each([
    ["one letter changed", (text: string) => `${text.slice(0, -1)}${text.endsWith("q") ? "p" : "q"}`],
    ["mixed case", (text: string) => text.replace("gonka", "Gonka")],
    ["no separator", (text: string) => text.replace("1", "")],
    ["a letter outside the alphabet", (text: string) => `${text.slice(0, -3)}b${text.slice(-2)}`],
    ["nothing", () => ""],
  ])("refuses %s", (_, change) => {
    expect(decodeBech32(change(encodeBech32("gonka", new Uint8Array(20))))).toBeUndefined();
  });
});

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

describe("decodeGoBase64", () => {
  it.each([
    ["", ""],
    ["AA==", "00"],
    ["AAE=", "0001"],
    ["AAEC", "000102"],
    ["AA\r\nEC\n", "000102"],
    ["AA=\n=", "00"],
    // Bits that no byte uses are ignored.
    ["AB==", "00"],
    ["+/+/", "fbffbf"],
  ])("decodes %j", (text, hex) => {
    expect(decodeGoBase64(text).toString("hex")).toBe(hex);
  });

  it.each([
    ["AA", 0],
    ["AAE", 0],
    ["AAECAA", 4],
    ["A", 0],
    ["-_-_", 0],
    ["AAE_", 3],
    ["=", 0],
    ["A=", 1],
    ["AA=", 3],
    ["AA=A", 2],
    ["AA==AA==", 4],
    ["AAE=x", 4],
    [" AAEC", 0],
  ])("refuses %j at byte %i", (text, position) => {
    expect(() => decodeGoBase64(text)).toThrow(`illegal base64 data at input byte ${position}`);
  });
});
