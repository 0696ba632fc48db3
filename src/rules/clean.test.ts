import { describe, expect, it } from "vitest";
import { cleanChatRequest } from "../../test/support/clean-chat-request.ts";
import { thrownBy } from "../../test/support/thrown-by.ts";
import { ZephError } from "../errors.ts";
import { applyNetworkRules } from "../sandbox/rules.ts";
import { type ToolsMemory, toolsMemory } from "./clean.ts";
import {
  ACCEPTED_PARAMETERS,
  type CleanUpOptions,
  DROPPED_PARAMETERS,
  FORBIDDEN_TEMPLATE_KEYS,
  FORCED_PARAMETERS,
} from "./parameters.ts";

const base = { model: "m", messages: [{ role: "user", content: "hi" }] };

function clean(more: object) {
  const cleaned = cleanChatRequest({ ...base, ...more }, { access: "broker" });
  // Whatever a rule does, the network itself must take the result.
  expect(applyNetworkRules(cleaned.request, "network")).toMatchObject({ kind: "accepted" });
  return cleaned;
}

/** What one field becomes; the rest of the request must stay. */
function fieldAfter(name: string, value: unknown, more: object = {}) {
  const { request, removed, changed } = clean({ ...more, [name]: value });
  const { [name]: after, ...rest } = request;
  expect(rest).toEqual({ ...base, ...more });
  return { after, named: removed.includes(name) ? "removed" : changed.includes(name) ? "changed" : "untouched" };
}

describe("a request that fits", () => {
  it("is sent as it came, the very object", () => {
    const request = {
      ...base,
      stream: true,
      stream_options: { include_usage: true },
      temperature: 0.7,
      top_p: 1,
      max_tokens: 100,
      stop: ["a", "b"],
      seed: 7,
      tools: [{ type: "function", function: { name: "f", parameters: { type: "object", properties: {} } } }],
      tool_choice: "auto",
    };
    const cleaned = cleanChatRequest(request, { access: "broker" });
    expect(cleaned.request).toBe(request);
    expect(cleaned).toMatchObject({ removed: [], changed: [], isUntouched: true });
  });
});

describe("unknown fields", () => {
  it.each([
    "tags",
    "guided_regex",
    "guided_grammar",
    "guided_choice",
    "enforced_tokens",
    "allowed_token_ids",
    "ignore_eos",
    "use_beam_search",
    "truncate_prompt_tokens",
    "prompt_logprobs",
    "partial",
    "web_search",
    "enable_search",
    "search_kwargs",
    "mask_sensitive_info",
    "verbosity",
    "web_search_options",
    "modalities",
    "audio",
    "prediction",
    "made_up",
    "__proto__x",
  ])("%s goes, and is named", (name) => {
    expect(ACCEPTED_PARAMETERS.has(name)).toBe(false);
    expect(clean({ [name]: { a: 1 } })).toMatchObject({ request: base, removed: [name] });
  });

  it.each([...DROPPED_PARAMETERS, ...FORCED_PARAMETERS])("%s stays: the network drops or sets it itself", (name) => {
    expect(clean({ [name]: "x" }).request).toEqual({ ...base, [name]: "x" });
  });

  it("goes without a word when it is null, which is how clients leave fields out", () => {
    expect(clean({ tags: null, temperature: null, tools: null })).toMatchObject({
      request: base,
      removed: [],
      changed: [],
    });
  });
});

describe("extra_body", () => {
  it.each([
    ["is lifted", { extra_body: { top_k: 5 } }, { top_k: 5 }],
    ["gives way to the top level", { top_k: 7, extra_body: { top_k: 5 } }, { top_k: 7 }],
    ["is lifted one level", { extra_body: { top_k: 5, extra_body: { seed: 1 } } }, { top_k: 5 }],
    ["is cleaned as well", { extra_body: { guided_regex: "x", temperature: 9 } }, { temperature: 2 }],
    ["goes when it is no object", { extra_body: "x" }, {}],
    ["goes when it is empty", { extra_body: {} }, {}],
  ])("%s", (_, more, expected) => {
    expect(clean(more).request).toEqual({ ...base, ...expected });
  });

  it("is named", () => {
    expect(clean({ extra_body: { top_k: 5, tags: [] } })).toMatchObject({ changed: ["extra_body"], removed: ["tags"] });
  });
});

