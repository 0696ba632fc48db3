import { describe, expect, it } from "vitest";
import { cleanChatRequest } from "../../../test/support/clean-chat-request.ts";
import { shapesOf } from "../../../test/support/shapes.ts";
import { thrownBy } from "../../../test/support/thrown-by.ts";
import type { JsonObject } from "../../base/json.ts";
import { ZephError } from "../../errors.ts";
import { applyNetworkRules } from "../../sandbox/rules.ts";
import { seal } from "./dialect.ts";
import { messagesRefusal, messagesToChat, messageTokens } from "./messages.ts";

const hi = { role: "user", content: "hi" };
const translate = (body: JsonObject) => messagesToChat({ model: "m", max_tokens: 9, messages: [hi], ...body });
const messagesOf = (...messages: unknown[]) => translate({ messages }).chat.messages;
const chatOf = (body: JsonObject) => {
  const { model: _, max_tokens: __, messages: ___, ...rest } = translate(body).chat;
  return rest;
};

describe("requests of real clients", () => {
  it.each([...shapesOf("/v1/messages"), ...shapesOf("/v1/messages/count_tokens")])("$client ($name)", ({ body }) => {
    const { chat } = messagesToChat(body);
    const { request, removed } = cleanChatRequest(JSON.parse(JSON.stringify(chat)), { access: "native" });
    expect(applyNetworkRules(request, "network")).toMatchObject({ kind: "accepted" });
    expect(removed).toEqual([]);
    expect(JSON.stringify(chat)).not.toContain("cache_control");
  });

  it("of Claude Code keep every tool, the system words, and the schema of the title", () => {
    const shapes = new Map(shapesOf("/v1/messages").map((shape) => [shape.name, shape.body]));
    const turn = messagesToChat(shapes.get("claude-messages-tool-turn2.json") ?? {});
    expect(turn.chat.tools).toHaveLength(24);
    expect((turn.chat.messages as { role: string }[]).map(({ role }) => role)).toEqual([
      "system",
      "user",
      "system",
      "assistant",
      "tool",
    ]);
    expect(turn.dropped).toEqual(["context_management"]);
    expect(turn.context.thinking).toBe("shown");
    const title = messagesToChat(shapes.get("claude-messages-title.json") ?? {});
    expect(title.chat.response_format).toMatchObject({ type: "json_schema", json_schema: { name: "answer" } });
    expect(title.chat).not.toHaveProperty("tools");
  });
});

