import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { splitLeadingThink } from "./leading-think.ts";

function split(chunks: readonly string[]): { reasoning: string; text: string } {
  const splitter = splitLeadingThink();
  const pieces = [...chunks.flatMap((chunk) => splitter.push(chunk)), ...splitter.end()];
  const join = (type: string) =>
    pieces
      .filter((piece) => piece.type === type)
      .map((piece) => piece.text)
      .join("");
  return { reasoning: join("reasoning"), text: join("text") };
}

describe("splitLeadingThink", () => {
  it.each([
    ["plain", { reasoning: "", text: "plain" }],
    ["<think>a</think>b", { reasoning: "a", text: "b" }],
    ["\n<think>\na\n</think>\n\nb c", { reasoning: "\na\n", text: "b c" }],
    ["<think>never closed", { reasoning: "never closed", text: "" }],
    ["<thin", { reasoning: "", text: "<thin" }],
    ["The <think> tag marks thoughts", { reasoning: "", text: "The <think> tag marks thoughts" }],
    ["<think>a</think>b <think>c", { reasoning: "a", text: "b <think>c" }],
    ["", { reasoning: "", text: "" }],
  ])("tells %j apart", (text, expected) => expect(split([text])).toEqual(expected));

  it("does not depend on how the text is cut into chunks", () => {
    const pieces = fc.constantFrom("<think>", "</think>", "<", "</", "think>", " ", "\n", "word");
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 8 }), fc.array(fc.nat(20), { maxLength: 6 }), (words, cuts) => {
        const text = words.join("");
        const at = [0, ...cuts.map((cut) => Math.min(cut, text.length)).sort((a, b) => a - b), text.length];
        const chunks = at.slice(1).map((end, index) => text.slice(at[index], end));
        expect(split(chunks)).toEqual(split([text]));
      }),
      { numRuns: 200 },
    );
  });
});
