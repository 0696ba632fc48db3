import { describe, expect, it } from "vitest";
import type { JsonObject } from "../base/json.ts";
import { checkSchema } from "../sandbox/rules.ts";
import { NETWORK_LIMITS } from "./parameters.ts";
import { fitSchema, fitToolParameters } from "./schema.ts";

const withReference = () => ({
  type: "object",
  properties: { a: { $ref: "#/$defs/A" } },
  $defs: { A: { type: "string" } },
});

describe("parameters of a tool that come again", () => {
  it("are the given object when nothing is wrong with them, every time", () => {
    for (let turn = 0; turn < 3; turn += 1) {
      const given = { type: "object", properties: { city: { type: "string" } } };
      expect(fitToolParameters(given, "keep").schema).toBe(given);
    }
  });

  it("are mended alike, with the same words about it", () => {
    const first = fitToolParameters(withReference(), "keep");
    const again = fitToolParameters(withReference(), "keep");
    expect(first.schema).toEqual({ type: "object", properties: { a: { type: "string" } } });
    expect([again.schema, again.dropped]).toEqual([first.schema, first.dropped]);
  });

  it("are judged anew for a model with other rules", () => {
    const given = () => ({ type: "object", properties: { a: { type: ["string", "null"] } } });
    expect(fitToolParameters(given(), "keep").schema).toEqual(given());
    expect(fitToolParameters(given(), "avoid").schema).not.toEqual(given());
    expect(fitToolParameters(given(), "keep").schema).toEqual(given());
  });

  it("of many kinds are all judged right, however many are remembered", () => {
    for (let round = 0; round < 2; round += 1) {
      for (let kind = 0; kind < 700; kind += 1) {
        const good = { type: "object", properties: { [`p${kind}`]: { type: "number" } } };
        expect(fitToolParameters(good, "keep").schema).toBe(good);
      }
    }
  });
});

const limits = { ...NETWORK_LIMITS.toolSchema, maxJsonDepth: 28, nullUnions: "keep" as "keep" | "avoid" };
function fitted(schema: JsonObject): JsonObject {
  const { schema: result } = fitSchema(schema, limits);
  expect(checkSchema(result, limits)).toBeUndefined();
  return result;
}
const object = (properties: object, more: object = {}) => ({ type: "object", properties, ...more });
const text = { type: "string" };

/** Arrays inside each other; the root is at depth 1. */
const nested = (depth: number): JsonObject => (depth === 1 ? text : { type: "array", items: nested(depth - 1) });

describe("a schema that fits", () => {
  it.each<[string, JsonObject]>([
    ["plain", object({ a: text }, { required: ["a"], additionalProperties: false })],
    ["at depth 16", nested(16)],
    [
      "with values that are not looked into",
      object({}, { default: { $ref: "x" }, examples: [{ $defs: {} }], const: { definitions: 1 } }),
    ],
    ["with properties that are called like keywords", object({ $ref: text, definitions: text, $defs: text })],
    ["with a pattern of Go", { type: "string", pattern: "^(?P<year>\\d{4})-[a-z]+\\.$" }],
  ])("stays the very object: %s", (_, schema) => {
    expect(fitted(schema)).toBe(schema);
  });
});

