import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { renderMarkdown } from "./markdown.ts";

const piece = fc.oneof(
  fc.constantFrom("\n", "\n\n", " ", "**", "*", "_", "`", "```", "```ts\n", "# ", "- ", "> ", "1. ", "| a | b |\n"),
  fc.constantFrom("|---|---|\n", "[x](y)", "[", "](", "---", "~~", "word", "词", "🍞", "\t", "\\", "\u001b[2J", "\r\n"),
  fc.string({ maxLength: 6, unit: "binary" }),
);
const text = fc.array(piece, { maxLength: 30 }).map((pieces) => pieces.join(""));

function renderIn(chunks: readonly string[], columns: number): string {
  const renderer = renderMarkdown({ columns: () => columns });
  return chunks.map((chunk) => renderer.push(chunk)).join("") + renderer.end();
}

describe("renderMarkdown", () => {
  it("writes the same however the text is cut into pieces", () => {
    fc.assert(
      fc.property(
        text,
        fc.array(fc.nat(60), { maxLength: 8 }),
        fc.integer({ min: 21, max: 90 }),
        (whole, cuts, columns) => {
          const at = [0, ...cuts.map((cut) => Math.min(cut, whole.length)).sort((a, b) => a - b), whole.length];
          const chunks = at.slice(1).map((end, index) => whole.slice(at[index], end));
          expect(renderIn(chunks, columns)).toBe(renderIn([whole], columns));
        },
      ),
      { numRuns: 300 },
    );
  });

  it("writes no control sign but line feeds, tabs and its own styles", () => {
    fc.assert(
      fc.property(text, (whole) => {
        const bare = renderIn([whole], 60).replaceAll(/\u001b\[\d+(?:;\d+)*m/g, "");
        expect(bare).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/);
      }),
      { numRuns: 300 },
    );
  });

  it("closes every style it opens, on the same line", () => {
    fc.assert(
      fc.property(text, (whole) => {
        for (const line of renderIn([whole], 60).split("\n")) {
          const styles = line.match(/\u001b\[[\d;]+m/g) ?? [];
          const expected = styles.map((style, index) => (index % 2 === 1 ? "\u001b[0m" : style));
          expect(styles).toEqual(expected);
          expect(styles.length % 2).toBe(0);
        }
      }),
      { numRuns: 200 },
    );
  });
});
