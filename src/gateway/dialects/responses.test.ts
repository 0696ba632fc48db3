import { describe, expect, it } from "vitest";
import { countingStamps } from "../../../test/support/chat-chunks.ts";
import { cleanChatRequest } from "../../../test/support/clean-chat-request.ts";
import { shapesOf } from "../../../test/support/shapes.ts";
import { thrownBy } from "../../../test/support/thrown-by.ts";
import type { JsonObject } from "../../base/json.ts";
import { ZephError } from "../../errors.ts";
import { applyNetworkRules } from "../../sandbox/rules.ts";
import { seal } from "./dialect.ts";
import { isCodex, responseInputTokens, responseMemory, responsesRefusal, responsesToChat } from "./responses.ts";

const memory = responseMemory();
const options = { memory, stamps: countingStamps() };
const translate = (body: JsonObject) => responsesToChat({ model: "m", input: "hi", ...body }, options);
const messagesOf = (...input: unknown[]) => translate({ input }).chat.messages;

describe("requests of real clients", () => {
  it.each([...shapesOf("/v1/responses"), ...shapesOf("/v1/responses/input_tokens")])("$client ($name)", ({ body }) => {
    const { chat } = responsesToChat(body, options);
    const { request, removed } = cleanChatRequest(JSON.parse(JSON.stringify(chat)), { access: "native" });
    expect(applyNetworkRules(request, "network")).toMatchObject({ kind: "accepted" });
    expect(removed).toEqual([]);
  });

  it("of Codex keep every tool but the web search, and the instructions as system messages", () => {
    const [first] = shapesOf("/v1/responses").filter(({ name }) => name === "codex-responses-turn1.json");
    const { chat, dropped } = responsesToChat(first?.body ?? {}, options);
    const names = (chat.tools as { function: { name: string } }[]).map((tool) => tool.function.name);
    expect(names).toContain("exec_command");
    expect(names).toContain("multi_agent_v1__spawn_agent");
    expect(names).toHaveLength(12);
    expect(dropped).toEqual(["tools[8].web_search"]);
    expect((chat.messages as { role: string }[]).map(({ role }) => role)).toEqual(["system", "system", "user", "user"]);
    expect(chat).toMatchObject({ model: "sandbox/echo-1", stream: true, stream_options: { include_usage: true } });
  });
});