describe("references", () => {
  it.each<[string, JsonObject, JsonObject]>([
    ["to $defs", object({ a: { $ref: "#/$defs/A" } }, { $defs: { A: text } }), object({ a: text })],
    ["to definitions", object({ a: { $ref: "#/definitions/A" } }, { definitions: { A: text } }), object({ a: text })],
    [
      "to any place",
      object({ a: object({ b: text }), c: { $ref: "#/properties/a/properties/b" } }),
      object({ a: object({ b: text }), c: text }),
    ],
    ["with escapes", object({ a: { $ref: "#/$defs/x~1y~0z%20" } }, { $defs: { "x/y~z ": text } }), object({ a: text })],
    [
      "through references",
      object({ a: { $ref: "#/$defs/A" } }, { $defs: { A: { $ref: "#/$defs/B" }, B: text } }),
      object({ a: text }),
    ],
    [
      "with words beside",
      object({ a: { $ref: "#/$defs/A", description: "mine" } }, { $defs: { A: { ...text, description: "its" } } }),
      object({ a: { ...text, description: "mine" } }),
    ],
    [
      "with properties beside",
      {
        $ref: "#/$defs/A",
        properties: { b: text },
        required: ["b"],
        $defs: { A: object({ a: text }, { required: ["a"] }) },
      },
      object({ a: text, b: text }, { required: ["a", "b"] }),
    ],
    [
      "to nowhere",
      object({ a: { $ref: "#/$defs/Gone", description: "d" } }, { $defs: {} }),
      object({ a: { description: "d" } }),
    ],
    ["to another document", object({ a: { $ref: "https://example.com/s.json" } }), object({ a: {} })],
    [
      "of pydantic: one arm of allOf",
      object({ a: { allOf: [{ $ref: "#/$defs/A" }], default: "x" } }, { $defs: { A: text } }),
      object({ a: { ...text, default: "x" } }),
    ],
    [
      "that nobody uses",
      object({ a: text }, { $defs: { A: text }, $schema: "https://json-schema.org/draft/2020-12/schema", $id: "x" }),
      object({ a: text }),
    ],
    [
      "inside a list of alternatives",
      object({ a: { anyOf: [{ $ref: "#/$defs/A" }, { type: "null" }] } }, { $defs: { A: text } }),
      object({ a: { anyOf: [text, { type: "null" }] } }),
    ],
  ])("%s", (_, schema, expected) => {
    expect(fitted(schema)).toEqual(expected);
  });

  it.each<[string, JsonObject, JsonObject]>([
    [
      "to the root",
      object({ child: { $ref: "#" } }, { description: "a tree" }),
      object({ child: { type: "object", description: "a tree" } }, { description: "a tree" }),
    ],
    [
      "to itself",
      object(
        { node: { $ref: "#/$defs/Node" } },
        { $defs: { Node: object({ next: { $ref: "#/$defs/Node" }, value: text }) } },
      ),
      object({ node: object({ next: { type: "object" }, value: text }) }),
    ],
    [
      "of two to each other",
      object(
        { a: { $ref: "#/$defs/A" } },
        { $defs: { A: object({ b: { $ref: "#/$defs/B" } }), B: object({ a: { $ref: "#/$defs/A" } }) } },
      ),
      object({ a: object({ b: object({ a: { type: "object" } }) }) }),
    ],
    [
      "in a circle of nothing else",
      object({ a: { $ref: "#/$defs/A" } }, { $defs: { A: { $ref: "#/$defs/B" }, B: { $ref: "#/$defs/A" } } }),
      object({ a: {} }),
    ],
    [
      "to a schema it stands in",
      object({ a: object({ b: { $ref: "#/properties/a" } }) }),
      object({ a: object({ b: { type: "object" } }) }),
    ],
  ])("that never end are cut: %s", (_, schema, expected) => {
    expect(fitted(schema)).toEqual(expected);
  });

  it("that double at every level cost no more than the bound", () => {
    const $defs = Object.fromEntries(
      Array.from({ length: 60 }, (_, level) => [
        `L${level}`,
        object({ left: { $ref: `#/$defs/L${level + 1}` }, right: { $ref: `#/$defs/L${level + 1}` } }),
      ]),
    );
    fitted(object({ top: { $ref: "#/$defs/L0" } }, { $defs }));
  });
});

