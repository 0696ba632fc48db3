import type { LanguageModelV3StreamPart } from "@ai-sdk/provider";
import { describe, expect, it } from "vitest";
import { thinkingApart, withThinkingApart, withThinkingInTags } from "./think-parts.ts";

const IN_TAGS = { gonka: { thinkTags: true } };

function run(...deltas: string[]): LanguageModelV3StreamPart[] {
  const apart = thinkingApart();
  const parts: LanguageModelV3StreamPart[] = [
    { type: "text-start", id: "txt-0" },
    ...deltas.map((delta) => ({ type: "text-delta" as const, id: "txt-0", delta })),
    { type: "text-end", id: "txt-0" },
  ];
  return parts.flatMap((part) => [...apart(part)]);
}

describe("thinkingApart", () => {
  it("opens and closes both blocks in order", () => {
    expect(run("<think>a", "b</think>", "\n\nc", "d")).toEqual([
      { type: "reasoning-start", id: "think-0", providerMetadata: IN_TAGS },
      { type: "reasoning-delta", id: "think-0", delta: "a" },
      { type: "reasoning-delta", id: "think-0", delta: "b" },
      { type: "reasoning-end", id: "think-0" },
      { type: "text-start", id: "txt-0" },
      { type: "text-delta", id: "txt-0", delta: "c" },
      { type: "text-delta", id: "txt-0", delta: "d" },
      { type: "text-end", id: "txt-0" },
    ]);
  });

  it("closes thinking that is all there is", () => {
    expect(run("<think>a").map(({ type }) => type)).toEqual(["reasoning-start", "reasoning-delta", "reasoning-end"]);
  });

  it("gives nothing for an empty block, and what was held for a tag at its end", () => {
    expect(run()).toEqual([]);
    expect(run("<th").map(({ type }) => type)).toEqual(["text-start", "text-delta", "text-end"]);
  });

  it("leaves later blocks and other parts alone", () => {
    const apart = thinkingApart();
    const tool: LanguageModelV3StreamPart = { type: "tool-input-start", id: "1", toolName: "f" };
    expect(apart(tool)).toEqual([tool]);
    apart({ type: "text-start", id: "txt-0" });
    apart({ type: "text-end", id: "txt-0" });
    const later: LanguageModelV3StreamPart = { type: "text-delta", id: "txt-0", delta: "<think>" };
    expect(apart(later)).toEqual([later]);
  });
});

describe("withThinkingApart", () => {
  it("splits the first text only, and keeps what has no tags as the same part", () => {
    const plain = [{ type: "text" as const, text: "  hi" }];
    expect(withThinkingApart(plain)[0]).toBe(plain[0]);
    const tagged = ["<think>a</think>b", "<think>c</think>"].map((text) => ({ type: "text" as const, text }));
    expect(withThinkingApart(tagged)).toEqual([
      { type: "reasoning", text: "a", providerMetadata: IN_TAGS },
      { type: "text", text: "b" },
      { type: "text", text: "<think>c</think>" },
    ]);
  });
});

describe("withThinkingInTags", () => {
  it("puts back only what came in tags", () => {
    const prompt = withThinkingInTags([
      {
        role: "assistant",
        content: [
          { type: "reasoning", text: "a", providerOptions: IN_TAGS },
          { type: "reasoning", text: "b" },
          { type: "text", text: "c" },
        ],
      },
    ]);
    expect(prompt[0]?.content).toEqual([
      { type: "text", text: "<think>a</think>\n\n" },
      { type: "reasoning", text: "b" },
      { type: "text", text: "c" },
    ]);
  });
});
