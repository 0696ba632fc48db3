import { tool } from "ai";
import { MockLanguageModelV3 } from "ai/test";
import { describe, expect, it, vi } from "vitest";
import { z } from "zod";
import {
  answerOf,
  finishPart,
  mockModel,
  mockSession,
  reasoningParts,
  streamOf,
  textParts,
} from "../../test/support/mock-chat-session.ts";
import { manualClock } from "../base/time.ts";
import { ZephError } from "../errors.ts";
import type { Spent } from "../journal/budget.ts";
import { type ConversationOptions, type Exchange, startConversation, toTranscript } from "./conversation.ts";
import { type ConversationEvent, UNKNOWN_USAGE } from "./session.ts";

const clock = manualClock();

function converse(options: Omit<ConversationOptions, "clock">) {
  return startConversation({ clock, ...options });
}

async function collect(events: AsyncIterable<ConversationEvent>): Promise<ConversationEvent[]> {
  const collected: ConversationEvent[] = [];
  for await (const event of events) collected.push(event);
  return collected;
}

const typesOf = (events: readonly ConversationEvent[]) => events.map((event) => event.type);
const noticesOf = (events: readonly ConversationEvent[]) =>
  events.flatMap((event) => (event.type === "notice" ? [event.text] : []));

function lastOf<Type extends ConversationEvent["type"]>(events: readonly ConversationEvent[], type: Type) {
  const last = events.at(-1);
  if (last?.type !== type) throw new Error(`the last event is ${JSON.stringify(last)}`);
  return last as Extract<ConversationEvent, { type: Type }>;
}

/** A budget that keeps what it is told. */
function watchedBudget() {
  const spent: Spent[] = [];
  const budget = {
    isLimited: true,
    check: async () => {},
    add: async (each: Spent) => void spent.push(each),
    spentTodayUsd: async () => 0,
  };
  return { budget, spent };
}