describe("bounds", () => {
  const REMOVED = undefined;
  it.each<[field: string, given: unknown, after: unknown]>([
    ["temperature", 3, 2],
    ["temperature", -1, 0],
    ["temperature", "0.5", 0.5],
    ["temperature", "hot", REMOVED],
    ["temperature", Number.POSITIVE_INFINITY, REMOVED],
    ["top_p", 1.5, 1],
    ["top_p", 0, 1e-6],
    ["top_p", -1, 1e-6],
    ["top_p", [], REMOVED],
    ["top_k", 0, -1],
    ["top_k", -5, -1],
    ["top_k", 3.9, 3],
    ["top_k", "x", REMOVED],
    ["min_p", 2, 1],
    ["min_p", -2, 0],
    ["frequency_penalty", 5, 2],
    ["frequency_penalty", -5, -2],
    ["presence_penalty", 5, 2],
    ["presence_penalty", -5, -2],
    ["repetition_penalty", 3, 2],
    ["repetition_penalty", 0, REMOVED],
    ["repetition_penalty", -1, REMOVED],
    ["max_tokens", 0, REMOVED],
    ["max_tokens", -1, REMOVED],
    ["max_tokens", 10.7, 10],
    ["max_tokens", "50", 50],
    ["max_tokens", 1e300, REMOVED],
    ["max_completion_tokens", 0, REMOVED],
    ["max_completion_tokens", 1.5, 1],
    ["min_tokens", -1, REMOVED],
    ["min_tokens", 2.5, 2],
    ["n", 9, 5],
    ["n", 0, 1],
    ["n", 1.5, 1],
    ["n", "many", REMOVED],
    ["seed", -1, REMOVED],
    ["seed", 1.9, 1],
    ["seed", 2 ** 60, 2 ** 60 % 2 ** 53],
    ["seed", {}, REMOVED],
    ["stop", "x".repeat(257), REMOVED],
    ["stop", "", REMOVED],
    ["stop", [], REMOVED],
    ["stop", ["ok", "x".repeat(257), 5, ""], ["ok"]],
    ["stop", Array.from({ length: 20 }, (_, i) => `s${i}`), Array.from({ length: 16 }, (_, i) => `s${i}`)],
    ["stop_token_ids", [1, -1, 2.5, "3", 4], [1, 4]],
    ["stop_token_ids", Array.from({ length: 70 }, (_, i) => i), Array.from({ length: 64 }, (_, i) => i)],
    ["stop_token_ids", 5, REMOVED],
    ["bad_words", ["bad", " ", "", "x".repeat(129)], ["bad"]],
    ["bad_words", Array.from({ length: 70 }, (_, i) => `w${i}`), Array.from({ length: 64 }, (_, i) => `w${i}`)],
    ["bad_words", "bad", REMOVED],
    ["logit_bias", { 1: 150, 2: -150, 3: 5 }, { 1: 100, 2: -100, 3: 5 }],
    ["logit_bias", { 1: "x", 2: 5 }, { 2: 5 }],
    ["logit_bias", [], REMOVED],
    ["user", "ü".repeat(300), "ü".repeat(256)],
    ["user", 42, "42"],
    ["user", {}, REMOVED],
    ["safety_identifier", "x".repeat(513), REMOVED],
    ["metadata", { a: 1, b: true, c: "x".repeat(600) }, { a: "1", b: "true", c: "x".repeat(512) }],
    ["metadata", { ["k".repeat(65)]: "v", ok: "v" }, { ok: "v" }],
    ["metadata", "x", REMOVED],
    ["stream", "yes", REMOVED],
    ["stream", "true", true],
    ["stream", 0, false],
    ["skip_special_tokens", "false", false],
    ["detokenize", 1, true],
    ["detokenize", "x", REMOVED],
    ["parallel_tool_calls", "true", true],
    ["reasoning_effort", "max", "xhigh"],
    ["reasoning_effort", "turbo", REMOVED],
    ["reasoning", { effort: "max" }, { effort: "xhigh" }],
    ["reasoning", { effort: "turbo" }, REMOVED],
    ["reasoning", "high", REMOVED],
    ["thinking", true, { type: "enabled" }],
    ["thinking", false, { type: "disabled" }],
    ["thinking", "on", REMOVED],
    ["thinking_token_budget", -1, REMOVED],
    ["tool_choice", "auto", REMOVED],
    ["tools", [], REMOVED],
    ["tools", "x", REMOVED],
    ["stream_options", { include_usage: true }, REMOVED],
  ])("%s %j becomes %j", (field, given, after) => {
    expect(fieldAfter(field, given)).toEqual({ after, named: after === REMOVED ? "removed" : "changed" });
  });

  it.each<[field: string, value: unknown]>([
    ["top_k", -1],
    ["top_k", 1],
    ["temperature", 0],
    ["seed", 0],
    ["max_tokens", 1],
    ["n", 5],
    ["user", "x".repeat(512)],
    ["stop", "END"],
    ["metadata", { a: "b" }],
    ["reasoning_effort", "none"],
    ["reasoning", { effort: "low", summary: "auto" }],
    ["thinking", { type: "adaptive" }],
    ["thinking_token_budget", 0],
    ["enable_thinking", false],
    ["reasoning_split", true],
    ["logit_bias", { 5: -100 }],
  ])("%s %j stays", (field, value) => {
    expect(fieldAfter(field, value)).toEqual({ after: value, named: "untouched" });
  });

  it("keeps the strongest 1024 biases", () => {
    const biases = Object.fromEntries(Array.from({ length: 1100 }, (_, index) => [index, index / 11]));
    const kept = clean({ logit_bias: biases }).request.logit_bias as Record<string, number>;
    expect(Object.keys(kept)).toHaveLength(1024);
    expect(kept).toHaveProperty("1099");
    expect(kept).not.toHaveProperty("5");
  });

  it("keeps sixteen entries of metadata", () => {
    const many = Object.fromEntries(Array.from({ length: 20 }, (_, index) => [`k${index}`, "v"]));
    expect(Object.keys(clean({ metadata: many }).request.metadata as object)).toHaveLength(16);
  });

  it("takes a field away that is nested deeper than a request may be", () => {
    const deep = JSON.parse(`${"[".repeat(40)}${"]".repeat(40)}`);
    expect(clean({ provider: deep })).toMatchObject({ request: base, removed: ["provider"] });
  });
});