describe("messages", () => {
  it("put results behind their calls, and what else the user says behind them", () => {
    expect(
      messagesOf(
        hi,
        {
          role: "assistant",
          content: [
            { type: "thinking", thinking: "hm", signature: "zeph" },
            { type: "text", text: "I look" },
            { type: "tool_use", id: "a", name: "f", input: { x: 1 } },
            { type: "tool_use", id: "b", name: "g", input: {} },
          ],
        },
        {
          role: "user",
          content: [
            { type: "text", text: "and hurry" },
            { type: "tool_result", tool_use_id: "b", is_error: true, content: "not found" },
            { type: "tool_result", tool_use_id: "a", content: [{ type: "text", text: "one" }], cache_control: {} },
          ],
        },
      ),
    ).toEqual([
      hi,
      {
        role: "assistant",
        content: "I look",
        reasoning_content: "hm",
        tool_calls: [
          { id: "a", type: "function", function: { name: "f", arguments: '{"x":1}' } },
          { id: "b", type: "function", function: { name: "g", arguments: "{}" } },
        ],
      },
      { role: "tool", tool_call_id: "b", content: "Error: not found" },
      { role: "tool", tool_call_id: "a", content: "one" },
      { role: "user", content: "and hurry" },
    ]);
  });

  it.each<[string, object, unknown]>([
    ["nothing", {}, ""],
    ["nothing, as an error", { is_error: true }, "Error"],
    ["an error that says so", { is_error: true, content: "Error: gone" }, "Error: gone"],
    ["several texts", { content: ["a", { type: "text", text: "b" }] }, "a\nb"],
    [
      "a reference to a tool",
      { content: [{ type: "tool_reference", tool_name: "t" }] },
      "The tool t can be called now.",
    ],
    [
      "something found",
      { content: [{ type: "search_result", title: "T", source: "s", content: [{ type: "text", text: "x" }] }] },
      "T (s)\nx",
    ],
  ])("a result may hold %s", (_, fields, content) => {
    const call = { role: "assistant", content: [{ type: "tool_use", id: "a", name: "f", input: {} }] };
    const result = { role: "user", content: [{ type: "tool_result", tool_use_id: "a", ...fields }] };
    expect(messagesOf(call, result)).toMatchObject([{}, { role: "tool", tool_call_id: "a", content }]);
  });

  it("pictures keep their place, also those of results", () => {
    const image = { type: "image", source: { type: "base64", media_type: "image/png", data: "AA==" } };
    const part = { type: "image_url", image_url: { url: "data:image/png;base64,AA==" } };
    const call = { role: "assistant", content: [{ type: "tool_use", id: "a", name: "f", input: {} }] };
    const result = { role: "user", content: [{ type: "tool_result", tool_use_id: "a", content: [image] }] };
    expect(messagesOf({ role: "user", content: [image, { type: "text", text: "?" }] })).toEqual([
      { role: "user", content: [part, { type: "text", text: "?" }] },
    ]);
    expect(messagesOf(hi, call, result)).toMatchObject([
      hi,
      {},
      { role: "tool", content: "(see the attached content below)" },
      { role: "user", content: [{ type: "text" }, part] },
    ]);
  });

  it("documents are text where they are text", () => {
    const text = { type: "document", title: "T", source: { type: "text", media_type: "text/plain", data: "abc" } };
    const inner = { type: "document", source: { type: "content", content: [{ type: "text", text: "x" }] } };
    const pdf = { type: "document", source: { type: "url", url: "https://x.test/a.pdf" } };
    expect(messagesOf({ role: "user", content: [text, inner, pdf] })).toEqual([
      {
        role: "user",
        content: [
          { type: "text", text: "T" },
          { type: "text", text: "abc" },
          { type: "text", text: "x" },
          { type: "file", file: { file_data: "https://x.test/a.pdf" } },
        ],
      },
    ]);
  });

  it("system words may be a text, blocks, or messages; the note for Anthropic's servers is none", () => {
    const system = [
      { type: "text", text: "x-anthropic-billing-header: cc_version=2.1; cch=1;" },
      { type: "text", text: "a", cache_control: { type: "ephemeral" } },
      { type: "text", text: "b" },
    ];
    expect(
      translate({ system, messages: [hi, { role: "system", content: [{ type: "text", text: "c" }] }] }).chat,
    ).toMatchObject({ messages: [{ role: "system", content: "a\n\nb" }, hi, { role: "system", content: "c" }] });
    expect(translate({ system: "a" }).chat.messages).toEqual([{ role: "system", content: "a" }, hi]);
  });

  it("thoughts that were left out of the answer come back through their signature", () => {
    const thinking = { type: "thinking", thinking: "", signature: seal("hm") };
    const content = [{ type: "redacted_thinking", data: "x" }, thinking, { type: "text", text: "a" }];
    expect(messagesOf({ role: "assistant", content })).toEqual([
      { role: "assistant", reasoning_content: "hm", content: "a" },
    ]);
  });
});

