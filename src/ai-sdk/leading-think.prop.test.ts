import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { splitLeadingThink } from "./leading-think.ts";

function split(pieces: readonly string[]): { reasoning: string; text: string } {
  const splitter = splitLeadingThink();
  const found = [...pieces.flatMap((piece) => splitter.push(piece)), ...splitter.end()];
  const textOf = (wanted: string) => found.map(({ type, text }) => (type === wanted ? text : "")).join("");
  return { reasoning: textOf("reasoning"), text: textOf("text") };
}

describe("splitLeadingThink", () => {
  it.each([
    ["Hello", "", "Hello"],
    ["<think>a</think>b", "a", "b"],
    ["\n <think>\na\n</think>\n\nb ", "\na\n", "b "],
    ["<think>a", "a", ""],
    ["<think>a</thi", "a</thi", ""],
    ["<think></think>b", "", "b"],
    ["<thin", "", "<thin"],
    ["  \n b", "", "  \n b"],
    ["a <think>b</think>", "", "a <think>b</think>"],
    ["<think>a</think>b <think>c</think>", "a", "b <think>c</think>"],
    ["", "", ""],
  ])("%j", (answer, reasoning, text) => {
    expect(split([answer])).toEqual({ reasoning, text });
  });

  it("gives the same however the answer is cut", () => {
    const word = fc.constantFrom("<think>", "</think>", "<", "/", "think", ">", " ", "\n", "a", "東");
    fc.assert(
      fc.property(fc.array(word, { maxLength: 12 }), (words) => {
        const answer = words.join("");
        expect(split([...answer])).toEqual(split([answer]));
      }),
      { numRuns: 200 },
    );
  });

  it("gives text at once when there is no tag", () => {
    const splitter = splitLeadingThink();
    expect(splitter.push("Hi")).toEqual([{ type: "text", text: "Hi" }]);
  });
});
