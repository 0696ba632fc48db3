import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type CaseAnswer, caseBody } from "../../test/support/case-upstream.ts";
import { ANSWER_CASES, CASE_TOOLS, type Case } from "../../test/support/cases.ts";
import { type ChatBodyOptions, chatBodyReader } from "./chat-body.ts";
import type { ChatCompletion } from "./chat-shape.ts";

const bytesOf = (answer: CaseAnswer) => Buffer.concat(caseBody(answer).map((piece) => piece ?? Buffer.alloc(0)));

/** What a case answers where this was asked. */
function answerOf({ upstream }: Case, asked: "stream" | "whole"): CaseAnswer {
  return [upstream[asked] ?? upstream.any ?? upstream.stream ?? upstream.whole ?? {}].flat()[0] ?? {};
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
    const line = data.map((each) => each.replace(/^data: ?/, "")).join("\n");
    expect(isDone).toBe(false);
    isDone = line === "[DONE]";
    if (isDone) continue;
    const chunk = JSON.parse(line);
    expect(chunk.object ?? "chat.completion.chunk").toBe("chat.completion.chunk");
    expect([typeof (chunk.id ?? ""), typeof (chunk.model ?? "")]).toEqual(["string", "string"]);
    expect(Number.isSafeInteger(chunk.created ?? 0)).toBe(true);
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
      if (typeof finish_reason === "string") expect(found.finish).toBeNull();
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

describe.each(ANSWER_CASES)("$id", (given) => {
  const { expected, tools } = given;
  const request = () => ({ model: "m", tools: tools ? CASE_TOOLS : undefined });
  it.each(["stream", "whole"] as const)("is read where a %s was asked for", (asked) => {
    const bytes = bytesOf(answerOf(given, asked));
    const options = { asked, request };
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
    const bytes = bytesOf(answerOf(given, "stream"));
    if (bytes.length > 100_000) return expect(read(bytes, { asked: "stream" }, [9, 70_000]).end.state).toBe("complete");
    const options = { asked: "stream" as const, request };
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
