import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { ZephError } from "../../errors.ts";
import { canonicalJson, promptHash } from "./canonical-json.ts";

const canonical = (json: string | Uint8Array) => Buffer.from(canonicalJson(json)).toString("utf8");
const bytes = (digits: string) => Buffer.from(digits, "hex");

describe("canonical JSON", () => {
  it.each([
    ["keys that look like numbers stand in the order of their bytes", '{"10":1,"9":2,"1":3}', '{"1":3,"10":1,"9":2}'],
    ["__proto__ is a key like another", '{"b":1,"__proto__":{"a":1}}', '{"__proto__":{"a":1},"b":1}'],
    ["the last of equal keys counts, also after escapes", '{"\\u0061":1,"a":2}', '{"a":2}'],
    ["lone surrogates are one character, in keys too", '{"\\ud800":1,"\\udbff":2}', '{"\ufffd":2}'],
    ["a high surrogate before another escape stays alone", '"\\ud800\\u0041\\ud800\\n"', '"\ufffdA\ufffd\\n"'],
    ["separators are escaped in keys too", '{"\u2028":"\u2029"}', '{"\\u2028":"\\u2029"}'],
    ["astral keys come after the private area", '{"\u{1f600}":1,"\ue000":2}', '{"\ue000":2,"\u{1f600}":1}'],
    [
      "numbers are the shortest float64",
      "[1e21,1e20,0.000001,1e-7,4.9e-324,-0,1e-400]",
      "[1e+21,100000000000000000000,0.000001,1e-7,5e-324,-0,0]",
    ],
    ["control characters have Go's escapes", '"\\u0008\\u000c\\u001f\\u007f\\/"', '"\\b\\f\\u001f\u007f/"'],
  ])("%s", (_, json, expected) => {
    expect(canonical(json)).toBe(expected);
  });

  it.each([
    ["each byte of a cut character is one U+FFFD", "22e28222", '"\ufffd\ufffd"'],
    ["an encoded surrogate is three", "22eda08022", '"\ufffd\ufffd\ufffd"'],
    ["bytes after a bad one are read on", "22ffc3a97a22", '"\ufffdéz"'],
  ])("%s", (_, digits, expected) => {
    expect(canonical(bytes(digits))).toBe(expected);
  });

  it.each([
    "",
    " ",
    "nul",
    "[1 2]",
    "{1:2}",
    '{"a":1,}',
    "1e999",
    "\ufeff{}",
    '"\n"',
    '"\\u12g4"',
    '"\\',
    "[",
    "01",
    "- 1",
    "1}",
  ])("refuses %j", (json) => {
    expect(() => canonicalJson(json)).toThrow(ZephError);
  });

  it("goes as deep as Go does, without a stack", () => {
    expect(canonical("[".repeat(10_000) + "]".repeat(10_000))).toHaveLength(20_000);
    expect(() => canonicalJson("[".repeat(10_001) + "]".repeat(10_001))).toThrow(/nested too deeply/);
    expect(() => canonicalJson("[".repeat(2_000_000))).toThrow(/nested too deeply/);
  });

  it("hashes the canonical spelling", () => {
    expect(promptHash('{ "b": 1, "a": 2.0 }')).toEqual(promptHash('{"a":2,"b":1}'));
  });
});

test("it keeps every value, and its own spelling", () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
      const once = canonical(JSON.stringify(value));
      expect(JSON.parse(once)).toEqual(JSON.parse(JSON.stringify(value)));
      expect(canonical(once)).toBe(once);
    }),
    { numRuns: 200 },
  );
});

test("it takes what JavaScript's parser takes, and nothing else", () => {
  const pieces = fc.constantFrom(
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    '"a"',
    '"',
    "1",
    "-",
    "0",
    ".5",
    "e3",
    "true",
    "null",
    " ",
    "\\",
  );
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 8 }), (parts) => {
      const json = parts.join("");
      const isJson = succeeds(() => JSON.parse(json));
      expect(succeeds(() => canonicalJson(json))).toBe(isJson);
    }),
    { numRuns: 500 },
  );
});

function succeeds(body: () => unknown): boolean {
  try {
    body();
    return true;
  } catch {
    return false;
  }
}
