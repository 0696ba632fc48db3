import { describe, expect, it } from "vitest";
import { chunkOf, chunksOf, completionOf, countingStamps, type Script } from "../../../test/support/chat-chunks.ts";
import { type ResponsesEvent, readResponsesEvents, responseResource } from "../../../test/support/open-responses.ts";
import { openaiOver } from "../../../test/support/sdk-over-text.ts";
import type { JsonObject } from "../../base/json.ts";
import { ZephError } from "../../errors.ts";
import { responseMemory, responsesToChat } from "./responses.ts";
import { compactFromWhole, compactToChat, responseEvents, responseFromWhole } from "./responses-events.ts";

const TOOLS = [
  { type: "function", name: "f", parameters: { type: "object", properties: {} } },
  { type: "custom", name: "patch" },
  { type: "namespace", name: "space", description: "", tools: [{ type: "function", name: "g" }] },
];
const CALLS = [
  { id: "c1", name: "f", arguments: '{"x":"}"}' },
  { id: "c2", name: "space__g", arguments: "" },
  { id: "c3", name: "patch", arguments: JSON.stringify({ input: '*** Begin\n"x"' }) },
];

function open(body: JsonObject = {}) {
  const options = { memory: responseMemory(), stamps: countingStamps() };
  const { context } = responsesToChat({ model: "m", input: "hi", tools: TOOLS, ...body }, options);
  return { ...options, context, events: responseEvents(context, options) };
}

function stream(script: Script, body?: JsonObject): string {
  const { events } = open(body);
  return (
    events.begin() +
    chunksOf(script)
      .map((chunk) => events.add(chunk))
      .join("") +
    events.end()
  );
}

function whole(script: Script, body?: JsonObject): JsonObject {
  const options = { memory: responseMemory(), stamps: countingStamps() };
  const { context } = open(body);
  return JSON.parse(JSON.stringify(responseFromWhole(completionOf(script), context, options)));
}

const finalOf = (events: readonly ResponsesEvent[]) => events.at(-1)?.response as JsonObject;

const SCRIPTS: readonly [string, Script][] = [
  ["text", { text: "Hello there", usage: { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 } }],
  ["thoughts and text", { reasoning: "hm, so", text: "Hello" }],
  ["blank text before a call", { reasoning: "hm", text: "\n\n", calls: CALLS.slice(0, 1) }],
  ["calls of every kind", { text: "I look", calls: CALLS }],
  ["nothing", {}],
  ["only blanks", { text: "  " }],
  ["a cut text", { text: "Hello", finish: "length" }],
  ["a filtered text", { text: "Hello", finish: "content_filter" }],
];

describe("a stream", () => {
  it.each(SCRIPTS)("keeps to the specification and ends as the whole answer: %s", (_, script) => {
    const events = readResponsesEvents(stream(script));
    const document = whole(script);
    responseResource.parse(document);
    expect(finalOf(events)).toEqual(document);
  });

  it.each(SCRIPTS.filter(([, { finish }]) => finish === undefined))(
    "is read by the OpenAI SDK: %s",
    async (_, script) => {
      const reader = openaiOver(stream(script)).responses.stream({ model: "m", input: "hi" });
      const { output, output_text: text } = await reader.finalResponse();
      const thoughts = output.flatMap((item) =>
        item.type === "reasoning" ? item.summary.map((part) => part.text) : [],
      );
      expect(text).toBe(script.text?.trim() === "" && script.calls !== undefined ? "" : (script.text ?? ""));
      expect(thoughts.join("")).toBe(script.reasoning ?? "");
      const calls = output.filter(({ type }) => type.endsWith("_call"));
      expect(calls).toHaveLength(script.calls?.length ?? 0);
    },
  );

  it("gives calls their own names back, free text as free text, and arguments as JSON", () => {
    expect(whole({ calls: CALLS }).output).toMatchObject([
      { type: "function_call", call_id: "c1", name: "f", arguments: '{"x":"}"}', status: "completed" },
      { type: "function_call", call_id: "c2", name: "g", namespace: "space", arguments: "{}" },
      { type: "custom_tool_call", call_id: "c3", name: "patch", input: '*** Begin\n"x"' },
    ]);
  });

  it("gives the search for tools back as such", () => {
    const calls = [{ id: "s", name: "tool_search", arguments: '{"query":"q"}' }];
    const tools = [{ type: "tool_search", execution: "client", description: "Finds.", parameters: {} }];
    const output = [{ type: "tool_search_call", call_id: "s", execution: "client", arguments: { query: "q" } }];
    expect(finalOf(readResponsesEvents(stream({ calls }, { tools })))).toMatchObject({ output });
  });

  it("gives a conversation in short when it is asked for", () => {
    const input = [{ role: "user", content: "hi" }, { type: "compaction_trigger" }];
    const { output } = finalOf(readResponsesEvents(stream({ reasoning: "hm", text: "They said hi." }, { input })));
    const next = responsesToChat({ model: "m", input: output }, open());
    expect(next.chat.messages).toMatchObject([
      { role: "assistant", reasoning_content: "hm" },
      { role: "user", content: "Summary of the conversation so far:\nThey said hi." },
    ]);
  });

  it("takes pieces of calls that arrive in turns", () => {
    const { events } = open();
    const piece = (index: number, text: string, id?: string) =>
      chunkOf({
        tool_calls: [
          { index, ...(id === undefined ? {} : { id }), function: { name: id ? "f" : "", arguments: text } },
        ],
      });
    const text =
      [piece(0, '{"a"', "x"), piece(1, '{"b"', "y"), piece(0, ":1}"), piece(1, ":2}")].map(events.add).join("") +
      events.end();
    expect(finalOf(readResponsesEvents(text)).output).toMatchObject([
      { call_id: "x", arguments: '{"a":1}' },
      { call_id: "y", arguments: '{"b":2}' },
    ]);
  });

  it("writes pieces as they come, not at the end", () => {
    const { events } = open();
    events.begin();
    const said = events.add(chunkOf({ content: "Hel" }));
    expect(said).toContain('"type":"response.output_text.delta"');
    expect(said).toContain('"delta":"Hel"');
  });

  it("says what it was cut for, and which item is not whole", () => {
    const { status, incomplete_details: details, output } = whole({ reasoning: "hm", text: "Hel", finish: "length" });
    expect([status, details]).toEqual(["incomplete", { reason: "max_output_tokens" }]);
    expect(output).toMatchObject([{ type: "reasoning" }, { type: "message", status: "incomplete" }]);
  });

  it("counts tokens as the Responses API does", () => {
    const usage = {
      prompt_tokens: 10,
      completion_tokens: 6,
      prompt_tokens_details: { cached_tokens: 4 },
      completion_tokens_details: { reasoning_tokens: 3 },
    };
    expect(whole({ text: "a", usage }).usage).toEqual({
      input_tokens: 10,
      input_tokens_details: { cached_tokens: 4, cache_write_tokens: 0 },
      output_tokens: 6,
      output_tokens_details: { reasoning_tokens: 3 },
      total_tokens: 16,
    });
  });

  it("seals thoughts for callers that ask, and opens them when they come back", () => {
    const { output } = whole(
      { reasoning: "hm", text: "a" },
      { include: ["reasoning.encrypted_content"], store: false },
    );
    const [thought] = output as JsonObject[];
    const again = responsesToChat(
      { model: "m", input: [{ ...thought, summary: [], content: undefined }, ...(output as JsonObject[]).slice(1)] },
      open(),
    );
    expect(again.chat.messages).toEqual([{ role: "assistant", reasoning_content: "hm", content: "a" }]);
  });

  it("is kept unless the caller says no", () => {
    for (const store of [undefined, true, false]) {
      const { events, memory } = open({ store });
      events.end();
      const { id } = events.document();
      expect(memory.find(String(id)) !== undefined).toBe(store !== false);
    }
  });
});

