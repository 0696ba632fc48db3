import { endsBreakable } from "./display-width.ts";
import { startFlow } from "./flow.ts";
import { type Block, blockCodes, blockPrefix, classifyLine, showTask } from "./markdown-block.ts";
import { inlineRuns, isSettled } from "./markdown-inline.ts";
import { startTableBuffer } from "./markdown-table-buffer.ts";
import { type Run, toAnsi } from "./runs.ts";
import { toTerminalText } from "./terminal-text.ts";
import type { TextRenderer } from "./text-renderer.ts";

export interface MarkdownOptions {
  /** Width of the terminal; asked again at every line. */
  readonly columns: () => number;
  /** Style of everything, as SGR codes: `[2]` for dim. */
  readonly base?: readonly number[];
  /** Stands before every line. */
  readonly margin?: string;
}

/** Longer lines are hard to read, however wide the window is. */
const MAX_COLUMNS = 100;
const MAX_RULE_COLUMNS = 60;
/** More than this never waits, so that no answer, however odd, makes the renderer slow or silent. */
const MAX_HELD_CHARS = 4_000;
const DIM = 2;
const CYAN = 36;

/**
 * Markdown for terminals, written as it streams and never rewritten: words appear as they come; a word waits only while
 * an emphasis, a code span or a link around it is open, a line of code until it is complete, a table until its columns
 * are known. What is written does not depend on how the text was cut into pieces. Control signs are made harmless.
 */
export function renderMarkdown({ columns, base = [], margin = "" }: MarkdownOptions): TextRenderer {
  const dim = (text: string): Run => ({ text, codes: base.includes(DIM) ? base : [...base, DIM] });
  const marginRuns: readonly Run[] = margin === "" ? [] : [dim(margin)];
  const width = () => Math.max(20, Math.min(columns() - 1, MAX_COLUMNS));
  const flow = startFlow({ width, margin: marginRuns });
  const table = startTableBuffer({ width: () => width() - margin.length, base });

  let state: "line-start" | "inline" | "code" = "line-start";
  /** The beginning of a line, or the text of it that waits, or a line of code. */
  let held = "";
  let block: Block = { type: "blank" };
  let isTaskPossible = false;
  let quoteDepth = 0;
  let fence = { sign: "", indent: 0 };
  let begun = false;
  let gap = false;
  let halfPair = "";

  const quoteRuns = (): Run[] => (quoteDepth === 0 ? [] : [dim("│ ".repeat(quoteDepth))]);
  const fullLine = (runs: readonly Run[]) => `${toAnsi([...marginRuns, ...quoteRuns(), ...runs])}\n`;

  /** A blank line between blocks: never at the beginning, never two. */
  function openBlock(): string {
    const blank = gap && begun ? `${toAnsi(marginRuns).trimEnd()}\n` : "";
    gap = false;
    begun = true;
    return blank;
  }

  function withMargin(tableText: string): string {
    if (tableText === "") return "";
    return openBlock() + (margin === "" ? tableText : tableText.replace(/^(?=.)/gm, toAnsi(marginRuns)));
  }

  function rule(label = ""): Run {
    const start = label === "" ? "" : `── ${label} `;
    return dim(start + "─".repeat(Math.max(0, Math.min(width(), MAX_RULE_COLUMNS) - start.length)));
  }

  function showHeld(): string {
    const text = isTaskPossible ? showTask(held) : held;
    isTaskPossible = false;
    held = "";
    return text === "" ? "" : flow.add(inlineRuns(text, [...base, ...blockCodes(block)]));
  }

  /** What the line is has just become known: shows its beginning and keeps the rest of it. */
  function startLine(next: Block, complete: boolean): string {
    if (next.type === "undecided") return "";
    if (next.type === "table" && quoteDepth === 0) return withMargin(table.add(takeHeld()));
    const before = withMargin(table.end());
    block = next;
    switch (next.type) {
      case "blank":
        held = "";
        if (quoteDepth > 0) return before + openBlock() + fullLine([]);
        gap = true;
        return before;
      case "rule":
        held = "";
        return before + openBlock() + fullLine([rule()]);
      case "fence":
        fence = { sign: next.sign, indent: held.length - held.trimStart().length };
        held = "";
        state = "code";
        return before + openBlock() + fullLine([rule(next.language)]);
      case "quote":
        quoteDepth += 1;
        held = held.slice(next.length);
        return before + startLine(classifyLine(held, complete), complete);
      default: {
        const { first, hang } = blockPrefix(next, dim);
        held = held.slice("length" in next ? next.length : 0);
        state = "inline";
        isTaskPossible = next.type === "bullet";
        return before + openBlock() + flow.begin([...quoteRuns(), ...first], [...quoteRuns(), ...hang]);
      }
    }
  }

  function takeHeld(): string {
    const text = held;
    held = "";
    return text;
  }

  function endCodeLine(): string {
    const line = stripQuote(takeHeld(), quoteDepth);
    const closing = /^\s*(`{3,}|~{3,})\s*$/.exec(line)?.[1];
    if (closing?.startsWith(fence.sign) === true) return closeCode();
    return fullLine([{ text: stripIndent(line, fence.indent), codes: [...base, CYAN] }]);
  }

  function closeCode(): string {
    const written = fullLine([rule()]);
    state = "line-start";
    quoteDepth = 0;
    return written;
  }

  function endInlineLine(): string {
    // Two blanks or a backslash at the end ask for the line break that is made anyway.
    held = held.replace(/(?:\\|\s+)$/, "");
    const written = showHeld() + flow.end();
    state = "line-start";
    quoteDepth = 0;
    return written;
  }

  function endLine(): string {
    if (state === "code") return endCodeLine();
    if (state === "inline") return endInlineLine();
    const written = startLine(classifyLine(held, true), true);
    // `startLine` has moved on: into a text line that ends here, or into code that begins here.
    const reached = state as "line-start" | "inline" | "code";
    if (reached === "inline") return written + endInlineLine();
    if (reached === "line-start") quoteDepth = 0;
    return written;
  }

  function classify(): Block {
    return held.length > MAX_HELD_CHARS ? { type: "paragraph", indent: "", length: 0 } : classifyLine(held, false);
  }

  function mayShow(sign: string): boolean {
    if (held.length > MAX_HELD_CHARS) return true;
    // A heading is short and looks better in one piece.
    return block.type !== "heading" && (/\s/.test(sign) || endsBreakable(sign)) && isSettled(held);
  }

  function feed(sign: string): string {
    if (sign === "\n") return endLine();
    held += sign;
    const written = state === "line-start" ? startLine(classify(), false) : "";
    if (state === "inline" && mayShow(sign)) return written + showHeld();
    return written;
  }

  return {
    push(text) {
      const whole = halfPair + text;
      // Half of a surrogate pair waits for its other half.
      halfPair = /[\ud800-\udbff]$/.exec(whole)?.[0] ?? "";
      let written = "";
      for (const sign of toTerminalText(whole.slice(0, whole.length - halfPair.length))) written += feed(sign);
      return written;
    },
    end() {
      const rest = held === "" && state !== "inline" ? "" : endLine();
      return rest + (state === "code" ? closeCode() : "") + withMargin(table.end());
    },
  };
}

/** Lines of code in a quote carry the marks of the quote. */
function stripQuote(line: string, depth: number): string {
  return depth === 0 ? line : line.replace(new RegExp(`^\\s*(?:> ?){0,${depth}}`), "");
}

function stripIndent(line: string, indent: number): string {
  return indent === 0 ? line : line.replace(new RegExp(`^[ \\t]{0,${indent}}`), "");
}
