import { describe, expect, it } from "vitest";
import { goField, parseGoJson } from "./go-json.ts";

describe("parseGoJson", () => {
  it.each([
    ["", "unexpected end of JSON input"],
    ["{", "unexpected end of JSON input"],
    ['{"a":1', "unexpected end of JSON input"],
    ["hello", "invalid character 'h' looking for beginning of value"],
    ["\ufeff{}", "invalid character 'ï' looking for beginning of value"],
    ["{a:1}", "invalid character 'a' looking for beginning of object key string"],
    ['{"a" 1}', "invalid character '1' after object key"],
    ['{"a":1 "b":2}', "invalid character '\"' after object key:value pair"],
    ["[1 2]", "invalid character '2' after array element"],
    ["{} x", "invalid character 'x' after top-level value"],
    ["nul!", "invalid character '!' in literal null (expecting 'l')"],
    ['"\n"', "invalid character '\\n' in string literal"],
    ['"\\x"', "invalid character 'x' in string escape code"],
    ['"\\u12g4"', "invalid character 'g' in \\u hexadecimal character escape"],
    ["-x", "invalid character 'x' in numeric literal"],
    ["1.x", "invalid character 'x' after decimal point in numeric literal"],
    ["1ex", "invalid character 'x' in exponent of numeric literal"],
    ["01", "invalid character '1' after top-level value"],
    ["'", "invalid character '\\'' looking for beginning of value"],
  ])("says of %j what Go says", (text, message) => {
    expect(() => parseGoJson(Buffer.from(text))).toThrow(message);
  });

  it("keeps how numbers are spelt, and takes the last of equal keys in any case", () => {
    const value = parseGoJson(Buffer.from('{"Max_Tokens":1, "max_tokens":128.0, "s":"\\u00e9\\n€"}'));
    expect(goField(value, "max_tokens")).toEqual({ kind: "number", raw: "128.0" });
    expect(goField(value, "s")).toEqual({ kind: "string", value: "é\n€" });
  });

  it("agrees with JSON.parse on what is JSON", () => {
    const text = '{"a":[1,-2.5e+3,true,false,null,{"b":"\\"\\\\\\/\\b\\f\\n\\r\\t"}],"c":{}}';
    expect(JSON.stringify(plain(parseGoJson(Buffer.from(text))))).toBe(JSON.stringify(JSON.parse(text)));
  });

  it("stops at absurd depth instead of overflowing", () => {
    expect(() => parseGoJson(Buffer.from("[".repeat(100_000)))).toThrow("exceeded max depth");
  });
});

function plain(value: ReturnType<typeof parseGoJson>): unknown {
  switch (value.kind) {
    case "null":
      return null;
    case "number":
      return Number(value.raw);
    case "array":
      return value.items.map(plain);
    case "object":
      return Object.fromEntries(value.entries.map(([key, item]) => [key, plain(item)]));
    default:
      return value.value;
  }
}
