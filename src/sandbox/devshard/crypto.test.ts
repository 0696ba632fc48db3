import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { canonical, devshardKey, hashOfPrompt, signerOf, UnrecoverableSignature } from "./crypto.ts";

const files = ["devshard-base.json", "devshard.json"].map((name) =>
  JSON.parse(readFileSync(new URL(`../../../vectors/${name}`, import.meta.url), "utf8")),
);
const keys = files.flatMap(({ keys }) => Object.entries(keys)) as [
  string,
  { address: string; pubkey: string; sig_hello: string },
][];

describe("the keys of the sandbox's devshard", () => {
  it.each(keys)("sign and are recovered as key %s of the vectors", (label, vector) => {
    const key = devshardKey(label.padStart(64, "0"));
    const message = Buffer.from("hello devshard");
    expect(key.address).toBe(vector.address);
    expect(Buffer.from(key.publicKey).toString("hex")).toBe(vector.pubkey);
    expect(key.sign(message).toString("hex")).toBe(vector.sig_hello);
    expect(signerOf(message, Buffer.from(vector.sig_hello, "hex"))).toBe(vector.address);
  });

  it("are recovered from what they sign, and from nothing else", () => {
    for (let index = 0; index < 32; index++) {
      const key = devshardKey();
      const message = Buffer.from(`message ${index}`);
      const signature = key.sign(message);
      expect(signerOf(message, signature)).toBe(key.address);
      expect(signerOf(Buffer.from("another"), signature)).not.toBe(key.address);
      const flipped = Buffer.from(signature);
      flipped[64] = (flipped[64] ?? 0) ^ 1;
      expect(signerOf(message, flipped)).not.toBe(key.address);
    }
  });

  it.each([
    ["64 bytes", "11".repeat(64), "invalid signature length: 64"],
    ["an impossible recovery id", "ff".repeat(65), "ecrecover failed: invalid signature recovery id"],
    ["r and s above the order", `${"ff".repeat(64)}00`, "ecrecover failed: recovery failed"],
  ])("refuse %s", (_, hex, words) => {
    const attempt = () => signerOf(Buffer.from("x"), Buffer.from(hex, "hex"));
    expect(attempt).toThrow(UnrecoverableSignature);
    expect(attempt).toThrow(words);
  });
});

const cases: { in_hex: string; canonical_hex: string; sha256: string }[] = files.flatMap((file) => file.canonical_json);
const errors: { in_hex: string; error: string }[] = files.flatMap((file) => file.canonical_json_errors ?? []);

describe("the hash of a prompt in the sandbox", () => {
  it.each(cases)("is that of vector $in_hex", ({ in_hex, canonical_hex, sha256 }) => {
    expect(Buffer.from(canonical(Buffer.from(in_hex, "hex")) ?? "").toString("hex")).toBe(canonical_hex);
    expect(hashOfPrompt(Buffer.from(in_hex, "hex"))?.toString("hex")).toBe(sha256);
  });

  it.each(errors)("does not exist for $in_hex", ({ in_hex }) => {
    expect(hashOfPrompt(Buffer.from(in_hex, "hex"))).toBeUndefined();
  });
});
