import { describe, expect, it } from "vitest";
import {
  changed,
  flag,
  list,
  namedValues,
  number,
  oneOf,
  optional,
  optionalText,
  readShape,
  table,
  text,
  textLike,
  wholeNumber,
  withDefault,
} from "./shape.ts";

const server = table({
  host: text,
  port: optional(wholeNumber(1, 65_535)),
  tags: withDefault(list(textLike(/^[a-z]+$/, "must be letters"), "must be a list"), []),
  note: optionalText,
});

describe("a shape", () => {
  it("gives values as they are, defaults for what is missing, and keeps fields it does not know", () => {
    expect(readShape(server, { host: "a", extra: { kept: true } })).toEqual({
      data: { host: "a", tags: [], extra: { kept: true } },
      issues: [],
    });
    expect(readShape(server, { host: "a", note: " " }).data).toEqual({ host: "a", tags: [], note: undefined });
  });

  it("tells everything that is wrong, each with its path", () => {
    const { data, issues } = readShape(server, { host: " ", port: 0, tags: ["a", "B", 3] });
    expect(data).toBeUndefined();
    expect(issues).toEqual([
      { path: ["host"], message: "must not be empty" },
      { path: ["port"], message: "must be at least 1" },
      { path: ["tags", 1], message: "must be letters" },
      { path: ["tags", 2], message: "must be text in quotes" },
    ]);
  });

  it("leaves the prototype alone", () => {
    const given: unknown = JSON.parse('{"host":"a","__proto__":{"port":5},"constructor":1}');
    const { data } = readShape(server, given);
    expect(data?.port).toBeUndefined();
    expect(Object.getPrototypeOf(data)).toBe(Object.prototype);
    expect(data).toHaveProperty("constructor", 1);
  });

  it.each([
    [flag, "true", "must be true or false"],
    [wholeNumber(0), 1.5, "must be a whole number"],
    [wholeNumber(0), 2n, "must be a whole number"],
    [wholeNumber(0), 2 ** 53, "must be a whole number"],
    [wholeNumber(0, 10), 11, "must be at most 10"],
    [number("must be a number", () => undefined), Number.NaN, "must be a number"],
    [oneOf([1, 3], "must be 1 or 3"), "1", "must be 1 or 3"],
    [list(text, "must be a list"), { 0: "a" }, "must be a list"],
    [table({}), [], "must be a table"],
    [table({}), null, "must be a table"],
    [namedValues(text, "must be a table of names"), "a", "must be a table of names"],
  ])("refuses what is of another kind (%#)", (shape, value, message) => {
    expect(readShape(shape as typeof flag, value).issues).toEqual([{ path: [], message }]);
  });

  it("changes no value that is faulty already", () => {
    const shape = changed(text, () => {
      throw new Error("not reached");
    });
    expect(readShape(shape, 7).issues).toHaveLength(1);
  });
});
