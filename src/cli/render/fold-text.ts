import type { TerminalStream } from "../context.ts";
import { displayWidth } from "./display-width.ts";
import { withoutStyles } from "./style.ts";

/**
 * Text for people, with lines that are too long broken between words instead of wherever the terminal ends. What stands
 * in the last column of a table, or behind a mark such as `→`, goes on below itself.
 */
export function foldText(text: string, columns: number): string {
  return text
    .split("\n")
    .map((line) => (visibleWidth(line) <= columns ? line : foldLine(line, columns)))
    .join("\n");
}

/** The same for a stream: only terminals have a width. */
export function foldFor(stream: TerminalStream, text: string): string {
  return stream.isTTY === true ? foldText(text, stream.columns ?? 80) : text;
}

function foldLine(line: string, columns: number): string {
  const hang = hangOf(withoutStyles(line), columns);
  let column = 0;
  let folded = "";
  // A command in back-quotes is for copying: a line break inside it would run its first half.
  for (const [, space = "", word = ""] of line.matchAll(/( *)([^ `]*`[^`]*`[^ ]*|[^ ]+)/g)) {
    const width = visibleWidth(word);
    if (column > hang && column + space.length + width > columns) {
      folded += `\n${" ".repeat(hang)}${word}`;
      column = hang + width;
    } else {
      folded += space + word;
      column += space.length + width;
    }
  }
  return folded;
}

/** Where the text of the last column begins, if that leaves half of the window for it; else behind the line's own mark. */
function hangOf(line: string, columns: number): number {
  const lastColumn = /^.*\S {2,}(?=\S)/.exec(line)?.[0];
  if (lastColumn !== undefined && displayWidth(lastColumn) <= columns / 2) return displayWidth(lastColumn);
  return displayWidth(/^ *(?:[→!✗✓•⚙] )?/.exec(line)?.[0] ?? "");
}

function visibleWidth(text: string): number {
  return displayWidth(withoutStyles(text));
}
