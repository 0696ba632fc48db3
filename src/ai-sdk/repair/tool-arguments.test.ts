import { describe, expect, it } from "vitest";
import { toArgumentsText, withoutRestart } from "./tool-arguments.ts";

describe("toArgumentsText", () => {
  it.each([
    ['{"a":1}', '{"a":1}'],
    [{ a: 1 }, '{"a":1}'],
    [[1], "[1]"],
    [null, ""],
    [undefined, ""],
    [7, ""],
  ])("%j becomes %j", (value, expected) => {
    expect(toArgumentsText(value)).toBe(expected);
  });
});

describe("withoutRestart", () => {
  it.each([
    ["an object twice", '{"a":1}{"a":1}', '{"a":1}'],
    ["an object begun twice", '{"a":"x"{"a":"x","b":2}', '{"a":"x","b":2}'],
    ["white space between", '{"a":"x" {"a":"x","b":{"c":1}}', '{"a":"x","b":{"c":1}}'],
  ])("cuts %s", (_what, text, expected) => {
    expect(withoutRestart(text)).toBe(expected);
  });

  it.each([
    ["a right object", '{"a":{"b":"{"}}'],
    ["nothing", ""],
    ["two different objects", '{"a":1}{"b":1}'],
    ["an unfinished object", '{"a":{"b":1'],
    ["words", "Tokyo"],
  ])("leaves %s alone", (_what, text) => {
    expect(withoutRestart(text)).toBe(text);
  });
});