describe("fields that depend on each other", () => {
  it.each<[string, object, object]>([
    ["min_tokens above max_tokens", { min_tokens: 50, max_tokens: 10 }, { min_tokens: 10, max_tokens: 10 }],
    [
      "min_tokens above the smaller of two limits",
      { min_tokens: 50, max_tokens: 20, max_completion_tokens: 10 },
      { min_tokens: 10, max_tokens: 20, max_completion_tokens: 10 },
    ],
    ["min_tokens with stop_token_ids", { min_tokens: 5, stop_token_ids: [1] }, { stop_token_ids: [1] }],
    ["several answers without chance", { n: 3, temperature: 0 }, { n: 1, temperature: 0 }],
    ["stream_options without a stream", { stream: false, stream_options: {} }, { stream: false }],
    [
      "stream_options with more than usage",
      { stream: true, stream_options: { include_usage: true, include_obfuscation: false } },
      { stream: true, stream_options: { include_usage: true } },
    ],
    ["stream_options without usage", { stream: true, stream_options: { other: 1 } }, { stream: true }],
    ["stream_options that are none", { stream: true, stream_options: 5 }, { stream: true }],
  ])("%s", (_, more, expected) => {
    expect(clean(more).request).toEqual({ ...base, ...expected });
  });
});

describe("chat_template_kwargs", () => {
  it.each([...FORBIDDEN_TEMPLATE_KEYS])("loses %s, which would take the template over", (key) => {
    expect(clean({ chat_template_kwargs: { [key]: "x", thinking: false } }).request.chat_template_kwargs).toEqual({
      thinking: false,
    });
  });

  it.each<[string, unknown]>([
    ["too deep", JSON.parse(`${'{"a":'.repeat(17)}1${"}".repeat(17)}`)],
    ["too many values", Object.fromEntries(Array.from({ length: 130 }, (_, index) => [index, 1]))],
    ["too large", { a: "x".repeat(17_000) }],
    ["no object", "thinking"],
    ["nothing but forbidden keys", { tools: [] }],
  ])("goes as a whole: %s", (_, value) => {
    expect(clean({ chat_template_kwargs: value })).toMatchObject({ request: base, removed: ["chat_template_kwargs"] });
  });
});

