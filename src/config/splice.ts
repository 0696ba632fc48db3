import type { OutlineEntry, Span } from "./toml-outline.ts";

/** One change of a text: lines and columns are those of the text before all changes. */
export type Splice =
  | { readonly kind: "replace"; readonly span: Span; readonly text: string }
  | { readonly kind: "delete-lines"; readonly from: number; readonly to: number }
  /** Whole lines, to stand after the given line; 0 is the beginning of the text. */
  | { readonly kind: "insert-lines"; readonly after: number; readonly lines: string };

/** Applies changes that do not overlap. Everything outside of them keeps its bytes. */
export function applySplices(text: string, splices: readonly Splice[]): string {
  const starts = lineStarts(text);
  return splices
    .map((splice, order) => ({ ...toRange(text, starts, splice), order }))
    .sort((a, b) => b.from - a.from || b.to - a.to || b.order - a.order)
    .reduce((result, { from, to, text: replacement }) => result.slice(0, from) + replacement + result.slice(to), text);
}

interface TextRange {
  readonly from: number;
  readonly to: number;
  readonly text: string;
}

function toRange(text: string, starts: readonly number[], splice: Splice): TextRange {
  const startOf = (line: number) => starts[line - 1] ?? text.length;
  if (splice.kind === "replace") {
    const { startLine, startColumn, endLine, endColumn } = splice.span;
    return { from: startOf(startLine) + startColumn, to: startOf(endLine) + endColumn, text: splice.text };
  }
  if (splice.kind === "delete-lines") return { from: startOf(splice.from), to: startOf(splice.to + 1), text: "" };
  const newline = newlineOf(text);
  const at = startOf(splice.after + 1);
  const open = at > 0 && at === text.length && !text.endsWith("\n") ? newline : "";
  return { from: at, to: at, text: `${open}${splice.lines}${newline}` };
}

/** The line break a text uses; a new text gets a plain one. */
export function newlineOf(text: string): string {
  return text.includes("\r\n") ? "\r\n" : "\n";
}

/** The white space before an entry, so that new lines stand under it. */
export function indentOf(text: string, line: number): string {
  const lines = text.split("\n");
  return /^[ \t]*/.exec(lines[line - 1] ?? "")?.[0] ?? "";
}

export function isBlankLine(text: string, line: number): boolean {
  const content = text.split("\n")[line - 1];
  return content === undefined || content.trim() === "";
}

export function deleteEntry(entry: OutlineEntry): Splice {
  return { kind: "delete-lines", from: entry.span.startLine, to: entry.span.endLine };
}

function lineStarts(text: string): readonly number[] {
  const starts = [0];
  for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  return starts;
}