describe("input", () => {
  it.each<[string, unknown, unknown]>([
    ["a text", "hello", [{ role: "user", content: "hello" }]],
    ["a message without a type", [{ role: "user", content: "hello" }], [{ role: "user", content: "hello" }]],
    [
      "texts in parts",
      [
        {
          role: "user",
          content: [
            { type: "input_text", text: "a" },
            { type: "input_text", text: "b" },
          ],
        },
      ],
      [
        {
          role: "user",
          content: [
            { type: "text", text: "a" },
            { type: "text", text: "b" },
          ],
        },
      ],
    ],
    [
      "what the assistant said",
      [{ type: "message", role: "assistant", content: [{ type: "output_text", text: "a", annotations: [] }] }],
      [{ role: "assistant", content: "a" }],
    ],
    [
      "a refusal",
      [{ type: "message", role: "assistant", content: [{ type: "refusal", refusal: "no" }] }],
      [{ role: "assistant", content: "no" }],
    ],
    [
      "a picture",
      [{ role: "user", content: [{ type: "input_image", image_url: "data:image/png;base64,AA==", detail: "low" }] }],
      [
        {
          role: "user",
          content: [{ type: "image_url", image_url: { url: "data:image/png;base64,AA==", detail: "low" } }],
        },
      ],
    ],
  ])("%s", (_, input, messages) => {
    expect(translate({ input }).chat.messages).toEqual(messages);
  });

  it("joins what the assistant thought, said and called, and puts results behind the calls", () => {
    expect(
      messagesOf(
        { role: "user", content: "go" },
        { type: "reasoning", id: "rs_1", summary: [{ type: "summary_text", text: "hm" }] },
        { type: "function_call", call_id: "a", name: "f", arguments: "{}" },
        { type: "message", role: "assistant", content: "working" },
        { type: "function_call", call_id: "b", namespace: "space", name: "g", arguments: '{"x":1}' },
        { type: "message", role: "user", content: "faster" },
        { type: "function_call_output", call_id: "b", output: "two" },
        { type: "function_call_output", call_id: "a", output: [{ type: "input_text", text: "one" }] },
      ),
    ).toEqual([
      { role: "user", content: "go" },
      {
        role: "assistant",
        content: "working",
        reasoning_content: "hm",
        tool_calls: [
          { id: "a", type: "function", function: { name: "f", arguments: "{}" } },
          { id: "b", type: "function", function: { name: "space__g", arguments: '{"x":1}' } },
        ],
      },
      { role: "tool", tool_call_id: "b", content: "two" },
      { role: "tool", tool_call_id: "a", content: "one" },
      { role: "user", content: "faster" },
    ]);
  });

  it("shows pictures of results in a message of their own", () => {
    const image = { type: "input_image", image_url: "https://x.test/a.png" };
    expect(
      messagesOf(
        { type: "function_call", call_id: "a", name: "f", arguments: "{}" },
        { type: "function_call_output", call_id: "a", output: [image] },
        { role: "user", content: "what is it?" },
      ),
    ).toMatchObject([
      { role: "assistant" },
      { role: "tool", tool_call_id: "a", content: "(see the attached content below)" },
      { role: "user", content: [{ type: "text" }, { type: "image_url", image_url: { url: "https://x.test/a.png" } }] },
      { role: "user", content: "what is it?" },
    ]);
  });

  it("plays thoughts back from wherever they stand", () => {
    const thought = (fields: object) =>
      messagesOf({ type: "reasoning", ...fields }, { role: "assistant", content: "a" });
    const expected = [{ role: "assistant", content: "a", reasoning_content: "hm" }];
    expect(thought({ summary: [], encrypted_content: seal("hm") })).toEqual(expected);
    expect(thought({ summary: [], content: [{ type: "reasoning_text", text: "hm" }] })).toEqual(expected);
    expect(thought({ summary: [{ type: "summary_text", text: "hm" }], encrypted_content: "gAAAA" })).toEqual(expected);
    expect(thought({ summary: [], encrypted_content: "gAAAA" })).toEqual([{ role: "assistant", content: "a" }]);
  });

  it("leaves out and names what is not for chat models", () => {
    const { chat, dropped } = translate({
      input: [
        { type: "web_search_call", id: "ws_1", status: "completed" },
        { role: "user", content: "hi" },
      ],
      tools: [{ type: "web_search" }, { type: "file_search", vector_store_ids: [] }],
      tool_choice: { type: "web_search" },
      truncation: "auto",
      max_tool_calls: 3,
      include: ["message.output_text.logprobs", "reasoning.encrypted_content"],
      text: { verbosity: "low" },
    });
    expect(dropped).toEqual([
      "max_tool_calls",
      "truncation",
      "text.verbosity",
      "include.logprobs",
      "tools[0].web_search",
      "tools[1].file_search",
      "input[0].web_search_call",
    ]);
    expect(chat).toEqual({ model: "m", messages: [{ role: "user", content: "hi" }] });
  });

  it("keeps kinds of tools that the broker serves", () => {
    const tools = [{ type: "web_search" }];
    const kept = responsesToChat({ model: "m", input: "hi", tools }, { ...options, keepsToolType: () => true });
    expect(kept).toMatchObject({ chat: { tools }, dropped: [] });
  });
});