describe("older and neighbouring APIs", () => {
  const schema = { type: "object", properties: { a: { type: "string" } } };
  const definition = { name: "f", parameters: schema };
  const tool = { type: "function", function: definition };
  it.each<[string, object, object, string[]]>([
    ["functions", { functions: [definition] }, { tools: [tool] }, ["functions"]],
    [
      "function_call by name",
      { functions: [definition], function_call: { name: "f" } },
      { tools: [tool], tool_choice: { type: "function", function: { name: "f" } } },
      ["functions", "function_call"],
    ],
    [
      "function_call in a word",
      { functions: [definition], function_call: "none" },
      { tools: [tool], tool_choice: "none" },
      ["functions", "function_call"],
    ],
    ["functions beside tools", { functions: [{ name: "g" }], tools: [tool] }, { tools: [tool] }, ["functions"]],
    [
      "guided_json",
      { guided_json: schema },
      { response_format: { type: "json_schema", json_schema: { name: "answer", schema } } },
      ["guided_json"],
    ],
    [
      "guided_json as text",
      { guided_json: JSON.stringify(schema) },
      { response_format: { type: "json_schema", json_schema: { name: "answer", schema } } },
      ["guided_json"],
    ],
    [
      "guided_json beside response_format",
      { guided_json: schema, response_format: { type: "text" } },
      { response_format: { type: "text" } },
      ["guided_json"],
    ],
    [
      "structured_outputs with a schema",
      { structured_outputs: { json: schema } },
      { response_format: { type: "json_schema", json_schema: { name: "answer", schema } } },
      ["structured_outputs"],
    ],
    [
      "structured_outputs with any JSON",
      { structured_outputs: { json_object: true } },
      { response_format: { type: "json_object" } },
      ["structured_outputs"],
    ],
    [
      "structured_outputs beside response_format",
      { structured_outputs: { choice: ["a"] }, response_format: { type: "text" } },
      { response_format: { type: "text" } },
      ["structured_outputs"],
    ],
    ["structured_outputs of another kind", { structured_outputs: { choice: ["a"] } }, {}, ["structured_outputs"]],
  ])("%s", (_, more, expected, removed) => {
    expect(clean(more)).toMatchObject({ request: { ...base, ...expected }, removed });
  });

  it.each<[string, object]>([
    ["choice", { choice: ["yes", "no"] }],
    ["grammar", { grammar: "root ::= [a-z]" }],
    ["tag", { structural_tag: { begin: "<a>" } }],
  ])("MiniMax keeps structured_outputs: %s", (_, value) => {
    const more = { model: "MiniMaxAI/MiniMax-M2.7", structured_outputs: value };
    expect(clean(more)).toMatchObject({ request: { structured_outputs: value }, removed: [] });
  });

  it.each<[string, object]>([
    ["too many choices", { choice: Array.from({ length: 257 }, () => "x") }],
    ["a choice too long", { choice: ["x".repeat(1025)] }],
    ["grammar too long", { grammar: "x".repeat(8193) }],
    ["grammar too deep", { grammar: `${"(".repeat(201)}${")".repeat(201)}` }],
    ["tag as text", { structural_tag: "<a>" }],
    ["tag too long", { structural_tag: { begin: "x".repeat(4097) } }],
  ])("MiniMax loses structured_outputs out of bounds: %s", (_, value) => {
    const more = { model: "MiniMaxAI/MiniMax-M2.7", structured_outputs: value };
    expect(clean(more).removed).toEqual(["structured_outputs"]);
  });
});