describe("fields", () => {
  const tools = [
    {
      name: "f",
      description: "d",
      input_schema: { type: "object" },
      cache_control: { type: "ephemeral" },
      defer_loading: true,
    },
  ];
  const chatTools = [{ type: "function", function: { name: "f", description: "d", parameters: { type: "object" } } }];

  it.each<[JsonObject, JsonObject]>([
    [
      { temperature: 0, top_p: 0.5, top_k: 4 },
      { temperature: 0, top_p: 0.5, top_k: 4 },
    ],
    [{ stop_sequences: ["a", "b"] }, { stop: ["a", "b"] }],
    [{ stop_sequences: [] }, {}],
    [{ stream: true }, { stream: true, stream_options: { include_usage: true } }],
    [{ metadata: { user_id: "u" }, service_tier: "auto", cache_control: { type: "ephemeral" } }, {}],
    [{ thinking: { type: "adaptive" } }, {}],
    [{ thinking: { type: "disabled" } }, { thinking: { type: "disabled" } }],
    [
      { thinking: { type: "enabled", budget_tokens: 2000 } },
      { thinking: { type: "enabled" }, thinking_token_budget: 2000 },
    ],
    [{ output_config: { effort: "low" } }, { reasoning_effort: "low" }],
    [{ tools }, { tools: chatTools }],
    [{ tools: [], tool_choice: { type: "auto" } }, {}],
    [
      { tools, tool_choice: { type: "auto" } },
      { tools: chatTools, tool_choice: "auto" },
    ],
    [
      { tools, tool_choice: { type: "any" } },
      { tools: chatTools, tool_choice: "required" },
    ],
    [
      { tools, tool_choice: { type: "none" } },
      { tools: chatTools, tool_choice: "none" },
    ],
    [
      { tools, tool_choice: { type: "tool", name: "f", disable_parallel_tool_use: true } },
      { tools: chatTools, tool_choice: { type: "function", function: { name: "f" } }, parallel_tool_calls: false },
    ],
  ])("%j", (given, expected) => {
    expect(chatOf(given)).toEqual(expected);
  });

  it("leave out and name what the network has none of", () => {
    const { chat, dropped } = translate({
      tools: [
        { type: "web_search_20250305", name: "web_search" },
        { type: "custom", ...tools[0] },
      ],
      mcp_servers: [{ type: "url", url: "https://x.test", name: "x" }],
      messages: [
        hi,
        { role: "assistant", content: [{ type: "server_tool_use", id: "s", name: "web_search", input: {} }] },
      ],
    });
    expect(dropped).toEqual(["mcp_servers", "messages[1].content[0].server_tool_use", "tools[0].web_search_20250305"]);
    expect(chat).toMatchObject({ tools: chatTools, messages: [hi] });
  });
});

describe("refused in words", () => {
  it.each<[string, JsonObject]>([
    ["messages", { messages: undefined }],
    ["messages", { messages: [] }],
    ["messages[0].role", { messages: [{ role: "human", content: "x" }] }],
    ["messages[0].content", { messages: [{ role: "user", content: 5 }] }],
    ["messages[0].content[0]", { messages: [{ role: "user", content: [5] }] }],
    [
      "messages[0].content[0].source",
      { messages: [{ role: "user", content: [{ type: "image", source: { type: "file" } }] }] },
    ],
  ])("%s", (at, body) => {
    const error = thrownBy(() => translate(body)) as ZephError;
    expect(error.code).toBe("invalid_request");
    expect(error.detail?.startsWith(`${at}: `)).toBe(true);
  });

  it.each<[ConstructorParameters<typeof ZephError>[0], number, string]>([
    ["invalid_request", 400, "invalid_request_error"],
    ["local_key_refused", 401, "authentication_error"],
    ["insufficient_quota", 402, "billing_error"],
    ["model_not_found", 404, "not_found_error"],
    ["request_too_large", 413, "request_too_large"],
    ["rate_limited", 429, "rate_limit_error"],
    ["internal", 500, "api_error"],
    ["unreachable", 502, "api_error"],
    ["service_unavailable", 503, "overloaded_error"],
    ["timeout_headers", 504, "timeout_error"],
  ])("%s in Anthropic's form", (code, status, type) => {
    expect(messagesRefusal(new ZephError(code), "req_1")).toMatchObject({
      status,
      body: { type: "error", error: { type, message: expect.stringMatching(/\w/) }, request_id: "req_1" },
    });
  });

  it("so that Claude Code shortens a conversation that is too long", () => {
    const { body } = messagesRefusal(new ZephError("context_length"));
    expect(body).toMatchObject({ error: { message: expect.stringMatching(/^prompt is too long: /) } });
  });
});

it("counts tokens of a request, tools and system words with them", () => {
  const count = (body: JsonObject) => Number(messageTokens({ model: "m", messages: [hi], ...body }).input_tokens);
  const bare = count({});
  expect(bare).toBeGreaterThan(3);
  expect(count({ system: "Be brief and kind." })).toBeGreaterThan(bare + 4);
  expect(count({ tools: [{ name: "f", input_schema: { type: "object" } }] })).toBeGreaterThan(bare + 8);
});
