import { describe, expect, it } from "vitest";
import { applyNetworkRules } from "./rules.ts";

const base = { model: "m", messages: [{ role: "user", content: "hi" }] };
const apply = (more: object) => applyNetworkRules({ ...base, ...more }, "network");
const refusal = (more: object) => {
  const result = apply(more);
  return result.kind === "refused" ? result.message : "accepted";
};
const cleaned = (more: object) => {
  const result = apply(more);
  if (result.kind === "refused") throw new Error(result.message);
  return result.request;
};
const tool = (parameters: unknown) => ({ tools: [{ type: "function", function: { name: "f", parameters } }] });
const call = (id: string) => ({ id, type: "function", function: { name: "f", arguments: "{}" } });

/** A schema of arrays inside each other; the root is at depth 1. */
const nested = (depth: number): object =>
  depth === 1 ? { type: "string" } : { type: "array", items: nested(depth - 1) };
const wide = (nodes: number) => ({
  type: "object",
  properties: Object.fromEntries(Array.from({ length: nodes - 1 }, (_, index) => [`p${index}`, { type: "null" }])),
});

describe("refusals", () => {
  it.each([
    ["unknown field", { tags: [] }, /parameter "tags" is currently rejected by the Gonka network/],
    ["unknown field inside extra_body", { extra_body: { guided_json: {} } }, /"guided_json" is currently rejected/],
    ["temperature", { temperature: "hot" }, /^temperature: must be a number$/],
    ["top_p", { top_p: 0 }, /^top_p: must be greater than 0$/],
    ["top_k", { top_k: 0 }, /^top_k: /],
    ["repetition_penalty", { repetition_penalty: 0 }, /^repetition_penalty: /],
    ["logit_bias", { logit_bias: Object.fromEntries(Array.from({ length: 1025 }, (_, i) => [i, 1])) }, /^logit_bias: /],
    ["max_tokens", { max_tokens: 0 }, /^max_tokens: must be an integer of at least 1$/],
    ["max_completion_tokens", { max_completion_tokens: 1.5 }, /^max_completion_tokens: /],
    ["seed", { seed: -1 }, /^seed: /],
    ["stop, too many", { stop: Array.from({ length: 17 }, () => "x") }, /^stop: /],
    ["stop, too long", { stop: "x".repeat(257) }, /^stop: /],
    ["stream", { stream: "yes" }, /^stream: must be a boolean$/],
    ["stream_options", { stream_options: { include_usage: true } }, /^stream_options: is only allowed when/],
    ["user", { user: "ü".repeat(257) }, /^user: .*512 bytes/],
    ["metadata", { metadata: { a: 1 } }, /^metadata: values must be strings/],
    ["reasoning_effort", { reasoning_effort: "max" }, /^reasoning_effort: must be one of none, minimal, low/],
    ["reasoning.effort", { reasoning: { effort: "max" } }, /^reasoning_effort: /],
    ["response_format", { response_format: { type: "xml" } }, /^response_format: type must be/],
    [
      "response_format name",
      { response_format: { type: "json_schema", json_schema: { name: "a b", schema: {} } } },
      /^response_format: json_schema.name/,
    ],
    [
      "response_format nodes",
      { response_format: { type: "json_schema", json_schema: { name: "a", schema: wide(129) } } },
      /node count exceeded: limit 128$/,
    ],
    [
      "two output formats",
      { structured_outputs: { choice: ["a"] }, response_format: { type: "text" } },
      /^structured_outputs: cannot be combined with response_format$/,
    ],
    ["tool_choice", { tool_choice: "any" }, /^tool_choice: /],
    ["chat_template_kwargs", { chat_template_kwargs: { tools: [] } }, /key tools is forbidden/],
    ["nesting", { metadata: JSON.parse(`${"[".repeat(40)}${"]".repeat(40)}`) }, /nesting depth exceeded: limit 32/],
  ])("%s", (_, more, message) => {
    expect(refusal(more)).toMatch(message);
  });

  it.each([
    ["type", { tools: [{ type: "web_search" }] }, /^tools\[0\]\.type: must be function$/],
    ["blank name", { tools: [{ type: "function", function: { name: " " } }] }, /^tools\[0\]\.function\.name/],
    ["reference", tool({ $ref: "#/x" }), /^tools\[0\]\.function\.parameters: schema reference keyword is forbidden/],
    ["definitions", tool({ type: "object", $defs: {} }), /reference keyword is forbidden: \$defs$/],
    ["depth", tool(nested(17)), /^tools\[0\]\.function\.parameters: nesting depth exceeded: limit 16$/],
    ["nodes", tool(wide(257)), /node count exceeded: limit 256$/],
    ["arms", tool({ anyOf: Array.from({ length: 17 }, () => ({})) }), /branch arms exceeded/],
    ["enum", tool({ enum: Array.from({ length: 257 }, (_, i) => i) }), /enum size exceeded/],
    ["size", tool({ description: "x".repeat(17_000) }), /serialized size exceeded/],
    ["type name", tool({ type: "date" }), /type is not a JSON Schema type/],
    ["pattern, look-ahead", tool({ type: "string", pattern: "(?=a)" }), /pattern does not compile/],
    ["pattern, broken", tool({ type: "string", pattern: "(" }), /pattern does not compile/],
  ])("tools: %s", (_, more, message) => {
    expect(refusal(more)).toMatch(message);
  });

  it.each([
    ["role", [{ role: "robot", content: "x" }], /^messages\[0\]\.role: must be one of developer, system/],
    ["image", [{ role: "user", content: [{ type: "image_url", image_url: {} }] }], /content\[0\]: only text parts/],
    ["no content", [{ role: "user" }], /^messages\[0\]\.content: is required$/],
    ["tool without id", [{ role: "tool", content: "x" }], /tool_call_id: is required/],
    ["function without name", [{ role: "function", content: "x" }], /^messages\[0\]\.name: is required$/],
    ["calls of a user", [{ role: "user", content: "x", tool_calls: [call("1")] }], /only allowed on assistant/],
    [
      "duplicate ids",
      [{ role: "assistant", tool_calls: [call("a"), call("b"), call("a")] }],
      /^messages\[0\]\.tool_calls\[2\]\.id is duplicated$/,
    ],
    ["too many", Array.from({ length: 2049 }, () => base.messages[0]), /^messages: at most 2048/],
    ["empty", [], /^messages: must be a non-empty array$/],
  ])("messages: %s", (_, messages, message) => {
    expect(refusal({ messages })).toMatch(message);
  });
});

