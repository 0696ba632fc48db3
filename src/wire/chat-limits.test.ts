import { describe, expect, it } from "vitest";
import { cpuTimeMs } from "../../test/support/cpu-time.ts";
import { chatBodyReader } from "./chat-body.ts";
import { mendArguments } from "./chat-calls.ts";

/* Answers that would freeze a process, or run it out of stack, if they were read to the end. */

const encoder = new TextEncoder();
const LONGEST_MS = 2_000;

function read(text: string, asked: "stream" | "whole", contentType: string) {
  const bytes = encoder.encode(text);
  const reader = chatBodyReader({ asked, contentType });
  const startMs = cpuTimeMs();
  for (let at = 0; at < bytes.length; at += 64 * 1024) reader.push(bytes.subarray(at, at + 64 * 1024));
  const { end } = reader.end();
  return { error: end.error, tookMs: cpuTimeMs() - startMs };
}

const nested = (levels: number) => `${"[".repeat(levels)}${"]".repeat(levels)}`;
const whole = (more: string) => `{"choices":[{"index":0,"message":{"role":"assistant","content":"x","more":${more}}}]}`;
const event = (more: string) =>
  `data: {"choices":[{"index":0,"delta":{"content":"x","more":${more}}}]}\n\ndata: [DONE]\n\n`;
const many = (count: number, one: (index: number) => string) => Array.from({ length: count }, (_, i) => one(i)).join();

const calls = many(50_000, (i) => `{"index":${i},"id":"c${i}","function":{"name":"f","arguments":"{}"}}`);

const ANSWERS: readonly (readonly [string, string, string])[] = [
  ["is nested a million deep", whole(nested(1_000_000)), "holds more than 256 levels of nesting"],
  ["is short and nested deeper than the stack", whole(nested(7_000)), "holds more than 256 levels of nesting"],
  [
    "is long and nested a million deep",
    whole(`["${"x".repeat(40_000_000)}",${nested(1_000_000)}]`),
    "256 levels of nesting",
  ],
  ["has two million values", whole(`[${many(2_000_000, () => "1")}]`), "holds more than 1000000 values"],
  [
    "has 100,000 choices",
    `{"choices":[${many(100_000, (i) => `{"index":${i},"message":{}}`)}]}`,
    "more than 256 choices",
  ],
  [
    "has 50,000 tool calls",
    `{"choices":[{"index":0,"message":{"tool_calls":[${calls}]}}]}`,
    "more than 1024 tool calls",
  ],
  ["is a million lines", '{"a":1}\n'.repeat(1_000_000), "holds more than 250000 objects and lists"],
  ["is 150,000 lines", "{}\n".repeat(150_000), "more than 100000 lines"],
  ["is blank for two million characters", `{${" ".repeat(2_000_000)}x`, "not valid JSON"],
  ["is a page of titles", "<title>".repeat(9_000), "a web page came"],
];
const EVENTS: readonly (readonly [string, string, string])[] = [
  ["nested a million deep", event(nested(1_000_000)), "holds more than 256 levels of nesting"],
  ["short and nested deeper than the stack", event(nested(7_000)), "holds more than 256 levels of nesting"],
  ["of 300,000 fields", event(`{${many(300_000, (i) => `"a${i}":1`)}}`), "holds more than 100000 fields"],
  ["of 100,000 choices", `data: {"choices":[${many(100_000, (i) => `{"index":${i},"delta":{}}`)}]}\n\n`, "256 choices"],
  ["of 50,000 tool calls", `data: {"choices":[{"index":0,"delta":{"tool_calls":[${calls}]}}]}\n\n`, "1024 tool calls"],
  ["of 100,000 chunks", `data: [${many(100_000, () => '{"choices":[]}')}]\n\n`, "256 choices"],
  [
    "in thousands, each of another choice",
    many(10_000, (i) => `data: {"choices":[{"index":${i},"delta":{"content":"x"}}]}\n\n`).replaceAll("\n,", "\n"),
    "256 choices",
  ],
];

describe.each(["stream", "whole"] as const)("an answer asked for as a %s", (asked) => {
  it.each(ANSWERS)("that %s is refused soon, in words of its own", (_what, text, words) => {
    const { error, tookMs } = read(text, asked, "application/json");
    expect(error?.detail).toContain(words);
    expect(error?.code).not.toBe("internal");
    expect(tookMs).toBeLessThan(LONGEST_MS);
  });

  it.each(EVENTS)("with an event %s is refused soon, in words of its own", (_what, text, words) => {
    const { error, tookMs } = read(text, asked, "text/event-stream");
    expect(error).toMatchObject({ code: "bad_response", detail: expect.stringContaining(words) });
    expect(tookMs).toBeLessThan(LONGEST_MS);
  });
});

it.each([
  ["open without end", `${"{".repeat(60_000)}${"[]".repeat(60_000)}`],
  ["begin anew many times", `{"a":[${"1,".repeat(30_000)}`.repeat(64)],
])("arguments that %s are given up on soon", (_what, text) => {
  const startMs = cpuTimeMs();
  expect(mendArguments(text)).toBeUndefined();
  expect(cpuTimeMs() - startMs).toBeLessThan(LONGEST_MS / 2);
});
