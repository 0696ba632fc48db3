import { describe, expect, it } from "vitest";
import { entryFault } from "./known-entries.ts";

const ORDER = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";

describe("entryFault", () => {
  it.each([
    ["ZEPH_COMPATIBLE_GONKAGATE_API_KEY", "gp-0123456789"],
    ["ZEPH_COMPATIBLE_OWN_API_KEY", "gpm-is-fine-elsewhere"],
    ["ZEPH_GONKA_PRIVATE_KEY", `${"0".repeat(63)}1`],
    ["ZEPH_GONKA_ADDRESS", "gonka1w508d6qejxtdg4y5r3zarvary0c5xw7k2gsyg6"],
    ["ZEPH_SECRET_ANYTHING", "with spaces\nand lines"],
  ])("finds nothing wrong with a good %s", (name, value) => {
    expect(entryFault(name, value)).toBeUndefined();
  });

  it.each([
    ["ZEPH_SECRET_ANYTHING", "", /empty/],
    ["ZEPH_COMPATIBLE_GONKAGATE_API_KEY", "gpm-0123456789", /management key/],
    ["ZEPH_COMPATIBLE_GONKAGATE_API_KEY", "Bearer gp-0123456789", /Bearer/],
    ["ZEPH_COMPATIBLE_GONKAGATE_API_KEY", '"gp-0123456789"', /quotation marks/],
    ["ZEPH_COMPATIBLE_GONKAGATE_API_KEY", "gp-0123456789\n", /line break/],
    ["ZEPH_GONKA_PRIVATE_KEY", `0x${"0".repeat(63)}1`, /without 0x/],
    ["ZEPH_GONKA_PRIVATE_KEY", "0".repeat(64), /secp256k1/],
    ["ZEPH_GONKA_PRIVATE_KEY", ORDER, /secp256k1/],
    ["ZEPH_GONKA_ADDRESS", "0xabc", /bech32/],
  ])("says what is wrong with %s = %j and does not repeat it", (name, value, fault) => {
    const message = entryFault(name, value);
    expect(message).toMatch(fault);
    if (value !== "") expect(message).not.toContain(value);
  });
});
