import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readAnthropicEvents } from "../../../test/support/anthropic-events.ts";
import { chunksOf, completionOf, countingStamps, type Script } from "../../../test/support/chat-chunks.ts";
import { readResponsesEvents } from "../../../test/support/open-responses.ts";
import type { ChatChunk, ChatCompletion } from "../../wire/chat-shape.ts";
import { type AnswerEvents, orderedParts, type Part } from "./dialect.ts";
import { messagesToChat } from "./messages.ts";
import { messageEvents, messageFromWhole } from "./messages-events.ts";
import { responseMemory, responsesToChat } from "./responses.ts";
import { responseEvents, responseFromWhole } from "./responses-events.ts";

const words = fc.oneof(
  fc.constantFrom("", " ", "\n\n", "}", '{"a":1}', "über 😀"),
  fc.string({ unit: "grapheme", maxLength: 30 }),
);
const call = fc.record({
  name: fc.constantFrom("f", "patch"),
  arguments: fc.oneof(
    fc.constant(""),
    fc.dictionary(fc.string({ maxLength: 5 }), words, { maxKeys: 3 }).map((value) => JSON.stringify(value)),
  ),
});
const script: fc.Arbitrary<Script> = fc
  .record({
    reasoning: words,
    text: words,
    calls: fc.array(call, { maxLength: 3 }),
    finish: fc.constantFrom(undefined, "length", "stop"),
    usage: fc.constantFrom(undefined, { prompt_tokens: 4, completion_tokens: 2, total_tokens: 6 }),
  })
  .map(({ calls, finish, usage, ...said }) => ({
    ...said,
    calls: calls.map((each, index) => ({ ...each, id: `c${index}` })),
    ...(finish === undefined ? {} : { finish }),
    ...(usage === undefined ? {} : { usage }),
  }));

/** Cuts a text at drawn places, also inside a character of two code units. */
const cuts = fc.array(fc.nat({ max: 7 }), { minLength: 1, maxLength: 10 });
const cutter = (sizes: readonly number[]) => (text: string) => {
  const pieces: string[] = [];
  for (let at = 0, turn = 0; at < text.length; turn += 1) {
    const size = (sizes[turn % sizes.length] ?? 0) + 1;
    pieces.push(text.slice(at, at + size));
    at += size;
  }
  return pieces;
};

function streamed(events: AnswerEvents, chunks: readonly ChatChunk[]): string {
  return events.begin() + chunks.map((chunk) => events.add(chunk)).join("") + events.end();
}

const responses = () => {
  const options = { memory: responseMemory(), stamps: countingStamps() };
  const tools = [{ type: "custom", name: "patch" }];
  const { context } = responsesToChat({ model: "m", input: "hi", tools, store: false }, options);
  return {
    events: () => responseEvents(context, options),
    whole: (completion: ChatCompletion) => responseFromWhole(completion, context, options),
  };
};
const messages = () => {
  const body = { model: "m", messages: [{ role: "user", content: "hi" }], thinking: { type: "adaptive" } };
  const { context } = messagesToChat(body);
  return {
    events: () => messageEvents(context, countingStamps()),
    whole: (completion: ChatCompletion) => messageFromWhole(completion, context, countingStamps()),
  };
};

describe("however an answer is cut into chunks", () => {
  it("the events of the Responses API are in order and end as the whole answer", () => {
    fc.assert(
      fc.property(script, cuts, (said, sizes) => {
        const text = streamed(responses().events(), chunksOf(said, cutter(sizes)));
        const last = readResponsesEvents(text).at(-1)?.response;
        expect(last).toEqual(JSON.parse(JSON.stringify(responses().whole(completionOf(said)))));
      }),
      { numRuns: 200, seed: 1 },
    );
  });

  it("the events of the Messages API are in order and end as the whole answer", () => {
    fc.assert(
      fc.property(script, cuts, (said, sizes) => {
        const events = messages().events();
        readAnthropicEvents(streamed(events, chunksOf(said, cutter(sizes))));
        const { content, stop_reason: reason } = events.document();
        const whole = messages().whole(completionOf(said));
        expect([content, reason]).toEqual([whole.content, whole.stop_reason]);
      }),
      { numRuns: 200, seed: 2 },
    );
  });

  it("nothing that is not blank is lost, and pieces of calls may arrive in any turn", () => {
    fc.assert(
      fc.property(script, cuts, fc.infiniteStream(fc.nat({ max: 2 })), (said, sizes, turns) => {
        const closed: Part[] = [];
        const close = (part: Part) => {
          closed.push({ ...part });
          return "";
        };
        const parts = orderedParts({ open: () => "", grow: () => "", close });
        for (const chunk of shuffledCalls(chunksOf(said, cutter(sizes)), turns)) parts.add(chunk);
        parts.end();
        const textOf = (kind: Part["kind"]) => closed.filter((part) => part.kind === kind).map(({ text }) => text);
        expect(textOf("reasoning").join("").trim()).toBe((said.reasoning ?? "").trim());
        expect(textOf("text").join("").trim()).toBe((said.text ?? "").trim());
        const calls = closed.filter(({ kind }) => kind === "call").map(({ callId, text }) => [callId, text]);
        expect(new Map(calls as [string, string][])).toEqual(
          new Map(said.calls?.map((each) => [each.id, each.arguments === "" ? "{}" : each.arguments])),
        );
      }),
      { numRuns: 200, seed: 3 },
    );
  });
});

/** The chunks with those of different calls mixed, each call's own in order. */
function shuffledCalls(chunks: readonly ChatChunk[], turns: Iterator<number>): readonly ChatChunk[] {
  const indexOf = (chunk: ChatChunk) => chunk.choices[0]?.delta.tool_calls?.[0]?.index;
  const before = chunks.filter((chunk) => indexOf(chunk) === undefined && chunk.choices[0]?.finish_reason === null);
  const after = chunks.filter((chunk) => indexOf(chunk) === undefined && !before.includes(chunk));
  const queues = [0, 1, 2].map((index) => chunks.filter((chunk) => indexOf(chunk) === index));
  const mixed: ChatChunk[] = [];
  while (queues.some((queue) => queue.length > 0)) {
    const wanted = Number(turns.next().value);
    const queue = queues[wanted]?.length === 0 ? queues.find((each) => each.length > 0) : queues[wanted];
    const chunk = queue?.shift();
    if (chunk !== undefined) mixed.push(chunk);
  }
  return [...before, ...mixed, ...after];
}
