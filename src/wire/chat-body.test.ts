import { readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type ChatBodyOptions, chatBodyReader } from "./chat-body.ts";
import type { ChatCompletion } from "./chat-shape.ts";

/** What a reader of any door should find: words, thinking, calls as name and arguments, why it ended; or the error. */
interface Expected {
  readonly content?: string;
  readonly reasoning?: string;
  readonly calls?: readonly (readonly [name: string, argumentsValue: unknown])[];
  readonly finish?: string | null;
  readonly usage?: readonly [number, number];
  readonly notice?: RegExp;
  readonly error?: string;
}

const OSLO = ["weather", { city: "Oslo" }] as const;
const CET = ["time", { zone: "CET" }] as const;
const HELLO = { content: "Hello", finish: "stop" };

/** By the name of the case; see test/cases. */
const EXPECTED: Readonly<Record<string, Expected>> = {
  "c01-content-parts": { ...HELLO, reasoning: "hm" },
  "c04-close-think-only": { content: "Hi there!", reasoning: "The user says hi.\n", finish: "stop" },
  "c06-kimi-tokens": { content: "I look it up. ", calls: [OSLO], finish: "tool_calls" },
  "c08-role-empty-whole": HELLO,
  "c09-usage-floats-null": HELLO,
  "c11-created-float": HELLO,
  "e01-error-beside-choices": { content: "Half an ans", error: "worker lost, please try later" },
  "e02-error-empty-choices": { error: "worker limit reached (33/32)" },
  "e03-error-flat": { content: "Half", error: "engine process died" },
  "f01-finish-odd": { content: "I can", finish: "content_filter" },
  "f03-empty-stop": { finish: "stop" },
  "s03-crlf-bom": HELLO,
  "s04-split-utf8": { content: "a😀b", finish: "stop" },
  "s05-multiline-data": HELLO,
  "s07-no-done": { ...HELLO, usage: [3, 2], notice: /did not mark the end/ },
  "s09-done-without-finish": { content: "Hello wor", notice: /may be incomplete/ },
  "s10-wrong-content-type": HELLO,
  "s13-sse-for-whole": HELLO,
  "s16-finish-then-more": { content: "one two", finish: "stop" },
  "s17-event-name": HELLO,
  "s18-blank-data": HELLO,
  "s19-big-line": { content: "x".repeat(3 * 1024 * 1024), finish: "stop" },
  "s21-done-space": HELLO,
  "t01-no-id": { calls: [OSLO], finish: "tool_calls" },
  "t02-numeric-id": { calls: [OSLO], finish: "tool_calls" },
  "t03-no-index-two-calls": { calls: [OSLO, CET], finish: "tool_calls" },
  "t06-empty-name-first": { calls: [OSLO], finish: "tool_calls" },
  "t07-stop-with-calls": { calls: [["time", {}]], finish: "tool_calls" },
  "t08-whole-null-ids": {
    calls: [
      ["weather", {}],
      ["time", {}],
    ],
    finish: "tool_calls",
  },
  "t09-same-index-pieces": { calls: [OSLO, CET], finish: "tool_calls" },
  "t11-interleaved": { calls: [OSLO, CET], finish: "tool_calls" },
  "t12-index-starts-at-1": { calls: [OSLO], finish: "tool_calls" },
  "t13-id-on-every-piece-differs": { calls: [OSLO], finish: "tool_calls" },
  "t14-xml-args-object-null-index": { calls: [OSLO, ["time", {}]], finish: "tool_calls" },
  "u01-usage-every-chunk": { content: "ab", finish: "stop", usage: [3, 4] },
  "w01-json-for-stream": HELLO,
};

interface Case {
  readonly id: string;
  readonly tools?: boolean;
  readonly upstream: Readonly<Record<string, ScriptedAnswer>>;
}

interface ScriptedAnswer {
  readonly status?: number;
  readonly json?: unknown;
  readonly base64?: string;
  readonly events?: readonly (string | { readonly raw?: string; readonly hex?: string; readonly bigText?: number })[];
}

const FOLDER = new URL("../../test/cases/", import.meta.url);
const CASES = readdirSync(FOLDER)
  .filter((name) => name.endsWith(".json"))
  .map((name): Case => JSON.parse(readFileSync(new URL(name, FOLDER), "utf8")))
  .filter(({ id }) => EXPECTED[id] !== undefined);

const TOOLS = ["weather", "time"].map((name) => ({ type: "function", function: { name, parameters: {} } }));

function bytesOf({ json, events = [] }: ScriptedAnswer): Buffer {
  if (json !== undefined) return Buffer.from(JSON.stringify(json));
  return Buffer.concat(
    events.map((event) => {
      if (typeof event === "string") return Buffer.from(`data: ${event}\n\n`);
      if (event.hex !== undefined) return Buffer.from(event.hex, "hex");
      if (event.bigText === undefined) return Buffer.from(event.raw ?? "");
      const choice = { index: 0, delta: { content: "x".repeat(event.bigText) }, finish_reason: null };
      return Buffer.from(`data: ${JSON.stringify({ id: "c1", choices: [choice] })}\n\n`);
    }),
  );
}

/** Runs bytes through a reader in pieces, and reads what comes out with code that is not under test. */
function read(bytes: Uint8Array, options: ChatBodyOptions, cuts: readonly number[] = []) {
  let drawn = 0;
  const reader = chatBodyReader({ needsDone: false, newId: () => `new${drawn++}`, ...options });
  const out: Uint8Array[] = [];
  const points = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  for (let at = 1; at < points.length; at += 1) {
    const given = reader.push(bytes.subarray(points[at - 1], points[at]));
    if (given !== undefined) out.push(given);
  }
  const { bytes: last, end } = reader.end();
  if (last !== undefined) out.push(last);
  const text = Buffer.concat(out).toString();
  return { text, end, notices: reader.notices, usageIn: reader.usageIn, form: reader.form };
}