describe("bounds", () => {
  it("cuts what lies deeper than 16, and allows it", () => {
    const result = fitted(nested(20));
    expect(result).toEqual(JSON.parse(`${'{"type":"array","items":'.repeat(15)}{"type":"array"}${"}".repeat(15)}`));
  });

  it("keeps within the levels of JSON a request may have", () => {
    const deep = (levels: number): JsonObject => (levels === 1 ? text : object({ a: deep(levels - 1) }));
    // 16 objects inside each other are 31 levels of JSON; 28 are left below tools[].function.
    const result = fitted(deep(16));
    expect(JSON.stringify(result).match(/properties/g)).toHaveLength(13);
  });

  it("cuts nodes from the end, and no longer asks for or forbids what it cut", () => {
    const names = Array.from({ length: 300 }, (_, index) => `p${index}`);
    const properties = Object.fromEntries(names.map((name) => [name, text]));
    const result = fitted(object(properties, { required: ["p0", "p299"], additionalProperties: false }));
    expect(Object.keys(result.properties as object)).toEqual(names.slice(0, 255));
    expect(result.required).toEqual(["p0"]);
    expect(result).not.toHaveProperty("additionalProperties");
  });

  it("keeps what is near the root when a branch is too large", () => {
    const many = Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`p${index}`, text]));
    const result = fitted(object({ first: object(many), last: text }));
    expect(result.properties).toHaveProperty("last", text);
  });

  it("drops alternatives as a whole where only some would fit, and cuts them at 16", () => {
    const arms = Array.from({ length: 20 }, (_, index) => ({ const: index }));
    expect((fitted({ anyOf: arms }).anyOf as unknown[]).length).toBe(16);
    const crowded = object({
      ...Object.fromEntries(Array.from({ length: 250 }, (_, index) => [`p${index}`, text])),
      choice: { anyOf: arms.slice(0, 10) },
    });
    expect((fitted(crowded).properties as { choice: object }).choice).toEqual({});
  });

  it("gives up prose before structure when the size is too large", () => {
    const prose = object(
      Object.fromEntries(
        Array.from({ length: 100 }, (_, index) => [`p${index}`, { ...text, title: "T", description: "x".repeat(500) }]),
      ),
    );
    const result = fitted(prose) as { properties: Record<string, { type: string; description?: string }> };
    expect(Object.keys(result.properties)).toHaveLength(100);
    expect(result.properties.p0).toEqual({ type: "string", description: "x".repeat(120) });
  });

  it("ends with any object when nothing else helps", () => {
    expect(fitted(object({}, { required: Array.from({ length: 5000 }, (_, index) => `name${index}`) }))).toEqual({
      type: "object",
    });
  });
});

describe("keywords", () => {
  it.each<[string, JsonObject, JsonObject]>([
    [
      "types of Python",
      object({ a: { type: "str" }, b: { type: "int" }, c: { type: "dict" }, d: { type: "list" } }),
      object({ a: text, b: { type: "integer" }, c: { type: "object" }, d: { type: "array" } }),
    ],
    ["types of Gemini", object({ a: { type: "STRING" } }), object({ a: text })],
    ["types nobody knows", object({ a: { type: "date", description: "d" } }), object({ a: { description: "d" } })],
    [
      "lists of types",
      object({ a: { type: ["str", "date", "string", "null"] } }),
      object({ a: { type: ["string", "null"] } }),
    ],
    [
      "long lists of values",
      object({ a: { ...text, enum: Array.from({ length: 257 }, (_, index) => `${index}`) } }),
      object({ a: text }),
    ],
    [
      "objects nobody knows",
      object({ a: { ...text, "x-ui": { $ref: "#" }, discriminator: { mapping: {} } }, b: { type: "any" } }),
      object({ a: text, b: {} }),
    ],
    [
      "booleans as schemas",
      object({ a: true, b: { type: "x", additionalProperties: false } }),
      object({ a: true, b: { additionalProperties: false } }),
    ],
  ])("%s", (_, schema, expected) => {
    expect(fitted(schema)).toEqual(expected);
  });

  it.each([
    ["look-ahead", "(?=a)b"],
    ["look-behind", "(?<!a)b"],
    ["back-reference", "(a)\\1"],
    ["named back-reference", "(?<a>x)\\k<a>"],
    ["atomic group", "(?>a)"],
    ["code points of JavaScript", "\\u00e4"],
    ["class of nothing", "[^]"],
    ["too many repetitions", "a{1,2000}"],
    ["possessive", "a++"],
    ["flags", "(?i)abc"],
    ["broken", "("],
    ["too long", "a".repeat(513)],
  ])("patterns that Go refuses go: %s", (_, pattern) => {
    expect(fitted(object({ a: { ...text, pattern } }))).toEqual(object({ a: text }));
  });

  it.each(["^\\d{4}-\\d{2}$", "[\\w.-]+@[\\w.-]+", "\\p{Lu}\\pL", "a{2,1000}", "\\x41", "(?<n>a)", "^\\S+\\/\\S+$"])(
    "patterns that Go takes stay: %s",
    (pattern) => {
      const schema = object({ a: { ...text, pattern } });
      expect(fitted(schema)).toBe(schema);
    },
  );

  it("takes a property called __proto__ for a property", () => {
    const schema = JSON.parse('{"type":"object","properties":{"__proto__":{"type":"str"}}}');
    expect(JSON.stringify(fitted(schema))).toBe('{"type":"object","properties":{"__proto__":{"type":"string"}}}');
  });
});