describe("a stream that breaks off", () => {
  it.each<[ConstructorParameters<typeof ZephError>, string]>([
    [["stream_cut"], "server_error"],
    [["insufficient_quota"], "invalid_prompt"],
    [["context_length"], "context_length_exceeded"],
    [["rate_limited", { retryAfterMs: 4200 }], "rate_limit_exceeded"],
  ])("%j fails with %s", ([code, more], expected) => {
    const { events } = open();
    const text = events.add(chunkOf({ content: "Hel" })) + events.fail(new ZephError(code, more));
    const last = finalOf(readResponsesEvents(text));
    expect(last).toMatchObject({ status: "failed", error: { code: expected } });
    if (more?.retryAfterMs !== undefined) expect(JSON.stringify(last.error)).toMatch(/try again in 5s/);
  });

  it("may break off before it begins", () => {
    const types = readResponsesEvents(open().events.fail(new ZephError("unreachable"))).map(({ type }) => type);
    expect(types).toEqual(["response.created", "response.in_progress", "response.failed"]);
  });
});

describe("compact", () => {
  const options = { memory: responseMemory(), stamps: countingStamps() };
  const input = [
    { type: "message", role: "user", content: `first ${"word ".repeat(20_000)}` },
    { type: "message", role: "assistant", content: [{ type: "output_text", text: "done" }] },
    { type: "function_call", call_id: "a", name: "f", arguments: "{}" },
    { type: "function_call_output", call_id: "a", output: "result" },
    { type: "message", role: "user", content: "now the next" },
  ];

  it("asks for a summary, without tools", () => {
    const { chat } = compactToChat(
      { model: "m", input, instructions: "be brief", tools: [{ type: "function", name: "f" }] },
      options,
    );
    const messages = chat.messages as JsonObject[];
    expect(messages.map(({ role }) => role)).toEqual(["system", "user", "assistant", "tool", "user", "user"]);
    expect(messages.at(-1)?.content).toMatch(/^Write a summary/);
    expect(chat).not.toHaveProperty("tools");
  });

  it("gives a conversation that the next request can go on from", async () => {
    const { context } = compactToChat({ model: "m", input }, options);
    const answer = completionOf({
      reasoning: "hm",
      text: " The first is done. ",
      usage: { prompt_tokens: 9, completion_tokens: 3 },
    });
    const document = compactFromWhole(answer, context, options.stamps);
    const read = await openaiOver(JSON.stringify(document)).responses.compact({ model: "gpt-5", input: "x" });
    expect(read).toMatchObject({
      object: "response.compaction",
      usage: { input_tokens: 9, output_tokens: 3, total_tokens: 12 },
    });
    expect(read.output.map(({ type }) => type)).toEqual(["message", "compaction"]);
    const next = responsesToChat({ model: "m", input: [...read.output, { role: "user", content: "go on" }] }, options);
    expect(next.dropped).toEqual([]);
    expect(next.chat.messages).toEqual([
      { role: "user", content: "now the next" },
      { role: "user", content: "Summary of the conversation so far:\nThe first is done." },
      { role: "user", content: "go on" },
    ]);
  });

  it("refuses an empty summary", () => {
    const { context } = compactToChat({ model: "m", input }, options);
    expect(() => compactFromWhole(completionOf({ reasoning: "hm" }), context, options.stamps)).toThrow(/no summary/);
  });

  it("names a compaction of another server", () => {
    const foreign = [{ type: "compaction", encrypted_content: "gAAAA" }, ...input];
    expect(responsesToChat({ model: "m", input: foreign }, options).dropped).toEqual(["input[0].compaction"]);
  });
});
