import { applySplices, indentOf } from "../splice.ts";

/** What notes of a migration begin with, so that people and later runs know them. */
const MARK = "# zeph: ";

/**
 * Puts a comment above a line, under the same indent; undefined when the comments above it say so already.
 * @param line from 1
 */
export function noteAbove(text: string, line: number, note: string): string | undefined {
  const comment = MARK + note;
  const lines = text.split("\n");
  for (let above = line - 1; above >= 1; above -= 1) {
    const content = (lines[above - 1] ?? "").trim();
    if (content === comment) return undefined;
    if (!content.startsWith("#")) break;
  }
  return applySplices(text, [{ kind: "insert-lines", after: line - 1, lines: indentOf(text, line) + comment }]);
}

/** Turns lines into comments; blank ones and comments stay as they are. */
export function commentOut(text: string, from: number, to: number): string {
  return text
    .split("\n")
    .map((content, index) => {
      const isInside = index + 1 >= from && index + 1 <= to;
      return isInside && content.trim() !== "" && !content.trim().startsWith("#") ? `#${content}` : content;
    })
    .join("\n");
}