describe("refused in words", () => {
  it.each<[string, JsonObject]>([
    ["conversation", { conversation: "conv_1" }],
    ["prompt", { prompt: { id: "pmpt_1" } }],
    ["background", { background: true }],
    ["input", { input: [] }],
    ["input", { input: 5 }],
    ["input[0]", { input: ["x"] }],
    ["input[0].role", { input: [{ role: "critic", content: "x" }] }],
    ["input[0].content[0].type", { input: [{ role: "user", content: [{ type: "hologram" }] }] }],
    ["input[0].content[0]", { input: [{ role: "user", content: [{ type: "input_image", file_id: "file_1" }] }] }],
    ["previous_response_id", { previous_response_id: "resp_gone" }],
    ["input[0]", { input: [{ type: "item_reference", id: "msg_gone" }] }],
  ])("%s", (at, body) => {
    const error = thrownBy(() => translate(body)) as ZephError;
    expect(error.code).toBe("invalid_request");
    expect(error.detail).toMatch(new RegExp(`^${at.replace(/[[\]]/g, "\\$&")}: `));
  });

  it("with 400 for Codex, which would try everything else again", () => {
    const error = new ZephError("insufficient_quota");
    expect(responsesRefusal(error)).toMatchObject({ status: 402, body: { error: { type: "insufficient_quota" } } });
    expect(responsesRefusal(error, { isCodex: true }).status).toBe(400);
    expect(responsesRefusal(new ZephError("unreachable"), { isCodex: true }).status).toBe(502);
    expect(responsesRefusal(new ZephError("context_length"))).toMatchObject({
      body: { error: { code: "context_length_exceeded", param: null } },
    });
  });

  it("knows Codex by its headers", () => {
    const [codex] = shapesOf("/v1/responses").filter(({ name }) => name.startsWith("codex"));
    expect(isCodex(new Headers(codex?.headers))).toBe(true);
    expect(isCodex(new Headers({ "user-agent": "OpenAI/Python 2.54.0" }))).toBe(false);
  });
});

describe("fields", () => {
  it("that mean the same are taken over", () => {
    expect(
      translate({
        instructions: "be brief",
        temperature: 0,
        top_p: 0.5,
        parallel_tool_calls: false,
        max_output_tokens: 20,
        reasoning: { effort: "low", summary: "auto" },
        prompt_cache_key: "k",
        metadata: { a: "b" },
        client_metadata: { a: "b" },
        store: true,
        stream: null,
      }).chat,
    ).toEqual({
      model: "m",
      messages: [
        { role: "system", content: "be brief" },
        { role: "user", content: "hi" },
      ],
      temperature: 0,
      top_p: 0.5,
      parallel_tool_calls: false,
      max_tokens: 20,
      reasoning_effort: "low",
      prompt_cache_key: "k",
    });
  });

  it.each<[unknown, unknown]>([
    [{ type: "text" }, undefined],
    [{ type: "json_object" }, { type: "json_object" }],
    [
      { type: "json_schema", name: "n", schema: { type: "object" }, strict: true },
      { type: "json_schema", json_schema: { name: "n", schema: { type: "object" }, strict: true } },
    ],
  ])("text.format %j", (format, expected) => {
    expect(translate({ text: { format } }).chat.response_format).toEqual(expected);
  });

  const tools = [
    { type: "function", name: "f", parameters: { type: "object", properties: {} }, strict: true },
    {
      type: "custom",
      name: "patch",
      description: "Edits.",
      format: { type: "grammar", syntax: "lark", definition: "start: X" },
    },
    { type: "namespace", name: "mcp__box__", description: "", tools: [{ type: "function", name: "open" }] },
  ];
  it.each<[unknown, unknown, number]>([
    ["auto", "auto", 3],
    ["required", "required", 3],
    ["none", "none", 3],
    [{ type: "function", name: "f" }, { type: "function", function: { name: "f" } }, 3],
    [{ type: "custom", name: "patch" }, { type: "function", function: { name: "patch" } }, 3],
    [{ type: "function", name: "gone" }, "auto", 3],
    [{ type: "allowed_tools", mode: "required", tools: [{ type: "function", name: "f" }] }, "required", 1],
  ])("tool_choice %j", (given, expected, count) => {
    const { chat } = translate({ tools, tool_choice: given });
    expect(chat.tool_choice).toEqual(expected);
    expect(chat.tools).toHaveLength(count);
  });

  it("tools: free text becomes one argument, a namespace part of the name", () => {
    expect(translate({ tools }).chat.tools).toMatchObject([
      { type: "function", function: { name: "f", strict: true } },
      {
        function: {
          name: "patch",
          description: "Edits.\n\nThe input must follow this lark grammar:\nstart: X",
          parameters: { properties: { input: { type: "string" } }, required: ["input"] },
        },
      },
      { function: { name: "mcp__box__open" } },
    ]);
  });

  it("tools that are found or handed in later can be called as well", () => {
    const { chat, context, dropped } = translate({
      tools: [{ type: "tool_search", execution: "client", description: "Finds.", parameters: { type: "object" } }],
      input: [
        { type: "additional_tools", role: "developer", tools: [{ type: "function", name: "extra" }] },
        { role: "user", content: "find" },
        { type: "tool_search_call", call_id: "s", execution: "client", arguments: { query: "q" } },
        { type: "tool_search_output", call_id: "s", execution: "client", tools: [{ ...tools[2] }] },
      ],
    });
    expect(dropped).toEqual([]);
    expect([...context.toolNames.keys()]).toEqual(["tool_search", "extra", "mcp__box__open"]);
    expect(chat.tools).toMatchObject([{ function: { name: "tool_search", description: "Finds." } }, {}, {}]);
    expect(chat.messages).toMatchObject([
      { role: "user" },
      { role: "assistant", tool_calls: [{ id: "s", function: { name: "tool_search", arguments: '{"query":"q"}' } }] },
      { role: "tool", tool_call_id: "s", content: "These tools can be called now: mcp__box__open" },
    ]);
    expect(translate({ tools: [{ type: "tool_search" }] }).dropped).toEqual(["tools[0].tool_search"]);
  });

  it("a trigger at the end asks for the conversation in short", () => {
    const { chat, context } = translate({
      tools,
      input: [{ role: "user", content: "hi" }, { type: "compaction_trigger" }],
    });
    expect(context.isCompaction).toBe(true);
    expect(chat).not.toHaveProperty("tools");
    expect(chat.messages).toMatchObject([
      { content: "hi" },
      { role: "user", content: expect.stringMatching(/^Write a summary/) },
    ]);
  });

  it("long names are cut to what the network takes, differently for different tools", () => {
    const long = (name: string) => ({ type: "namespace", name: "n".repeat(60), tools: [{ type: "function", name }] });
    const given = [long("one"), long("two")];
    const names = (translate({ tools: given }).chat.tools as { function: { name: string } }[]).map(
      (t) => t.function.name,
    );
    expect(names.every((name) => name.length === 64)).toBe(true);
    expect(new Set(names).size).toBe(2);
  });
});

