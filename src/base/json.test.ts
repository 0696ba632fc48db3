import { describe, expect, it } from "vitest";
import { thrownBy } from "../../test/support/thrown-by.ts";
import { pricedCostUsd, toldCostUsd, toTokenUsage } from "../chat/session.ts";
import { parseSpending } from "../journal/ledger.ts";
import {
  decodeBase64,
  excessWords,
  type JsonLimits,
  jsonExcess,
  jsonScanner,
  parseExactJson,
  plausibleTokens,
  plausibleUsd,
  readInteger,
} from "./json.ts";

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

describe("decodeBase64", () => {
  it.each([
    ["", ""],
    ["AA==", "00"],
    ["AAE=", "0001"],
    ["AAEC", "000102"],
    ["+/+/", "fbffbf"],
    ["AA\r\n==\n", "00"],
    ["AB==", "00"],
  ])("reads %j", (text, hex) => {
    expect(decodeBase64(text)).toEqual({ ok: true, bytes: new Uint8Array(Buffer.from(hex, "hex")) });
  });

  // Offsets computed by hand from Go 1.24 encoding/base64 decodeQuantum.
  it.each([
    ["A", 0],
    ["AAA", 0],
    ["AAAAAA", 4],
    ["AA=", 3],
    ["A===", 1],
    ["=AAA", 0],
    ["AA=A", 2],
    ["AA==A", 4],
    ["AAA=A", 4],
    ["AAA==", 4],
    ["A-AA", 1],
    ["AAA_", 3],
    ["AA A", 2],
    ["AAAé", 3],
    ["A\nA", 1],
  ])("refuses %j at byte %i", (text, errorAt) => {
    expect(decodeBase64(text)).toEqual({ ok: false, errorAt });
  });
});

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

  it.each([
    ['{"a":1, "tools" : [1,{"b":[2]}] ,"c":2}', '[1,{"b":[2]}]'],
    ['{"tools":[1],"tools":[2]}', "[2]"],
    ['{"a":{"tools":[1]}}', undefined],
    ['{"model":"m"}', undefined],
    // The second of them is the one that a parser takes.
    ['{"tools":[1],"to\\u006fls":[2]}', undefined],
  ])("tells where the tools of %s stand", (text, expected) => {
    const bytes = Buffer.from(text);
    for (const size of [bytes.length, 1, 3]) {
      const scanner = jsonScanner(LIMITS);
      for (let at = 0; at < bytes.length; at += size) scanner.push(bytes.subarray(at, at + size));
      const place = scanner.placeOf("tools");
      expect(place && text.slice(place.start, place.end)).toBe(expected);
    }
  });

  it("says it in words", () => {
    expect(excessWords({ kind: "entries", limit: 2, list: "tools" })).toBe("2 entries in tools");
    expect(excessWords(jsonExcess("[[[[[", LIMITS) ?? expect.fail("no excess"))).toBe("4 levels of nesting");
  });
});

const LIES = [
  -1,
  -0.000_1,
  1e7 + 1,
  1e300,
  Number.MAX_VALUE,
  Number.POSITIVE_INFINITY,
  Number.NaN,
  "1",
  null,
  undefined,
  {},
];

describe("numbers of a server", () => {
  it.each(LIES)("that cannot be true are unknown: %s", (value) => {
    expect(plausibleUsd(value)).toBeUndefined();
    expect(plausibleTokens(value)).toBeUndefined();
  });

  it.each([0, 0.000_000_1, 99])("that can be are taken: %s USD", (value) => {
    expect(plausibleUsd(value)).toBe(value);
  });

  it("are whole where tokens are counted, and nothing is never less than nothing", () => {
    expect(plausibleTokens(1.5)).toBeUndefined();
    expect(Object.is(plausibleUsd(-0), 0) && Object.is(plausibleTokens(-0), 0)).toBe(true);
  });

  it.each(LIES)("reach neither the display nor the ledger: %s", (value) => {
    const told = toTokenUsage({
      inputTokens: { total: value, cacheRead: value },
      outputTokens: { total: value, reasoning: value },
    } as never);
    expect(told).toEqual({ input: undefined, output: undefined, cached: undefined, reasoning: undefined });
    expect(toldCostUsd({ any: { costUsd: value } })).toBeUndefined();
    const price = typeof value === "number" ? value : Number.NaN;
    const usage = { ...told, input: 10_000_000, output: 10_000_000 };
    expect(pricedCostUsd(usage, { promptUsdPer1M: price, completionUsdPer1M: price })).toBeUndefined();
  });

  it("do not come back from the ledger either", () => {
    expect(
      parseSpending('{"day":"2026-11-28","usd":1e999}\n{"day":"2026-11-28","usd":-1}\n{"day":"2026-11-28","usd":0.5}'),
    ).toMatchObject([{ day: "2026-11-28", usd: 0.5 }]);
  });
});