describe("response_format", () => {
  const schema = { type: "object", properties: { a: { type: "string" } } };
  const fitting = { type: "json_schema", json_schema: { name: "n", schema, strict: true } };
  it.each<[string, unknown, unknown]>([
    ["text", { type: "text" }, { type: "text" }],
    ["any JSON", { type: "json_object" }, { type: "json_object" }],
    ["a schema", fitting, fitting],
    ["a bare word", "json_object", { type: "json_object" }],
    ["type json", { type: "json" }, { type: "json_object" }],
    ["unknown type", { type: "xml" }, undefined],
    ["no object", 5, undefined],
    ["a schema without schema", { type: "json_schema", json_schema: { name: "n" } }, { type: "json_object" }],
    [
      "a name with other letters",
      { type: "json_schema", json_schema: { name: "my answer ü", schema } },
      { type: "json_schema", json_schema: { name: "my_answer__", schema } },
    ],
    [
      "a name too long",
      { type: "json_schema", json_schema: { name: "x".repeat(70), schema } },
      { type: "json_schema", json_schema: { name: "x".repeat(64), schema } },
    ],
    [
      "no name",
      { type: "json_schema", json_schema: { schema } },
      { type: "json_schema", json_schema: { name: "answer", schema } },
    ],
    [
      "the flat form of the Responses API",
      { type: "json_schema", name: "n", schema, strict: true },
      { type: "json_schema", json_schema: { name: "n", schema, strict: true } },
    ],
  ])("%s", (_, given, after) => {
    expect(clean({ response_format: given }).request.response_format).toEqual(after);
  });

  it("brings a schema within 128 nodes", () => {
    const properties = Object.fromEntries(Array.from({ length: 200 }, (_, index) => [`p${index}`, { type: "null" }]));
    const wide = { type: "json_schema", json_schema: { name: "n", schema: { type: "object", properties } } };
    expect(clean({ response_format: wide }).changed).toEqual(["response_format"]);
  });
});

describe("what cannot be mended", () => {
  const image = { type: "image_url", image_url: { url: "data:," } };
  it.each<[string, object, string, RegExp]>([
    [
      "an image",
      { messages: [{ role: "user", content: [image] }] },
      "unsupported_capability",
      /^messages\[0\]\.content\[0\]: image_url is not text/,
    ],
    [
      "a video",
      { messages: [{ role: "user", content: [{ type: "video_url" }] }] },
      "unsupported_capability",
      /video_url is not text/,
    ],
    [
      "sound",
      { messages: [{ role: "user", content: [{ type: "input_audio" }] }] },
      "unsupported_capability",
      /input_audio/,
    ],
    [
      "a file",
      { messages: [{ role: "user", content: [{ type: "file" }] }] },
      "unsupported_capability",
      /file is not text/,
    ],
    ["no messages", { messages: [] }, "invalid_request", /^messages: must be a list/],
    ["messages as text", { messages: "hi" }, "invalid_request", /^messages: must be a list/],
    ["a message as text", { messages: ["hi"] }, "invalid_request", /^messages\[0\]: must be an object$/],
    [
      "too many messages",
      { messages: Array.from({ length: 2049 }, () => base.messages[0]) },
      "invalid_request",
      /2048 at most/,
    ],
    [
      "an unknown role",
      { messages: [{ role: "robot", content: "x" }] },
      "invalid_request",
      /^messages\[0\]\.role: must be one of/,
    ],
    [
      "content that is none",
      { messages: [{ role: "user", content: { a: 1 } }] },
      "invalid_request",
      /^messages\[0\]\.content: /,
    ],
    [
      "a part that is a list",
      { messages: [{ role: "user", content: [["hi"]] }] },
      "invalid_request",
      /^messages\[0\]\.content\[0\]: must be a text part$/,
    ],
    [
      "an unknown part",
      { messages: [{ role: "user", content: [{ type: "odd" }] }] },
      "invalid_request",
      /^messages\[0\]\.content\[0\]\.type: /,
    ],
    [
      "nothing said",
      { messages: [{ role: "assistant", content: "" }] },
      "invalid_request",
      /none of them says anything/,
    ],
    [
      "a Responses body",
      { messages: undefined, input: "hi" },
      "invalid_request",
      /looks like a request of the Responses API/,
    ],
  ])("%s", (_, more, code, detail) => {
    const error = thrownBy(() => cleanChatRequest({ ...base, ...more }, { access: "broker" }));
    expect(error).toMatchObject({ code, detail: expect.stringMatching(detail) });
    expect(ZephError.is(error) && error.httpStatus).toBe(400);
  });

  it("does not repeat what is not a plain word", () => {
    const messages = [{ role: "user", content: [{ type: "image gp-secretsecretsecret" }] }];
    expect(thrownBy(() => cleanChatRequest({ ...base, messages }, { access: "broker" })).message).not.toContain(
      "secret",
    );
  });
});

