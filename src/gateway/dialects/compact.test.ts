import { expect, it } from "vitest";
import { completionOf, countingStamps } from "../../../test/support/chat-chunks.ts";
import { openaiOver } from "../../../test/support/sdk-over-text.ts";
import { compactFromWhole, compactToChat } from "./compact.ts";
import type { JsonObject } from "./dialect.ts";
import { responseMemory } from "./response-memory.ts";
import { responsesToChat } from "./responses.ts";

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
