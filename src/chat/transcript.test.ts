import { describe, expect, it } from "vitest";
import type { Exchange } from "./exchange.ts";
import { toTranscript } from "./transcript.ts";
import { UNKNOWN_USAGE } from "./usage.ts";

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
