import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { accountKey, addressOfPublicKey } from "./account-key.ts";
import { decodeBech32, encodeBech32 } from "./bech32.ts";

const vectors = JSON.parse(readFileSync(new URL("../../../../vectors/signing.json", import.meta.url), "utf8"));

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
