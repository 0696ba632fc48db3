import type { Run } from "./runs.ts";

/** What a line is, as far as its beginning tells. `length` characters of it are marks that are not shown as they are. */
export type Block =
  | { readonly type: "undecided" }
  | { readonly type: "blank" }
  | { readonly type: "rule" }
  | { readonly type: "table" }
  | { readonly type: "fence"; readonly sign: string; readonly language: string }
  | { readonly type: "heading"; readonly level: number; readonly length: number }
  | { readonly type: "quote"; readonly length: number }
  | { readonly type: "bullet"; readonly indent: string; readonly length: number }
  | { readonly type: "numbered"; readonly indent: string; readonly number: string; readonly length: number }
  | { readonly type: "paragraph"; readonly indent: string; readonly length: number };

const UNDECIDED: Block = { type: "undecided" };

/**
 * Tells from the beginning of a line what it is, as early as it can be known, so that text can be shown while it
 * arrives. `complete` says that `line` is the whole line: then there is always an answer.
 */
export function classifyLine(line: string, complete: boolean): Block {
  const indent = /^[ \t]*/.exec(line)?.[0] ?? "";
  const text = line.slice(indent.length);
  if (text.trim() === "") return complete ? { type: "blank" } : UNDECIDED;
  if (/^([-*_])([ \t]*\1)*[ \t]*$/.test(text)) {
    if (!complete) return UNDECIDED;
    if (text.replace(/\s/g, "").length >= 3) return { type: "rule" };
  }
  const fence = /^(`{3,}|~{3,})([^`]*)$/.exec(text);
  if (fence?.[1] !== undefined) {
    const language = /^\s*(\S*)/.exec(fence[2] ?? "")?.[1] ?? "";
    return complete ? { type: "fence", sign: fence[1], language } : UNDECIDED;
  }
  if (text.startsWith("|")) return complete ? { type: "table" } : UNDECIDED;
  if (complete && text.trim() === ">") return { type: "quote", length: line.length };
  const marked = classifyMark(indent, text);
  if (marked !== undefined) return marked;
  // These could still become a mark with the next character.
  if (!complete && /^(?:(?:#{1,6}|[-+*]|\d{1,9}[.)])[ \t]*|>|\d{1,9}|`{1,2}|~{1,2})$/.test(text)) return UNDECIDED;
  return { type: "paragraph", indent, length: indent.length };
}

function classifyMark(indent: string, text: string): Block | undefined {
  const heading = /^(#{1,6})[ \t]+(?=\S)/.exec(text);
  if (heading?.[1] !== undefined) {
    return { type: "heading", level: heading[1].length, length: indent.length + heading[0].length };
  }
  const quote = /^>(?: |(?=\S))/.exec(text);
  if (quote !== null) return { type: "quote", length: indent.length + quote[0].length };
  const bullet = /^[-*+][ \t]+(?=\S)/.exec(text);
  if (bullet !== null) return { type: "bullet", indent, length: indent.length + bullet[0].length };
  const numbered = /^(\d{1,9}[.)])[ \t]+(?=\S)/.exec(text);
  if (numbered?.[1] === undefined) return undefined;
  return { type: "numbered", indent, number: numbered[1], length: indent.length + numbered[0].length };
}

/** What stands before a line of text, and before the lines that wrapping makes of it. */
export function blockPrefix(
  block: Block,
  dim: (text: string) => Run,
): { readonly first: readonly Run[]; readonly hang: readonly Run[] } {
  const indent = "indent" in block ? block.indent.replaceAll("\t", "    ").length : 0;
  const blank = (length: number): Run => ({ text: " ".repeat(length), codes: [] });
  if (block.type === "bullet") {
    return { first: [blank(indent), dim(indent >= 2 ? "◦ " : "• ")], hang: [blank(indent + 2)] };
  }
  if (block.type === "numbered") {
    return { first: [blank(indent), dim(`${block.number} `)], hang: [blank(indent + block.number.length + 1)] };
  }
  return { first: [blank(indent)], hang: [blank(indent)] };
}

/** Bold headings, the two highest levels in colour. */
export function blockCodes(block: Block): readonly number[] {
  if (block.type !== "heading") return [];
  return block.level === 1 ? [1, 4, 35] : block.level === 2 ? [1, 35] : [1];
}

/** The box of a task list. */
export function showTask(text: string): string {
  return text.replace(/^\[ \](?=\s)/, "☐").replace(/^\[[xX]\](?=\s)/, "☑");
}
