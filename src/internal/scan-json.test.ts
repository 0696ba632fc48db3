import { describe, expect, it } from "vitest";
import { excessWords, type JsonLimits, jsonExcess, jsonScanner } from "./scan-json.ts";

const LIMITS: JsonLimits = {
  maxDepth: 4,
  maxFields: 6,
  maxFieldsOfOne: 4,
  maxContainers: 8,
  maxValues: 20,
  maxEntries: { tools: 2 },
};

/** In one piece, byte by byte, and in pieces of three: the same must come out. */
function inPieces(text: string): unknown {
  const bytes = Buffer.from(text);
  const found = [bytes.length, 1, 3].map((size) => {
    const scanner = jsonScanner(LIMITS);
    let excess: unknown;
    for (let at = 0; at < bytes.length; at += size) excess = scanner.push(bytes.subarray(at, at + size));
    return excess;
  });
  expect(found[1]).toEqual(found[0]);
  expect(found[2]).toEqual(found[0]);
  return found[0];
}

describe("jsonScanner", () => {
  it.each([
    '{"a":1,"b":[{"c":{}}],"d":"x"}',
    '{"tools":[1,2],"more":[1,2,3]}',
    '{"a":{"tools":[1,2,3]}}',
    '{"tools":[[1,2],[3,4,5]]}',
    '{"a":"tools","b":[1,2,3]}',
    '{"text":"[[[[[[[[[[:::::::::,,,,,,,,,,,,,,,,,,,,,,,,,,,,{{{{"}',
    '{"text":"\\"[[[[[[[[[[\\\\","b":"\\\\\\"[[[[[[[["}',
    "]]]]}}}}",
    "",
  ])("lets %s pass", (text) => {
    expect(inPieces(text)).toBeUndefined();
  });

  it.each([
    ["[[[[[", "depth"],
    ['{"a":{"b":{"c":{"d":{}}}}}', "depth"],
    ['[{"a":1,"b":1,"c":1},{"a":1,"b":1,"c":1,"d":1}]', "fields"],
    ['{"a":1,"b":1,"c":1,"d":1,"e":1}', "fields-of-one"],
    ["[[],[],[],[],[],[],[],[]]", "containers"],
    [`[${"0,".repeat(20)}0]`, "values"],
    ['{"tools":[1,2,3]}', "entries"],
    ['{"x":"\\"","tools" : [ {"a":[1,2]}, "b,c", 3 ]}', "entries"],
    ['{"tools":[],"tools":[1,2,3]}', "entries"],
  ])("finds what is too much in %s", (text, kind) => {
    expect(inPieces(text)).toMatchObject({ kind });
  });

  it("looks no further than the first excess", () => {
    const scanner = jsonScanner(LIMITS);
    const bytes = new Uint8Array(1000).fill(0x5b);
    expect(scanner.push(bytes)).toEqual({ kind: "depth", limit: 4 });
    // What stands behind it is not read: these bytes cannot be.
    const unread = new Proxy(new Uint8Array(8), {
      get: (target, key) => (key === "length" ? target.length : expect.fail("a byte was read")),
    });
    expect(scanner.push(unread)).toEqual({ kind: "depth", limit: 4 });
  });

  it("says it in words", () => {
    expect(excessWords({ kind: "entries", limit: 2, list: "tools" })).toBe("2 entries in tools");
    expect(excessWords(jsonExcess("[[[[[", LIMITS) ?? expect.fail("no excess"))).toBe("4 levels of nesting");
  });
});