describe("an answer", () => {
  it("arrives as waiting, first byte, text, finished", async () => {
    const session = mockSession({ model: mockModel([answerOf("Hello there")]) });
    const events = await collect(converse({ session }).ask("Hi"));
    expect(typesOf(events)).toEqual(["waiting", "first-byte", "text", "text", "finished"]);
    expect(lastOf(events, "finished")).toMatchObject({ text: "Hello there", finishReason: "stop", firstByteMs: 0 });
  });

  it("counts the time to the first byte and to the end", async () => {
    const model = new MockLanguageModelV3({
      doStream: async () => {
        await clock.advance(1_500);
        return streamOf(answerOf("x"));
      },
    });
    const events = await collect(converse({ session: mockSession({ model }) }).ask("Hi"));
    expect(events).toContainEqual({ type: "first-byte", elapsedMs: 1_500 });
    expect(lastOf(events, "finished").elapsedMs).toBe(1_500);
  });

  it("shows reasoning apart", async () => {
    const model = mockModel([[...reasoningParts("hm"), ...textParts("yes"), finishPart()]]);
    const finished = lastOf(await collect(converse({ session: mockSession({ model }) }).ask("?")), "finished");
    expect(finished).toMatchObject({ reasoning: "hm", text: "yes" });
  });

  it("asks for answers of the session's length unless the user says otherwise", async () => {
    const model = mockModel([answerOf("a"), answerOf("b")]);
    const session = { ...mockSession({ model }), maxOutputTokens: 99 };
    await collect(converse({ session }).ask("?"));
    await collect(converse({ session, maxOutputTokens: 5 }).ask("?"));
    expect(model.doStreamCalls.map((call) => call.maxOutputTokens)).toEqual([99, 5]);
  });

  it("sends what was said before, with the settings, and makes exactly one attempt", async () => {
    const model = mockModel([answerOf("one"), answerOf("two")]);
    const chat = converse({ session: mockSession({ model }), system: "Be brief.", maxOutputTokens: 7, temperature: 0 });
    await collect(chat.ask("first"));
    await collect(chat.ask("second"));
    const call = model.doStreamCalls[1];
    expect(model.doStreamCalls).toHaveLength(2);
    expect(call?.maxOutputTokens).toBe(7);
    expect(call?.temperature).toBe(0);
    expect(call?.prompt.map(({ role }) => role)).toEqual(["system", "user", "assistant", "user"]);
    expect(JSON.stringify(call?.prompt)).toContain('"text":"one"');
  });

  it("asked again leaves the old answer out of the prompt, and the new one takes its place", async () => {
    const model = mockModel([answerOf("one"), answerOf("two"), answerOf("better two"), answerOf("three")]);
    const chat = converse({ session: mockSession({ model }) });
    await collect(chat.ask("first"));
    await collect(chat.ask("second"));
    await collect(chat.askAgain());
    await collect(chat.ask("third"));
    expect(JSON.stringify(model.doStreamCalls[2]?.prompt)).not.toContain("two");
    expect(model.doStreamCalls[2]?.prompt.map(({ role }) => role)).toEqual(["user", "assistant", "user"]);
    expect(chat.exchanges.map(({ question, answer }) => [question, answer])).toEqual([
      ["first", "one"],
      ["second", "better two"],
      ["third", "three"],
    ]);
    // Both were paid for.
    expect(chat.total.answers).toBe(4);
  });

  it("asked again in vain keeps the whole answer there was", async () => {
    const model = mockModel([answerOf("one"), new ZephError("insufficient_quota"), answerOf("better")]);
    const chat = converse({ session: mockSession({ model }) });
    await collect(chat.ask("first"));
    expect(typesOf(await collect(chat.askAgain())).at(-1)).toBe("failed");
    expect(chat.exchanges).toMatchObject([{ answer: "one", state: "finished" }]);
    await collect(chat.askAgain());
    expect(chat.exchanges).toMatchObject([{ answer: "better" }]);
  });

  it("asked again after a failure leaves no trace of the failure", async () => {
    const model = mockModel([new ZephError("upstream_error"), new ZephError("upstream_error"), answerOf("ok")]);
    const chat = converse({ session: mockSession({ model }) });
    await collect(chat.ask("first"));
    await collect(chat.askAgain());
    await collect(chat.askAgain());
    expect(chat.exchanges).toMatchObject([{ question: "first", answer: "ok" }]);
  });

  it("forgets after clear, keeps the total", async () => {
    const model = mockModel([answerOf("one", { input: 1, output: 2 })]);
    const chat = converse({ session: mockSession({ model }) });
    await collect(chat.ask("first"));
    chat.clear();
    await collect(chat.ask("second"));
    expect(model.doStreamCalls[1]?.prompt).toHaveLength(1);
    expect(chat.total).toMatchObject({ answers: 2, usage: { input: 2, output: 4 } });
  });

  it("goes on with another model", async () => {
    const other = mockModel([answerOf("b")]);
    const chat = converse({ session: mockSession({ model: mockModel([answerOf("a")]) }) });
    await collect(chat.ask("1"));
    chat.use(mockSession({ model: other, modelId: "owner/model-b" }));
    await collect(chat.ask("2"));
    expect(other.doStreamCalls[0]?.prompt).toHaveLength(3);
    expect(chat.exchanges.map(({ modelId }) => modelId)).toEqual(["owner/model-a", "owner/model-b"]);
  });

  it("prints nothing, not even the AI SDK's warnings and errors", async () => {
    const spies = (["log", "info", "warn", "error"] as const).map((name) => vi.spyOn(console, name));
    const warned = new MockLanguageModelV3({
      doStream: async () => ({
        stream: new ReadableStream({
          start(controller) {
            controller.enqueue({ type: "stream-start", warnings: [{ type: "unsupported", feature: "seed" }] });
            for (const part of answerOf("ok")) controller.enqueue(part);
            controller.close();
          },
        }),
      }),
    });
    const events = await collect(converse({ session: mockSession({ model: warned }) }).ask("?"));
    await collect(converse({ session: mockSession({ model: mockModel([new Error("boom")]) }) }).ask("?"));
    for (const spy of spies) expect(spy).not.toHaveBeenCalled();
    expect(noticesOf(events)).toEqual(["seed is not supported here and was left out"]);
  });
});

