import { describe, expect, it } from "vitest";
import { thrownBy } from "../../../test/support/thrown-by.ts";
import { parseExactJson } from "./parse-exact-json.ts";
import { readInteger } from "./read-value.ts";

describe("parseExactJson", () => {
  it("keeps every digit of a large integer", () => {
    const value = parseExactJson('{"balance":12345678901234567890,"small":-7,"list":[9007199254740993]}');
    expect(value).toEqual({ balance: "12345678901234567890", small: -7, list: ["9007199254740993"] });
  });

  it("leaves strings, fractions and exponents alone", () => {
    const text = '{"a":"x 12345678901234567890 \\" 12345678901234567890","b":1234567890123456.5,"c":1e21,"\\\\":1}';
    expect(parseExactJson(text)).toEqual(JSON.parse(text));
  });

  it.each(["", "<html>", "{", '{"a":01}'])("refuses %j", (text) => {
    expect(thrownBy(() => parseExactJson(text)).code).toBe("bad_response");
  });
});

describe("readInteger", () => {
  it.each([
    [5, 5n],
    ["5", 5n],
    ["-9223372036854775808", -9223372036854775808n],
    [Number.MAX_SAFE_INTEGER, 9007199254740991n],
  ])("reads %s", (value, expected) => {
    expect(readInteger(value, "x")).toBe(expected);
  });

  it.each([1.5, 2 ** 53, "", "0x10", "1.0", " 1", null, true, {}])("refuses %s rather than guess", (value) => {
    expect(thrownBy(() => readInteger(value, "field")).detail).toContain("field");
  });
});