const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const definition = { name: "f", description: "d", parameters };
const tool = { type: "function", function: definition };

function cleanInCleanTools(more: object, options: Partial<CleanUpOptions> = {}) {
  const cleaned = cleanChatRequest({ ...base, ...more }, { access: "broker", ...options });
  if (options.keepToolType === undefined) {
    expect(applyNetworkRules(cleaned.request, "network")).toMatchObject({ kind: "accepted" });
  }
  return cleaned;
}

describe("tools", () => {
  it.each<[string, unknown, unknown]>([
    ["fitting", tool, tool],
    [
      "with strict, which the network drops",
      { ...tool, function: { ...definition, strict: true } },
      { ...tool, function: { ...definition, strict: true } },
    ],
    ["without type", { function: definition }, tool],
    ["flat, as in the Responses API", { type: "function", ...definition }, tool],
    ["as in the Messages API", { name: "f", description: "d", input_schema: parameters }, tool],
    [
      "parameters null",
      { type: "function", function: { name: "f", parameters: null } },
      { type: "function", function: { name: "f" } },
    ],
    [
      "parameters that are no schema",
      { type: "function", function: { name: "f", parameters: "x" } },
      { type: "function", function: { name: "f", parameters: { type: "object", properties: {} } } },
    ],
  ])("%s", (_, given, after) => {
    expect(cleanInCleanTools({ tools: [given] }).request.tools).toEqual([after]);
  });

  it.each<[string, unknown]>([
    ["of another kind", { type: "web_search" }],
    ["with a blank name", { type: "function", function: { name: " " } }],
    ["without a definition", { type: "function" }],
    ["that are none", "f"],
  ])("%s go, and are named", (_, given) => {
    expect(cleanInCleanTools({ tools: [given, tool] })).toMatchObject({
      request: { tools: [tool] },
      removed: ["tools[0]"],
    });
  });

  it("of the broker's own kinds stay", () => {
    const own = { type: "gonkagate:web_search" };
    const keepToolType = (type: string) => type.startsWith("gonkagate:");
    expect(cleanInCleanTools({ tools: [own, tool] }, { keepToolType }).request.tools).toEqual([own, tool]);
    expect(cleanInCleanTools({ tools: [own, tool] }).request.tools).toEqual([tool]);
  });

  it("go together with the choice when none is left", () => {
    expect(cleanInCleanTools({ tools: [{ type: "web_search" }], tool_choice: "required" })).toMatchObject({
      request: base,
      removed: ["tools[0]", "tools", "tool_choice"],
    });
  });
});

