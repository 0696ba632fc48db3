import { describe, expect, it } from "vitest";
import { anthropicMessage, readAnthropicEvents } from "../../../test/support/anthropic-events.ts";
import { chunkOf, chunksOf, completionOf, countingStamps, type Script } from "../../../test/support/chat-chunks.ts";
import { anthropicOver } from "../../../test/support/sdk-over-text.ts";
import type { JsonObject } from "../../base/json.ts";
import { ZephError } from "../../errors.ts";
import { messagesToChat } from "./messages.ts";
import { messageEvents, messageFromWhole } from "./messages-events.ts";

const BODY = { model: "claude-x", max_tokens: 9, messages: [{ role: "user" as const, content: "hi" }] };
const THINKING = { thinking: { type: "adaptive" } };
const CALLS = [
  { id: "functions.f:0", name: "f", arguments: '{"x":"}"}' },
  { id: "functions.g:1", name: "g", arguments: "" },
];

const contextOf = (more: JsonObject = {}) => messagesToChat({ ...BODY, ...more }).context;
function stream(script: Script, more: JsonObject = THINKING): string {
  const events = messageEvents(contextOf(more), countingStamps());
  return (
    events.begin() +
    chunksOf(script)
      .map((chunk) => events.add(chunk))
      .join("") +
    events.end()
  );
}
const whole = (script: Script, more: JsonObject = THINKING) =>
  messageFromWhole(completionOf(script), contextOf(more), countingStamps());

const SCRIPTS: readonly [string, Script][] = [
  ["text", { text: "Hello there", usage: { prompt_tokens: 5, completion_tokens: 2 } }],
  ["thoughts and text", { reasoning: "hm, so", text: "Hello", usage: { prompt_tokens: 5, completion_tokens: 2 } }],
  ["blank text before a call", { reasoning: "hm", text: "\n\n", calls: CALLS.slice(0, 1) }],
  ["two calls", { text: "I look", calls: CALLS }],
  ["nothing", {}],
  ["a cut text", { text: "Hello", finish: "length" }],
  ["a cut call", { calls: [{ id: "a", name: "f", arguments: '{"x":' }], finish: "length" }],
  ["a filtered text", { text: "Hello", finish: "content_filter" }],
];

describe("a stream", () => {
  it.each(SCRIPTS)("keeps to Anthropic's order, and to its types: %s", (_, script) => {
    const events = readAnthropicEvents(stream(script));
    const document = whole(script);
    anthropicMessage.parse(document);
    const starts = events.flatMap((event) => (event.type === "content_block_start" ? [event.content_block.type] : []));
    expect(starts).toEqual((document.content as { type: string }[]).map(({ type }) => type));
    expect(events.slice(0, 2).map(({ type }) => type)).toEqual(["message_start", "ping"]);
  });

  it.each(SCRIPTS.filter(([name]) => name !== "a cut call"))(
    "is read by Anthropic's SDK as the whole answer: %s",
    async (_, script) => {
      const message = await anthropicOver(stream(script)).messages.stream(BODY).finalMessage();
      const { usage: streamedUsage, ...streamed } = JSON.parse(JSON.stringify(message));
      const { usage, ...expected } = JSON.parse(JSON.stringify(whole(script)));
      expect(streamed).toMatchObject(expected);
      if (script.usage !== undefined) expect(streamedUsage.output_tokens).toBe(usage.output_tokens);
    },
  );

  it("has the usage at both ends, cached tokens counted apart", () => {
    const usage = { prompt_tokens: 100, completion_tokens: 7, prompt_tokens_details: { cached_tokens: 60 } };
    const events = readAnthropicEvents(stream({ text: "a", usage }));
    const [start] = events;
    expect(start?.type === "message_start" && start.message.usage.input_tokens).toBeGreaterThan(3);
    expect(events.find(({ type }) => type === "message_delta")).toMatchObject({
      usage: { input_tokens: 40, cache_read_input_tokens: 60, cache_creation_input_tokens: 0, output_tokens: 7 },
    });
  });

  it("estimates the usage where the server counted nothing", () => {
    expect(whole({ text: "some words of an answer" }).usage).toMatchObject({ output_tokens: expect.any(Number) });
    expect(
      (whole({ text: "some words of an answer" }).usage as { output_tokens: number }).output_tokens,
    ).toBeGreaterThan(3);
  });

  it("pings while the model is silent", () => {
    expect(messageEvents(contextOf(), countingStamps()).ping()).toBe('event: ping\ndata: {"type":"ping"}\n\n');
  });
});

describe("thoughts", () => {
  const script = { reasoning: "hm", text: "a" };

  it("are not shown to callers that did not ask for them", () => {
    expect(whole(script, {}).content).toEqual([{ type: "text", text: "a" }]);
    expect(whole(script, { thinking: { type: "disabled" } }).content).toHaveLength(1);
    expect(stream(script, {})).not.toContain("thinking");
  });

  it("are shown, with a signature, to those that did", () => {
    expect(whole(script).content).toMatchObject([{ type: "thinking", thinking: "hm", signature: "zeph" }, {}]);
  });

  it("are left out on wish, and come back with the signature", () => {
    const more = { thinking: { type: "enabled", budget_tokens: 1024, display: "omitted" } };
    readAnthropicEvents(stream(script, more));
    const { content } = whole(script, more);
    expect(content).toMatchObject([{ type: "thinking", thinking: "" }, {}]);
    const { chat } = messagesToChat({ ...BODY, messages: [...BODY.messages, { role: "assistant", content }] });
    expect(chat.messages).toMatchObject([{}, { role: "assistant", reasoning_content: "hm", content: "a" }]);
  });
});

describe("why it stopped", () => {
  it.each<[Script, string, string | null]>([
    [{ text: "a" }, "end_turn", null],
    [{ text: "a", finish: "length" }, "max_tokens", null],
    [{ calls: CALLS }, "tool_use", null],
    [{ calls: CALLS, finish: "stop" }, "tool_use", null],
    [{ text: "a", finish: "content_filter" }, "refusal", null],
    [{ text: "a", stopReason: "END" }, "stop_sequence", "END"],
    [{ text: "a", stopReason: "</s>" }, "end_turn", null],
  ])("%j: %s", (script, reason, sequence) => {
    const more = { stop_sequences: ["END"] };
    expect(whole(script, more)).toMatchObject({ stop_reason: reason, stop_sequence: sequence });
    expect(stream(script, more)).toContain(`"stop_reason":"${reason}"`);
  });
});

describe("a stream that breaks off", () => {
  it("ends with an error that the SDK throws", async () => {
    const events = messageEvents(contextOf(), countingStamps());
    const text = events.add(chunkOf({ content: "Hel" })) + events.fail(new ZephError("service_unavailable"));
    expect(readAnthropicEvents(text).at(-1)).toMatchObject({ type: "error", error: { type: "overloaded_error" } });
    await expect(anthropicOver(text).messages.stream(BODY).finalMessage()).rejects.toThrow(/no capacity/);
  });
});
