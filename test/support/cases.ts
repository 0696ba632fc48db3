import { readdirSync, readFileSync } from "node:fs";
import type { CaseScript } from "./case-upstream.ts";

export interface Case {
  readonly id: string;
  readonly tools?: boolean;
  readonly upstream: CaseScript;
  readonly expected: ExpectedAnswer;
}

/** What is right at every door: words, thinking, calls with their arguments, why it ended; or the error and its words. */
export interface ExpectedAnswer {
  readonly content?: string;
  readonly reasoning?: string;
  readonly calls?: readonly (readonly [name: string, given: unknown])[];
  readonly finish?: string;
  readonly usage?: readonly [input: number, output: number];
  /** What the user is told about it. */
  readonly notice?: RegExp;
  readonly error?: string;
}

const OSLO = ["weather", { city: "Oslo" }] as const;
const CET = ["time", { zone: "CET" }] as const;
const HELLO = { content: "Hello", finish: "stop" };

/** The `expected` of the cases (test/cases), in code. */
const EXPECTED: Readonly<Record<string, ExpectedAnswer>> = {
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

const FOLDER = new URL("../cases/", import.meta.url);

/** The cases whose answers have a good status. */
export const ANSWER_CASES: readonly Case[] = readdirSync(FOLDER)
  .filter((name) => name.endsWith(".json"))
  .flatMap((name) => {
    const given = JSON.parse(readFileSync(new URL(name, FOLDER), "utf8"));
    const expected = EXPECTED[given.id];
    return expected === undefined ? [] : [{ ...given, expected }];
  });

/** The tools that the cases with tools offer. */
export const CASE_TOOLS = ["weather", "time"].map((name) => ({
  type: "function" as const,
  function: { name, description: `Tells the ${name}`, parameters: { type: "object", properties: {} } },
}));