describe("what is told to be left out", () => {
  const dropped = (schema: JsonObject, more: Partial<typeof limits> = {}) =>
    fitSchema(schema, { ...limits, ...more }).dropped;

  it("is nothing where references are put in place, words translated, and ornaments kept", () => {
    const $defs = { A: { type: "str", title: "A" } };
    expect(dropped(object({ a: { $ref: "#/$defs/A", description: "x" } }, { $defs, $schema: "s" }))).toEqual([]);
    expect(dropped({ allOf: [{ $ref: "#/$defs/A" }], $defs })).toEqual([]);
  });

  it.each<[string, JsonObject, string]>([
    ["a circle", object({ me: { $ref: "#" } }), "recursion"],
    ["a reference to nothing", object({ a: { $ref: "#/nowhere" } }), "a reference that leads nowhere"],
    ["look-around", object({ a: { ...text, pattern: "(?=x)" } }), "pattern"],
    ["a long list", object({ a: { enum: Array.from({ length: 300 }, (_, index) => index) } }), "enum"],
    ["depth", nested(20), "items"],
    ["many arms", { anyOf: Array.from({ length: 20 }, () => text) }, "anyOf"],
    ["no type", object({ a: { type: "colour" } }), "type"],
    ["prose", object({ a: { ...text, description: "x".repeat(20_000) } }), "description"],
    ["all", object({}, { required: [1, "x".repeat(20_000)] }), "all but its type"],
  ])("is named: %s", (_, schema, expected) => {
    expect(dropped(schema)).toContain(expected);
  });

  it.each<JsonObject>([{ type: ["string", "null"] }, { anyOf: [text, { type: "null" }] }])(
    "is null where unions with it are avoided: %j",
    (schema) => {
      expect(dropped(object({ a: schema }), { nullUnions: "avoid" })).toHaveLength(1);
      expect(dropped(object({ a: schema }))).toEqual([]);
    },
  );
});

describe("the work for one schema", () => {
  const refersTo = (target: JsonObject) =>
    object(Object.fromEntries(Array.from({ length: 250 }, (_, i) => [`p${i}`, { $ref: "#/$defs/D" }])), {
      $defs: { D: target, E: { description: "d".repeat(1_000_000) } },
    });

  it("is bounded however often a wide one is referred to", () => {
    let read = 0;
    const wide = new Proxy(Object.fromEntries(Array.from({ length: 4_000 }, (_, i) => [`x${i}`, i])), {
      ownKeys(target) {
        const keys = Reflect.ownKeys(target);
        read += keys.length;
        return keys;
      },
    });
    fitted(refersTo(wide));
    expect(read).toBeLessThan(80_000);
  });

  it("does not write out a long text once for each reference to it", () => {
    const description = "d".repeat(4_000_000);
    expect(JSON.stringify(fitted(refersTo({ description, type: "string" }))).length).toBeLessThan(limits.maxBytes);
    expect(fitted(refersTo({ $ref: `#/$defs/E${"/a".repeat(1_000_000)}` }))).toMatchObject({ type: "object" });
  });
});
