import { describe, expect, it } from "vitest";
import { containsKey, looksLikeToken } from "./contains-key.ts";
import { BROKERS } from "./registry.ts";

const PREFIXES = BROKERS.flatMap(({ keyPrefixes = [], managementKeyPrefixes = [] }) => [
  ...keyPrefixes,
  ...managementKeyPrefixes,
]);
const HEX = "4f".repeat(32);
const KEYS = [
  ...PREFIXES.map((prefix) => `${prefix}Ab3dEf6hIj9kLm2nOp5q`),
  ...PREFIXES.map((prefix) => `${prefix}abcdefghijklmnop`),
  ...PREFIXES.map((prefix) => `${prefix}a1b2c3`),
  HEX,
  HEX.toUpperCase(),
  `0x${HEX}`,
  "AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQSSSSSSS",
  "age-secret-key-pq-1qqqqqqqqqqqqqqqqqqqq",
  "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc",
  "legal winner thank year wave sausage worth useful legal winner thank yellow",
  "1. legal 2. winner 3. thank 4. year 5. wave 6. sausage 7. worth 8. useful 9. legal 10. winner 11. thank 12. yellow",
  "legal-winner-thank-year-wave-sausage-worth-useful-legal-winner-thank-yellow",
  "-----BEGIN EC PRIVATE KEY-----",
];

describe("containsKey", () => {
  it.each(KEYS)("finds %s, and what people paste around it", (key) => {
    const forms = [
      key,
      ` ${key} \n`,
      `"${key}"`,
      `export A_KEY=${key}`,
      `Bearer ${key}`,
      `\u200b${key}\ufeff`,
      `\u001b[200~${key}\u001b[201~`,
    ];
    for (const form of forms) expect([form, containsKey(form)]).toEqual([form, true]);
  });

  it.each(KEYS.filter((key) => !key.includes(" ")))("finds %s inside an address", (key) => {
    for (const form of [
      `https://${key}`,
      `https://${key}/v1`,
      `https://a.example/v1?key=${key}`,
      `https://u:${key}@a.example`,
      `http://a.example/${key}`,
      `https://a.example,${key}`,
      `https://a.example/?k=${encodeURIComponent(key).replaceAll("-", "%2D")}`,
    ])
      expect([form, containsKey(form)]).toEqual([form, true]);
  });

  it("finds recovery words that stand where a host belongs", () => {
    expect(containsKey("https://legal winner thank year wave sausage worth useful legal winner thank yellow/v1")).toBe(
      true,
    );
  });

  it("knows the prefixes of brokers that a config adds", () => {
    const own = { ...BROKERS[0], id: "own", keyPrefixes: ["own_"] } as (typeof BROKERS)[number];
    expect(containsKey("own_abcdefghijklmn")).toBe(false);
    expect(containsKey("own_abcdefghijklmn", [...BROKERS, own])).toBe(true);
  });

  it.each([
    "",
    "https://api.gonkagate.com/v1",
    "127.0.0.1:18080",
    "gonkagate",
    "gp-production",
    "jg-2",
    "sk-learn",
    "moonshotai/Kimi-K2-Instruct-0905",
    "Qwen/Qwen3-235B-A22B-Instruct-2507-FP8",
    "claude-3-5-sonnet-20241022",
    "gonka1w508d6qejxtdg4y5r3zarvary0c5xw7k2gsyg6",
    "https://node1.gonka.ai:8000,gonka1w508d6qejxtdg4y5r3zarvary0c5xw7k2gsyg6",
    "0x52908400098527886E0F7030069857D2E4169EE7",
    "replace",
    "4096",
    "/home/me/.inference",
  ])("lets %s pass", (text) => {
    expect(containsKey(text)).toBe(false);
  });
});

describe("looksLikeToken", () => {
  it.each(["Ab3dEf6hIj9kLm2nOp5qRs8t", "https://Ab3dEf6hIj9kLm2nOp5qRs8t/v1"])("%s", (text) => {
    expect(looksLikeToken(text)).toBe(true);
  });
  it.each([
    "api.example.com",
    "a1b2c3d4e5f6a1b2c3d4e5f6a1b2.example.com",
    "my-provider-for-2026-and-27",
    "localhost:8080",
  ])("not %s", (text) => {
    expect(looksLikeToken(text)).toBe(false);
  });
});