describe("cost", () => {
  const pricing = { promptUsdPer1M: 1, completionUsdPer1M: 10 };
  const costOf = async (options: Parameters<typeof mockSession>[0]) =>
    lastOf(await collect(converse({ session: mockSession(options) }).ask("?")), "finished").costUsd;

  it("is what the endpoint says, in any namespace", async () => {
    const model = mockModel([answerOf("x", { input: 1, output: 1, costUsd: 0.00031 })]);
    expect(await costOf({ model, pricing })).toBe(0.00031);
  });

  it("is else computed from the configured price", async () => {
    const model = mockModel([answerOf("x", { input: 1_000, output: 100 })]);
    expect(await costOf({ model, pricing })).toBeCloseTo(0.002, 10);
  });

  it("is else unknown, which is not 0, and says so in the total", async () => {
    const session = mockSession({ model: mockModel([answerOf("x", { input: 1, output: 1 })]) });
    const chat = converse({ session });
    const finished = lastOf(await collect(chat.ask("?")), "finished");
    expect(finished.costUsd).toBeUndefined();
    expect(chat.total).toMatchObject({ costUsd: undefined, answersOfUnknownCost: 1 });
  });

  it("is exact in ngonka where the network's price is known, and never dollars", async () => {
    const model = mockModel([answerOf("x", { input: 20, output: 7 }), answerOf("y", { input: 1, output: 1 })]);
    const { budget, spent } = watchedBudget();
    const pricePerTokenNgonka = 9_007_199_254_740_993n;
    const chat = converse({ session: { ...mockSession({ model }), pricePerTokenNgonka }, budget });
    const events = await collect(chat.ask("?"));
    expect(lastOf(events, "finished")).toMatchObject({ costUsd: undefined, costNgonka: 27n * pricePerTokenNgonka });
    expect(noticesOf(events).join()).toContain("this is paid in GNK, not in dollars");
    await collect(chat.ask("?"));
    const total = { costUsd: undefined, costNgonka: 29n * pricePerTokenNgonka, answersOfUnknownCost: 0 };
    expect(chat.total).toMatchObject(total);
    expect(spent).toMatchObject([
      { ngonka: 27n * pricePerTokenNgonka, usd: undefined, inputTokens: 20, outputTokens: 7, answersOfUnknownCost: 0 },
      { ngonka: 2n * pricePerTokenNgonka, provider: "testbroker", model: "owner/model-a" },
    ]);
  });

  it("stays unknown when the tokens are", async () => {
    expect(await costOf({ model: mockModel([answerOf("x", {})]), pricing })).toBeUndefined();
  });

  it("passes cached and reasoning tokens on", async () => {
    const model = mockModel([answerOf("x", { input: 10, output: 5, cached: 8, reasoning: 3 })]);
    const finished = lastOf(await collect(converse({ session: mockSession({ model }) }).ask("?")), "finished");
    expect(finished.usage).toEqual({ input: 10, output: 5, cached: 8, reasoning: 3 });
  });
});

describe("an answer that ends early", () => {
  it("is cancelled at once, also by a model that takes no notice, and keeps its text, marked", async () => {
    const model = mockModel([streamOf(textParts("Once ", "upon"), "hang"), answerOf("ok")]);
    const chat = converse({ session: mockSession({ model }) });
    const controller = new AbortController();
    const events: ConversationEvent[] = [];
    for await (const event of chat.ask("story", controller.signal)) {
      events.push(event);
      if (event.type === "text" && event.text === "upon") controller.abort();
    }
    expect(lastOf(events, "cancelled").partialText).toBe("Once upon");
    expect(chat.exchanges).toMatchObject([{ answer: "Once upon", state: "cancelled" }]);
    await collect(chat.ask("go on"));
    const remembered = JSON.stringify(model.doStreamCalls[1]?.prompt);
    expect(remembered).toContain("Once upon");
    expect(remembered).toContain("The user stopped this answer here");
  });

  it("is cancelled before the first byte without leaving a question unanswered in the history", async () => {
    const model = mockModel([streamOf([], "hang"), answerOf("ok")]);
    const chat = converse({ session: mockSession({ model }) });
    const controller = new AbortController();
    for await (const event of chat.ask("lost", controller.signal)) if (event.type === "waiting") controller.abort();
    await collect(chat.ask("again"));
    expect(model.doStreamCalls.at(-1)?.prompt).toHaveLength(1);
  });

  it("aborts the request when the listener leaves", async () => {
    let signal: AbortSignal | undefined;
    const model = new MockLanguageModelV3({
      doStream: async (options) => {
        signal = options.abortSignal;
        return streamOf(textParts("a", "b"), "hang");
      },
    });
    const chat = converse({ session: mockSession({ model }) });
    for await (const event of chat.ask("?")) if (event.type === "text") break;
    expect(signal?.aborted).toBe(true);
    expect(chat.exchanges).toMatchObject([{ answer: "a", state: "cancelled" }]);
  });

  it("fails with a named error, text kept, when the stream carries one", async () => {
    const cut = new ZephError("stream_error", { detail: "overloaded" });
    const model = mockModel([[...textParts("Half"), { type: "error", error: cut }]]);
    const chat = converse({ session: mockSession({ model }) });
    const failed = lastOf(await collect(chat.ask("?")), "failed");
    expect(failed.error.code).toBe("stream_error");
    expect(failed.partialText).toBe("Half");
    expect(chat.exchanges).toMatchObject([{ answer: "Half", state: "failed" }]);
  });

  it("fails with what the injected function makes of a foreign error", async () => {
    const failed = lastOf(
      await collect(converse({ session: mockSession({ model: mockModel([new Error("boom")]) }) }).ask("?")),
      "failed",
    );
    expect(failed.error).toMatchObject({ code: "upstream_error", detail: "Error: boom" });
  });

  it.each([
    ["length", "the answer was cut at the token limit"],
    ["content-filter", "for its content"],
    ["other", "it may be incomplete"],
  ] as const)("says so when the finish reason is %s", async (reason, words) => {
    const model = mockModel([answerOf("x", { reason, input: 1, output: 1 })]);
    expect(noticesOf(await collect(converse({ session: mockSession({ model }) }).ask("?"))).join()).toContain(words);
  });

  it("says so when thinking has used all tokens", async () => {
    const model = mockModel([[...reasoningParts("hm"), finishPart({ reason: "length", output: 9 })]]);
    const events = await collect(converse({ session: mockSession({ model }) }).ask("?"));
    expect(noticesOf(events).join()).toContain("all tokens went into thinking");
  });
});

