import { describe, expect, it } from "vitest";
import { cpuTimeMs } from "../../test/support/cpu-time.ts";
import { entryFault, findImportable, parseDotenv } from "./entries.ts";

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

const KEY = "00000000000000000000000000000000000000000000000000000000000000AB";

describe("findImportable", () => {
  it("takes known secrets and leaves everything else", () => {
    const found = findImportable(
      Object.entries({
        PATH: "/bin",
        OPENAI_API_KEY: "sk-other",
        GONKA_ENDPOINTS: "https://node",
        GONKAGATE_API_KEY: " gp-1 ",
        GONKA_ADDRESS: "gonka1x",
        ZEPH_COMPATIBLE_GONKA24_API_KEY: "sk-2",
        ZEPH_SECRET_GITHUB: "g",
        ZEPH_COMPATIBLE_EMPTY_API_KEY: "",
        ZEPH_VAULT_PATH: "/x",
      }),
    );
    expect(found).toEqual([
      { variable: "ZEPH_COMPATIBLE_GONKA24_API_KEY", name: "ZEPH_COMPATIBLE_GONKA24_API_KEY", value: "sk-2" },
      { variable: "GONKAGATE_API_KEY", name: "ZEPH_COMPATIBLE_GONKAGATE_API_KEY", value: "gp-1" },
      { variable: "GONKA_ADDRESS", name: "ZEPH_GONKA_ADDRESS", value: "gonka1x" },
      { variable: "ZEPH_SECRET_GITHUB", name: "ZEPH_SECRET_GITHUB", value: "g" },
    ]);
  });

  it("prefers the canonical variable to an alias in either order", () => {
    const alias = ["GONKAGATE_API_KEY", "gp-alias"] as const;
    const canonical = ["ZEPH_COMPATIBLE_GONKAGATE_API_KEY", "gp-canonical"] as const;
    for (const variables of [
      [alias, canonical],
      [canonical, alias],
    ]) {
      expect(findImportable(variables).map((candidate) => candidate.value)).toEqual(["gp-canonical"]);
    }
  });

  it("brings a private key into the form that Zeph reads, and leaves what is none alone", () => {
    expect(findImportable([["GONKA_PRIVATE_KEY", `0x${KEY}`]])[0]?.value).toBe(KEY.toLowerCase());
    expect(findImportable([["GONKA_PRIVATE_KEY", "Not Hex"]])[0]?.value).toBe("Not Hex");
  });
});

describe("parseDotenv", () => {
  it.each([
    ["A=1", { A: "1" }],
    ["export A = 1 ", { A: "1" }],
    ["# note\n\n  # more\r\nA=1\r\nB=2\r\n", { A: "1", B: "2" }],
    ["\uFEFFA=1", { A: "1" }],
    ["A=1 # note", { A: "1" }],
    ["A=1#not-a-note", { A: "1#not-a-note" }],
    ["A=", { A: "" }],
    ["A= # note", { A: "" }],
    ["A=b=c==", { A: "b=c==" }],
    ['A="x y" # note', { A: "x y" }],
    ['A="x\\ny \\"z\\" \\\\"', { A: 'x\ny "z" \\' }],
    ["A='x\\n #y'", { A: "x\\n #y" }],
    ["A='C:\\'", { A: "C:\\" }],
    ['A=`"it\'s"`', { A: '"it\'s"' }],
    ['A="one\ntwo"\nB=3', { A: "one\ntwo", B: "3" }],
    ["A=$B", { A: "$B" }],
    ["A=1\nA=2", { A: "2" }],
  ])("reads %j", (text, expected) => {
    expect(Object.fromEntries(parseDotenv(text))).toEqual(expected);
  });

  it.each([
    ["a quote that never closes", `A="${"x\n".repeat(400_000)}`],
    ["a line of blanks", `A=x${" ".repeat(900_000)}y\n`],
    ["a line of backslashes", `A="${"\\".repeat(900_000)}\n`],
  ])("takes no time to speak of over %s", (_name, text) => {
    const startedAtMs = cpuTimeMs();
    try {
      parseDotenv(text);
    } catch {
      // Refused or read: only the time counts here.
    }
    expect(cpuTimeMs() - startedAtMs).toBeLessThan(500);
  });

  it.each([
    ["A=1\nplanted-secret\n", 2],
    ['A=1\n\nB="planted-secret\nC=2', 3],
    ["1A=planted-secret", 1],
    ['A="planted"-secret', 1],
  ])("names the line and never the text of %j", (text, line) => {
    expect(() => parseDotenv(text)).toThrow(
      expect.objectContaining({ code: "usage", detail: `line ${line} of the .env file is not NAME=value` }),
    );
  });
});