describe("what passes", () => {
  it.each([
    ["depth 16", tool(nested(16))],
    ["256 nodes", tool(wide(256))],
    ["values that are not walked", tool({ type: "object", default: { $ref: "x" }, examples: [{ $defs: {} }] })],
    ["a named group of Go", tool({ type: "string", pattern: "(?P<year>\\d{4})" })],
    ["null for an absent field", { temperature: null, tool_choice: null, tools: null }],
    ["null calls", { messages: [{ role: "user", content: "x", tool_calls: null }] }],
    ["max_tokens 1", { max_tokens: 1 }],
    ["top_k -1", { top_k: -1 }],
  ])("%s", (_, more) => {
    expect(refusal(more)).toBe("accepted");
  });
});

describe("clean-up", () => {
  it("drops and forces without a word", () => {
    const more = {
      store: true,
      plugins: [],
      logprobs: true,
      top_logprobs: 3,
      reasoning_effort: "low",
      service_tier: "x",
    };
    expect(cleaned(more)).toEqual(base);
  });

  it("lifts extra_body, the top level wins", () => {
    const more = { temperature: 1, extra_body: { temperature: 2, top_k: 5, extra_body: { tags: [] } } };
    expect(cleaned(more)).toEqual({ ...base, temperature: 1, top_k: 5 });
  });

  it("clamps", () => {
    expect(cleaned({ temperature: 3, top_p: 1.5, frequency_penalty: -9, n: 9 })).toMatchObject({
      temperature: 2,
      top_p: 1,
      frequency_penalty: -2,
      n: 5,
    });
  });

  it("prepares tools", () => {
    const strict = { tools: [{ type: "function", function: { name: "f", strict: true } }], tool_choice: "required" };
    expect(cleaned(strict)).toMatchObject({ tools: [{ function: { name: "f" } }], tool_choice: "auto" });
    expect(JSON.stringify(cleaned(strict))).not.toContain("strict");
    expect(cleaned({ tools: [], tool_choice: "auto" })).toEqual(base);
  });

  it("translates the switches for thinking", () => {
    expect(cleaned({ enable_thinking: false, thinking: { type: "adaptive" } })).toEqual({
      ...base,
      chat_template_kwargs: { enable_thinking: false },
      thinking: { type: "enabled" },
    });
  });

  it("joins text parts, drops orphans and empty turns, fills empty results", () => {
    const messages = [
      {
        role: "user",
        content: [
          { type: "text", text: "a" },
          { type: "text", text: "b" },
        ],
      },
      { role: "assistant", content: "" },
      { role: "tool", tool_call_id: "orphan", content: "lost" },
      { role: "assistant", content: null, tool_calls: [call("1")] },
      { role: "tool", tool_call_id: "1", name: "f", content: "" },
    ];
    expect(cleaned({ messages }).messages).toEqual([
      { role: "user", content: "ab" },
      { role: "assistant", content: null, tool_calls: [call("1")] },
      { role: "tool", tool_call_id: "1", content: "<empty tool result>" },
    ]);
  });

  it("lets everything through when told so", () => {
    const body = { ...base, tags: ["x"], tool_choice: "required", temperature: 9 };
    expect(applyNetworkRules(body, "none")).toEqual({ kind: "accepted", request: body });
    expect(applyNetworkRules([], "none").kind).toBe("refused");
  });
});