describe("before anything is sent", () => {
  it("warns when the prompt is longer than the model reads", async () => {
    const session = mockSession({ model: mockModel([answerOf("x")]), contextLengthTokens: 10 });
    const events = await collect(converse({ session }).ask("y".repeat(41)));
    expect(typesOf(events).slice(0, 2)).toEqual(["notice", "waiting"]);
    expect(noticesOf(events)[0]).toContain("about 11 tokens");
    expect(await collect(converse({ session }).ask("y".repeat(40)))).not.toContainEqual(
      expect.objectContaining({ type: "notice" }),
    );
  });

  it("stops at the daily limit", async () => {
    const model = mockModel([answerOf("x")]);
    const budget = {
      isLimited: true,
      check: () => Promise.reject(new ZephError("budget_reached")),
      add: async () => {},
      spentTodayUsd: async () => 1,
    };
    const chat = converse({ session: mockSession({ model }), budget });
    expect(lastOf(await collect(chat.ask("?")), "failed").error.code).toBe("budget_reached");
    expect(model.doStreamCalls).toHaveLength(0);
    expect(chat.exchanges).toEqual([]);
  });

  it("writes down what was spent, an estimate for an answer that was cancelled", async () => {
    const { budget, spent } = watchedBudget();
    const pricing = { promptUsdPer1M: 1_000_000, completionUsdPer1M: 1_000_000 };
    const model = mockModel([answerOf("x", { input: 3, output: 4 }), streamOf(textParts("12345678"), "hang")]);
    const chat = converse({ session: mockSession({ model, pricing }), budget });
    await collect(chat.ask("?"));
    chat.clear();
    for await (const event of chat.ask("1234")) if (event.type === "text") break;
    expect(spent).toMatchObject([
      { usd: 7, answersOfUnknownCost: 0 },
      { usd: 3, answersOfUnknownCost: 1 },
    ]);
  });
});

describe("a daily limit", () => {
  it("that cannot count an answer is told once", async () => {
    const budget = { isLimited: true, check: async () => {}, add: async () => {}, spentTodayUsd: async () => 0 };
    const model = mockModel([answerOf("x", { input: 1, output: 1 })]);
    const chat = converse({ session: mockSession({ model }), budget });
    expect(noticesOf(await collect(chat.ask("?"))).join()).toContain("the daily limit cannot count it");
    expect(noticesOf(await collect(chat.ask("?")))).toEqual([]);
    const unlimited = converse({ session: mockSession({ model }), budget: { ...budget, isLimited: false } });
    expect(noticesOf(await collect(unlimited.ask("?")))).toEqual([]);
  });
});