/** A strict and simple reader of OpenAI streams, which fails on everything that is not as OpenAI sends it. */
function strictWords(text: string) {
  const found = {
    content: "",
    reasoning: "",
    calls: [] as { id: string; name: string; text: string }[],
    finish: null as string | null,
  };
  let isDone = false;
  for (const event of text.split(/\r?\n\r?\n/)) {
    const data = event.split(/\r?\n/).filter((line) => line.startsWith("data:"));
    if (data.length === 0) continue;
    expect(data).toHaveLength(1);
    const line = data[0]!.replace(/^data: ?/, "");
    expect(isDone).toBe(false);
    isDone = line === "[DONE]";
    if (isDone) continue;
    const chunk = JSON.parse(line);
    expect(chunk).toMatchObject({ object: "chat.completion.chunk" });
    expect([typeof chunk.id, typeof chunk.model]).toEqual(["string", "string"]);
    expect(Number.isSafeInteger(chunk.created)).toBe(true);
    for (const { index, delta, finish_reason } of chunk.choices) {
      expect(index).toBe(0);
      expect(["string", "undefined"]).toContain(typeof (delta.content ?? undefined));
      expect(delta.role ?? "assistant").toBe("assistant");
      found.content += delta.content ?? "";
      found.reasoning += delta.reasoning_content ?? delta.reasoning ?? "";
      for (const call of delta.tool_calls ?? []) {
        if (call.index === found.calls.length) {
          expect(call).toMatchObject({ type: "function" });
          expect(call.id).toMatch(/./);
          expect(call.function.name).toMatch(/./);
          found.calls.push({ id: call.id, name: call.function.name, text: "" });
        } else {
          expect(call.index).toBeLessThan(found.calls.length);
          expect([call.id, call.function.name]).toEqual([undefined, undefined]);
        }
        found.calls[call.index]!.text += call.function.arguments;
      }
      if (finish_reason !== null) expect(found.finish).toBeNull();
      found.finish = finish_reason ?? found.finish;
    }
  }
  return found;
}

function wholeWords(text: string) {
  const answer: ChatCompletion = JSON.parse(text);
  expect(answer).toMatchObject({ object: "chat.completion" });
  const [choice] = answer.choices;
  expect(choice?.message.role).toBe("assistant");
  const calls = (choice?.message.tool_calls ?? []).map((call) => {
    expect(call.type).toBe("function");
    return { id: call.id, name: call.function.name, text: call.function.arguments };
  });
  return {
    content: choice?.message.content ?? "",
    reasoning: choice?.message.reasoning_content ?? "",
    calls,
    finish: choice?.finish_reason,
  };
}

describe.each(CASES)("$id", ({ id, tools, upstream }) => {
  const expected = EXPECTED[id] ?? {};
  it.each(["stream", "whole"] as const)("is read where a %s was asked for", (asked) => {
    const answer = upstream[asked] ?? upstream.any ?? upstream.stream ?? upstream.whole ?? {};
    const bytes = bytesOf(answer);
    const options = { asked, request: () => ({ model: "m", tools: tools ? TOOLS : undefined }) };
    const result = read(bytes, options);
    if (expected.error !== undefined) {
      expect(result.end).toMatchObject({ state: "error", error: { detail: expected.error } });
      if (asked === "stream") expect(strictWords(result.text).content).toBe(expected.content ?? "");
      return;
    }
    expect(result.end.error).toBeUndefined();
    const words = asked === "stream" ? strictWords(result.text) : wholeWords(result.text);
    expect(words.content).toBe(expected.content ?? "");
    // The two forms of one case think in words of different length.
    expect(words.reasoning.startsWith(expected.reasoning ?? "")).toBe(true);
    expect(words.reasoning === "").toBe(expected.reasoning === undefined);
    expect(words.calls.map((call) => [call.name, JSON.parse(call.text)])).toEqual(expected.calls ?? []);
    expect(new Set(words.calls.map((call) => call.id)).size).toBe(words.calls.length);
    if (expected.finish !== undefined) expect(words.finish).toBe(expected.finish);
    if (expected.usage !== undefined) {
      const [prompt_tokens, completion_tokens] = expected.usage;
      expect(result.usageIn?.usage).toMatchObject({ prompt_tokens, completion_tokens });
    }
    if (expected.notice !== undefined) expect(result.notices.join()).toMatch(expected.notice);
    else expect(result.notices).toEqual([]);
    // What has been put right needs nothing more.
    expect(read(Buffer.from(result.text), options).text).toBe(result.text);
  });

  it("is read alike however its bytes are cut", () => {
    const bytes = bytesOf(upstream.stream ?? upstream.any ?? upstream.whole ?? {});
    if (bytes.length > 100_000) return expect(read(bytes, { asked: "stream" }, [9, 70_000]).end.state).toBe("complete");
    const options = { asked: "stream" as const, request: () => ({ model: "m", tools: tools ? TOOLS : undefined }) };
    const whole = read(bytes, options);
    fc.assert(
      fc.property(fc.array(fc.nat(), { maxLength: 12 }), (cuts) => {
        const cut = read(bytes, options, cuts);
        expect({ ...cut, end: cut.end.state }).toEqual({ ...whole, end: whole.end.state });
      }),
      { numRuns: 60 },
    );
    expect(read(bytes, options, Array.from(bytes.keys())).text).toBe(whole.text);
  });
});