describe("memory", () => {
  const kept = responseMemory({ maxResponses: 2 });
  const item = (id: string) => ({
    type: "message",
    id,
    role: "assistant",
    content: [{ type: "output_text", text: id }],
  });
  const response = (id: string) => ({
    id,
    input: [{ role: "user", content: id }],
    document: { output: [item(`m${id}`)] },
  });

  it("goes on from an earlier response, and answers for its items", () => {
    kept.keep(response("1"));
    const body = { model: "m", previous_response_id: "1", input: [{ type: "item_reference", id: "m1" }] };
    expect(responsesToChat(body, { ...options, memory: kept }).chat.messages).toEqual([
      { role: "user", content: "1" },
      { role: "assistant", content: "m1\n\nm1" },
    ]);
  });

  it("forgets the oldest, with its items", () => {
    for (const id of ["1", "2", "3"]) kept.keep(response(id));
    expect(["1", "2", "3"].map((id) => kept.find(id)?.id)).toEqual([undefined, "2", "3"]);
    expect(kept.item("m1")).toBeUndefined();
    expect(kept.item("m3")).toBeDefined();
    expect([kept.forget("3"), kept.forget("3")]).toEqual([true, false]);
    expect(kept.find("3")).toBeUndefined();
  });

  it("keeps within its bytes, and does not keep what alone is too large", () => {
    const small = responseMemory({ maxBytes: 400 });
    for (const id of ["1", "2", "3", "4"]) small.keep(response(id));
    expect(small.find("4")).toBeDefined();
    expect(small.find("1")).toBeUndefined();
    small.keep({ ...response("5"), input: [{ role: "user", content: "x".repeat(500) }] });
    expect([small.find("5"), small.find("4")?.id]).toEqual([undefined, "4"]);
  });
});

it("counts tokens of a request", () => {
  const count = (body: JsonObject) => Number(responseInputTokens({ model: "m", ...body }, options).input_tokens);
  expect(count({ input: "count to 5" })).toBeGreaterThan(5);
  expect(count({ input: "count to 5 ".repeat(100) })).toBeGreaterThan(300);
});