describe("tool_choice", () => {
  const named = { type: "function", function: { name: "f" } };
  it.each<[unknown, unknown]>([
    ["auto", "auto"],
    ["none", "none"],
    ["required", "required"],
    [named, named],
    ["any", "required"],
    [{ type: "any" }, "required"],
    [{ type: "none" }, "none"],
    [{ type: "auto" }, "auto"],
    [{ type: "tool", name: "f" }, named],
    [{ type: "function", name: "f" }, named],
    [{ type: "function", function: { name: "gone" } }, "auto"],
    [{ type: "allowed_tools", tools: [] }, "auto"],
    ["whatever", "auto"],
    [5, "auto"],
  ])("%j becomes %j", (given, after) => {
    expect(cleanInCleanTools({ tools: [tool], tool_choice: given }).request.tool_choice).toEqual(after);
  });

  it("of a name over 64 bytes becomes auto", () => {
    const name = "x".repeat(65);
    const tools = [{ type: "function", function: { name } }];
    expect(
      cleanInCleanTools({ tools, tool_choice: { type: "function", function: { name } } }).request.tool_choice,
    ).toBe("auto");
  });
});

describe("MiniMax", () => {
  const model = "MiniMaxAI/MiniMax-M2.7";
  it.each<[string, object, object]>([
    ["a union of types", { type: ["string", "null"] }, { type: "string" }],
    ["several types", { type: ["string", "number", "null"] }, { type: ["string", "number"] }],
    [
      "alternatives",
      { anyOf: [{ type: "string" }, { type: "null" }], default: null },
      { type: "string", default: null },
    ],
    [
      "three alternatives",
      { anyOf: [{ type: "string" }, { type: "null" }, { type: "number" }] },
      { anyOf: [{ type: "string" }, { type: "number" }] },
    ],
    ["nothing but null", { type: "null" }, { type: "null" }],
  ])("gets no unions with null: %s", (_, given, after) => {
    const tools = (schema: object) => [
      { type: "function", function: { name: "f", parameters: { type: "object", properties: { a: schema } } } },
    ];
    expect(cleanInCleanTools({ model, tools: tools(given) }).request.tools).toEqual(tools(after));
    expect(cleanInCleanTools({ model: "moonshotai/Kimi-K2.6", tools: tools(given) }).request.tools).toEqual(
      tools(given),
    );
  });
});

describe("tools that were seen before", () => {
  const odd = {
    type: "function",
    function: { name: "f", parameters: { $ref: "#/$defs/a", $defs: { a: { type: "object" } } } },
  };
  const fine = { type: "function", function: { name: "g", parameters: { type: "object", properties: {} } } };
  const cleanWith = (memory: ToolsMemory, more: object, key = "k") =>
    cleanChatRequest({ ...base, ...more }, { access: "broker", tools: { key, memory } });

  it("come out the same as the first time, with the same names told", () => {
    const memory = toolsMemory(4);
    const tools = [odd, fine, { type: "web_search" }];
    const first = cleanWith(memory, { tools, tool_choice: "any" });
    expect(first.removed.concat(first.changed)).toEqual(["tools[2]", "tools[0]", "tool_choice"]);
    expect(cleanWith(memory, { tools: structuredClone(tools), tool_choice: "any" })).toEqual(first);
  });

  it("go on as they came where nothing is wrong with them", () => {
    const memory = toolsMemory(4);
    cleanWith(memory, { tools: [fine] });
    const request = { ...base, tools: [structuredClone(fine)] };
    expect(cleanChatRequest(request, { access: "broker", tools: { key: "k", memory } }).request).toBe(request);
  });

  it("are judged anew for a model with rules of its own, and where they came another way", () => {
    const memory = toolsMemory(4);
    const union = {
      type: "function",
      function: { name: "u", parameters: { type: "object", properties: { a: { type: ["string", "null"] } } } },
    };
    expect(cleanWith(memory, { tools: [union] }).changed).toEqual([]);
    expect(cleanWith(memory, { tools: [union], model: "minimax/m" }).changed).toEqual(["tools[0]"]);
    const functions = [{ name: "other", parameters: { type: "object", properties: {} } }];
    expect(cleanWith(memory, { functions }).request.tools).toMatchObject([{ function: { name: "other" } }]);
  });

  it("are forgotten when others came since", () => {
    const memory = toolsMemory(2);
    for (const key of ["1", "2", "3"]) cleanWith(memory, { tools: [odd] }, key);
    expect(["1", "2", "3"].map((key) => memory.get(`keep ${key}`) !== undefined)).toEqual([false, true, true]);
  });
});