describe("an endpoint that cannot stream", () => {
  const whole = {
    content: [{ type: "text" as const, text: "whole" }],
    finishReason: { unified: "stop" as const, raw: "stop" },
    usage: {
      inputTokens: { total: 1, noCache: 1, cacheRead: 0, cacheWrite: 0 },
      outputTokens: { total: 1, text: 1, reasoning: 0 },
    },
    warnings: [],
  };

  it.each([
    ["an empty stream", () => streamOf([finishPart({ reason: "other" })])],
    [
      "a refusal that names streaming",
      () => {
        throw new ZephError("invalid_request", { detail: "stream=true is not allowed" });
      },
    ],
  ])("is asked once more without, and says so: %s", async (_, doStream) => {
    const model = new MockLanguageModelV3({ doStream: async () => doStream(), doGenerate: whole });
    const chat = converse({ session: mockSession({ model }) });
    const events = await collect(chat.ask("?"));
    expect(noticesOf(events)[0]).toContain("does not stream");
    expect(lastOf(events, "finished").text).toBe("whole");
    await collect(chat.ask("?"));
    expect(model.doStreamCalls).toHaveLength(1);
    expect(model.doGenerateCalls).toHaveLength(2);
  });

  it("is never asked to when streaming is switched off", async () => {
    const model = new MockLanguageModelV3({ doGenerate: whole });
    const events = await collect(converse({ session: mockSession({ model }), stream: false }).ask("?"));
    expect(lastOf(events, "finished").text).toBe("whole");
    expect(model.doStreamCalls).toHaveLength(0);
  });
});

describe("tools", () => {
  it("stream text, call and result, and stay in the history", async () => {
    const model = mockModel([
      [
        ...textParts("Looking. "),
        { type: "tool-call", toolCallId: "c1", toolName: "add", input: '{"a":1,"b":2}' },
        finishPart({ reason: "tool-calls", input: 5, output: 5, costUsd: 0.001 }),
      ],
      answerOf("It is 3.", { input: 9, output: 4, costUsd: 0.002 }),
      answerOf("bye"),
    ]);
    const add = tool({
      inputSchema: z.object({ a: z.number(), b: z.number() }),
      execute: async ({ a, b }) => a + b,
    });
    const chat = converse({ session: mockSession({ model }), tools: { add } });
    const events = await collect(chat.ask("1+2?"));
    expect(events).toContainEqual({ type: "tool-call", toolName: "add", input: { a: 1, b: 2 } });
    expect(events).toContainEqual({ type: "tool-result", toolName: "add", output: 3 });
    const finished = lastOf(events, "finished");
    expect(finished.text).toBe("Looking. It is 3.");
    expect(finished.usage).toMatchObject({ input: 14, output: 9 });
    expect(finished.costUsd).toBeCloseTo(0.003, 10);
    await collect(chat.ask("thanks"));
    expect(model.doStreamCalls[2]?.prompt.map(({ role }) => role)).toEqual([
      "user",
      "assistant",
      "tool",
      "assistant",
      "user",
    ]);
  });
});

const exchange = (over: Partial<Exchange>): Exchange => ({
  question: "Why?",
  answer: "Because.",
  reasoning: "",
  state: "finished",
  providerName: "testbroker",
  modelId: "owner/model-a",
  usage: UNKNOWN_USAGE,
  costUsd: undefined,
  ...over,
});

describe("toTranscript", () => {
  it("tells who said what, and with which model", () => {
    expect(toTranscript([exchange({})], { savedAtMs: 0, system: "Be brief." })).toBe(
      "# Conversation\n\nSaved 1970-01-01T00:00:00.000Z by zeph.\n\n## System\n\nBe brief.\n\n## You\n\nWhy?\n\n## owner/model-a\n\nBecause.\n",
    );
  });

  it("folds thinking away and says where an answer stopped", () => {
    const text = toTranscript([exchange({ reasoning: "hm\n", state: "cancelled" })], { savedAtMs: 0 });
    expect(text).toContain("<details><summary>Thinking</summary>\n\nhm\n\n</details>\n\nBecause.");
    expect(text).toContain("Because.\n\n*(stopped here by the user)*");
  });

  it("closes a code block that was cut, so that it does not swallow the rest", () => {
    const cut = exchange({ answer: "Look:\n```ts\nconst a", state: "failed" });
    const text = toTranscript([cut, exchange({ question: "Next?" })], { savedAtMs: 0 });
    expect(text).toContain("const a\n```\n\n*(broke off here)*\n\n## You\n\nNext?");
  });
});
