import type { LanguageModelV3StreamPart } from "@ai-sdk/provider";
import { describe, expect, it } from "vitest";
import { tagsMarked, withTagsMarked, withThinkingInTags } from "./thinking.ts";

const IN_TAGS = { gonka: { thinkTags: true } };
const raw = (delta: object): LanguageModelV3StreamPart => ({ type: "raw", rawValue: { choices: [{ delta }] } });
const BLOCK: readonly LanguageModelV3StreamPart[] = [
  { type: "reasoning-start", id: "r" },
  { type: "reasoning-delta", id: "r", delta: "a" },
  { type: "reasoning-end", id: "r" },
];

describe("tagsMarked", () => {
  it("marks thinking whose chunk says that it stood in tags, and no other", () => {
    const marked = [raw({ thinking_in_tags: true }), ...BLOCK].map(tagsMarked());
    expect(marked[1]).toEqual({ type: "reasoning-start", id: "r", providerMetadata: IN_TAGS });
    expect(marked[3]).toEqual({ type: "reasoning-end", id: "r", providerMetadata: IN_TAGS });
    const others = [raw({ reasoning_content: "a" }), ...BLOCK];
    expect(others.map(tagsMarked())).toEqual(others);
  });
});

describe("withTagsMarked", () => {
  const content = [
    { type: "reasoning" as const, text: "a" },
    { type: "text" as const, text: "b" },
  ];
  it("marks the thinking of a whole answer", () => {
    const body = { choices: [{ message: { thinking_in_tags: true } }] };
    expect(withTagsMarked(content, body)).toEqual([{ ...content[0], providerMetadata: IN_TAGS }, content[1]]);
    expect(withTagsMarked(content, { choices: [{ message: {} }] })).toEqual(content);
    expect(withTagsMarked(content, undefined)).toEqual(content);
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
