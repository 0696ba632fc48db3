import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { cleanChatRequest } from "../../test/support/clean-chat-request.ts";
import { ZephError } from "../errors.ts";
import { checkMessages } from "../sandbox/classic/request.ts";
import { applyNetworkRules } from "../sandbox/rules.ts";
import { ACCEPTED_PARAMETERS } from "./parameters.ts";

const word = fc.constantFrom("", " ", "a", "b", "x".repeat(600), "auto", "required", "json_schema", "true", "-5", "7");
const plain = fc.oneof(word, fc.double(), fc.integer({ min: -3, max: 3000 }), fc.boolean(), fc.constant(null));
const anything = fc.oneof(
  plain,
  fc.constantFrom<unknown>({ a: 1 }, [[[]]], { effort: "x" }, { type: "auto" }, { include_usage: true }),
  fc.array(plain, { maxLength: 5 }),
);

/** Schemas grown from the leaves: three levels are enough for references to meet, and cheap to draw. */
const leaf = fc.constantFrom<unknown>(
  true,
  false,
  {},
  { type: "string" },
  { type: "STRING", pattern: "(?=a)" },
  { $ref: "#" },
  { $ref: "#/$defs/A" },
  { $ref: "#/properties/a" },
  { $ref: "elsewhere", description: "x".repeat(200) },
  { enum: Array.from({ length: 300 }, (_, index) => index) },
  { type: ["string", "null"], "x-other": { $defs: {} } },
);
const grow = (inner: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
  fc.record(
    {
      type: fc.constantFrom("object", "array", "date", 5),
      properties: fc.dictionary(fc.constantFrom("a", "b", "$ref", "definitions", "__proto__"), inner, { maxKeys: 3 }),
      items: fc.oneof(inner, fc.array(inner, { maxLength: 2 })),
      anyOf: fc.array(inner, { maxLength: 3 }),
      allOf: fc.array(inner, { maxLength: 2 }),
      $defs: fc.record({ A: inner, B: inner }),
      required: fc.constantFrom(["a"], ["b", 5]),
    },
    { requiredKeys: [] },
  );
const schema = fc.oneof(leaf, grow(leaf), grow(grow(leaf)));

const id = fc.constantFrom("a", "b", "functions.f:1", "", undefined, 5);
const call = fc.record(
  {
    id,
    type: fc.constantFrom("function", undefined),
    function: fc.record({
      name: fc.constantFrom("f", "g", " ", null),
      arguments: fc.constantFrom("{}", { a: 1 }, null),
    }),
  },
  { requiredKeys: [] },
);
const content = fc.oneof(
  { weight: 5, arbitrary: fc.constantFrom<unknown>("hi", "", null, undefined, [], [{ type: "text", text: "x" }]) },
  { weight: 1, arbitrary: anything },
);
const message = fc.record(
  {
    role: fc.constantFrom("user", "system", "assistant", "assistant", "tool", "tool", "function", "developer", "human"),
    content,
    tool_calls: fc.oneof(fc.array(call, { maxLength: 4 }), fc.constant(null), anything),
    tool_call_id: id,
    function_call: fc.oneof(fc.constant(null), fc.record({ name: word })),
    name: fc.constantFrom("f", null, undefined),
    refusal: fc.constant(null),
  },
  { requiredKeys: ["role", "content"] },
);
const tool = fc.record(
  {
    type: fc.constantFrom("function", "web_search", undefined),
    function: fc.record({ name: fc.constantFrom("f", "g", " "), parameters: schema }),
  },
  { requiredKeys: ["function"] },
);
const request = fc
  .tuple(
    fc.record({
      model: fc.constantFrom("m", "MiniMaxAI/MiniMax-M2.7"),
      messages: fc.array(message, { minLength: 1, maxLength: 6 }),
    }),
    fc.dictionary(fc.constantFrom(...ACCEPTED_PARAMETERS, "tags", "functions", "guided_json"), anything, {
      maxKeys: 8,
    }),
    fc.record(
      {
        tools: fc.array(tool, { maxLength: 3 }),
        response_format: fc.record({
          type: fc.constant("json_schema"),
          json_schema: fc.record({ name: word, schema }),
        }),
      },
      { requiredKeys: [] },
    ),
  )
  .map(([core, fields, schemas]) => ({ ...fields, ...schemas, ...core }));

/** The cleaned request, or nothing when the clean-up refused with an error of ours. */
function cleaned(body: object, access: "broker" | "native") {
  try {
    return cleanChatRequest(JSON.parse(JSON.stringify(body)), { access });
  } catch (error) {
    if (ZephError.is(error)) return undefined;
    throw error;
  }
}

describe("cleanChatRequest, for any request", () => {
  it("refuses in words, or gives what the network takes", () => {
    let accepted = 0;
    fc.assert(
      fc.property(request, (body) => {
        const result = cleaned(body, "broker");
        if (result === undefined) return;
        accepted += 1;
        expect(applyNetworkRules(JSON.parse(JSON.stringify(result.request)), "network")).toMatchObject({
          kind: "accepted",
        });
      }),
      { numRuns: 400, seed: 5 },
    );
    // Otherwise this would prove nothing but that everything is refused.
    expect(accepted).toBeGreaterThan(100);
  });

  it("has nothing left to do the second time", () => {
    fc.assert(
      fc.property(request, (body) => {
        const once = cleaned(body, "broker");
        if (once === undefined) return;
        expect(cleaned(once.request, "broker")).toMatchObject({ removed: [], changed: [], isUntouched: true });
      }),
      { numRuns: 200, seed: 6 },
    );
  });

  it("loses no message, call or result without naming it", () => {
    fc.assert(
      fc.property(request, (body) => {
        const result = cleaned(body, "broker");
        if (result === undefined) return;
        const after = result.request.messages as unknown[];
        const dropped = result.removed.filter((name) => /^messages\[\d+\]$/.test(name));
        expect(after.length + dropped.length).toBe(body.messages.length);
      }),
      { numRuns: 200, seed: 7 },
    );
  });

  it("keeps tool results of nodes' rules where their contents are not blank", () => {
    const turns = fc.array(fc.tuple(fc.array(id, { minLength: 1, maxLength: 4 })), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(turns, (conversation) => {
        const messages = conversation.flatMap(([ids]) => [
          {
            role: "assistant",
            content: null,
            tool_calls: ids.map((each) => ({ id: each, type: "function", function: { name: "f", arguments: "{}" } })),
          },
          ...ids.map((each) => ({ role: "tool", tool_call_id: each, content: "r", name: "f" })),
        ]);
        const result = cleaned({ model: "m", messages }, "native");
        expect(checkMessages(result?.request.messages as unknown[])).toBeUndefined();
        expect(result?.request.messages).toHaveLength(messages.length);
      }),
      { numRuns: 100, seed: 8 },
    );
  });
});
