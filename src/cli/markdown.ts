import { Lexer, type Token, type Tokens } from "marked";
import { type Run, startFlow, toAnsi, widthOf, wrapRuns } from "./runs.ts";
import { endsBreakable, type TextRenderer, toTerminalText } from "./terminal.ts";

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

/** What a line is, as far as its beginning tells. `length` characters of it are marks that are not shown as they are. */
type Block =
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
function classifyLine(line: string, complete: boolean): Block {
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
function blockPrefix(
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
function blockCodes(block: Block): readonly number[] {
  if (block.type !== "heading") return [];
  return block.level === 1 ? [1, 4, 35] : block.level === 2 ? [1, 35] : [1];
}

/** The box of a task list. */
function showTask(text: string): string {
  return text.replace(/^\[ \](?=\s)/, "☐").replace(/^\[[xX]\](?=\s)/, "☑");
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&amp;": "&",
  "&lt;": "<",
  "&gt;": ">",
  "&quot;": '"',
  "&#39;": "'",
  "&apos;": "'",
  "&nbsp;": " ",
};

/** Emphasis, code spans and links of one line, as styled runs. `base` holds for all of it. */
function inlineRuns(text: string, base: readonly number[]): Run[] {
  return toRuns(Lexer.lexInline(text), base);
}

function toRuns(tokens: readonly Token[], codes: readonly number[]): Run[] {
  return tokens.flatMap((token) => tokenRuns(token, codes));
}

function tokenRuns(token: Token, codes: readonly number[]): Run[] {
  const inner = "tokens" in token && token.tokens !== undefined ? token.tokens : [];
  switch (token.type) {
    case "strong":
      return toRuns(inner, [...codes, 1]);
    case "em":
      return toRuns(inner, [...codes, 3]);
    case "del":
      return toRuns(inner, [...codes, 9]);
    case "codespan":
      return [{ text: token.text, codes: [...codes, 36] }];
    case "link":
      return linkRuns(toRuns(inner, [...codes, 4]), token.href, codes);
    case "image":
      return linkRuns([{ text: token.text, codes: [...codes, 4] }], token.href, codes);
    case "br":
      return [{ text: " ", codes }];
    case "html":
      return [{ text: /^<br\s*\/?>$/i.test(token.raw) ? " " : token.raw, codes }];
    case "escape":
      return [{ text: token.text, codes }];
    case "text":
      return inner.length > 0 ? toRuns(inner, codes) : [{ text: decodeEntities(token.text), codes }];
    default:
      return [{ text: token.raw, codes }];
  }
}

/** The address is always shown: a label could pretend to lead elsewhere. */
function linkRuns(label: readonly Run[], href: string, codes: readonly number[]): Run[] {
  const text = label.map((run) => run.text).join("");
  const isAddress = text === href || href === `mailto:${text}` || href === `http://${text}`;
  return isAddress || href === "" ? [...label] : [...label, { text: ` (${href})`, codes: [...codes, 2] }];
}

function decodeEntities(text: string): string {
  return text.replace(/&(?:amp|lt|gt|quot|#39|apos|nbsp);/g, (entity) => ENTITIES[entity] ?? entity);
}

/** Longest text that waits for the end of an emphasis; beyond that the sign was probably meant as it stands. */
const MAX_HELD_INLINE_CHARS = 400;

/** May `text` be shown now, or could what follows still change its style (an open `**`, a code span, a link)? */
function isSettled(text: string): boolean {
  if (!/[*_`~[]/.test(text) || text.length >= MAX_HELD_INLINE_CHARS) return true;
  return !Lexer.lexInline(text).some((token) => token.type === "text" && mayOpen(token.raw));
}

const OPENERS = [
  /`/,
  // A run of signs with white space or the beginning before it and something to stress behind it.
  /(?:^|[^*])\*+[^*\s]/,
  /(?:^|[^\w~])[_~]+[^_~\s]/,
  // An unclosed bracket, or a link whose address is not complete.
  /\[[^\]]*$/,
  /\]\([^)]*$/,
];

function mayOpen(text: string): boolean {
  return OPENERS.some((opener) => opener.test(text));
}

/** Rows a table may have before it is shown; later ones follow one by one in the columns found until then. */
const MAX_ROWS_HELD = 12;

/** Collects the lines of a table, whose columns are known only when all rows, or enough of them, are there. */
interface TableBuffer {
  /** Takes a line; gives back what can be written now, mostly nothing. */
  add(line: string): string;
  /** The table has ended: gives back what was held. */
  end(): string;
}

function startTableBuffer({ width, base }: { width: () => number; base: readonly number[] }): TableBuffer {
  let lines: string[] = [];
  let layout: TableLayout | undefined;

  function show(): string {
    layout = layOutTable(lines, width());
    // Lines that only looked like a table are shown as the text they are.
    return layout?.text ?? lines.map((line) => `${toAnsi(inlineRuns(line, base))}\n`).join("");
  }
  function end(): string {
    const text = lines.length > 0 && layout === undefined ? show() : "";
    lines = [];
    layout = undefined;
    return text;
  }
  return {
    add(line) {
      if (layout !== undefined) return layout.addRow(line);
      lines.push(line);
      if (lines.length < MAX_ROWS_HELD + 2) return "";
      const text = show();
      if (layout === undefined) lines = [];
      return text;
    },
    end,
  };
}

/** A table whose columns have found their widths. */
interface TableLayout {
  /** Header and the rows it was made from, each line ended. */
  readonly text: string;
  /** One more row in the same columns. */
  addRow(line: string): string;
}

const SEPARATOR: Run = { text: " │ ", codes: [2] };
const MIN_COLUMN_WIDTH = 6;

/**
 * Lays out lines that start with `|`. `undefined` when they are no table. Cells wrap where the terminal is too narrow;
 * with too many columns for it, every row becomes a list of `header: cell`.
 */
function layOutTable(lines: readonly string[], maxWidth: number): TableLayout | undefined {
  const table = parseTable(lines);
  if (table === undefined) return undefined;
  const head = lines.slice(0, 2);
  const header = table.header.map((cell) => toRuns(cell.tokens, [1]));
  const rows = table.rows.map(cellsOf);
  const widths = fitWidths(
    header.map((cell, index) => Math.max(1, widthOf(cell), ...rows.map((row) => widthOf(row[index] ?? [])))),
    maxWidth - (header.length - 1) * SEPARATOR.text.length,
  );
  const format = (row: readonly (readonly Run[])[]) =>
    widths === undefined ? formatRecord(header, row) : formatRow(row, widths, table.align);
  const rule =
    widths === undefined
      ? ""
      : `${toAnsi([{ text: widths.map((width) => "─".repeat(width)).join("─┼─"), codes: [2] }])}\n`;
  return {
    text: (widths === undefined ? "" : format(header) + rule) + rows.map(format).join(""),
    addRow(line) {
      const row = parseTable([...head, line])?.rows[0];
      return row === undefined ? `${line}\n` : format(cellsOf(row));
    },
  };
}

function parseTable(lines: readonly string[]): Tokens.Table | undefined {
  const [token] = new Lexer().lex(`${lines.map((line) => line.trim()).join("\n")}\n`);
  return token?.type === "table" ? (token as Tokens.Table) : undefined;
}

const cellsOf = (row: readonly Tokens.TableCell[]) => row.map((cell) => toRuns(cell.tokens, []));

/** Takes columns away from the widest until all fit; `undefined` when they cannot. */
function fitWidths(wanted: readonly number[], available: number): readonly number[] | undefined {
  const floor = wanted.map((width) => Math.min(width, MIN_COLUMN_WIDTH));
  if (floor.reduce((sum, width) => sum + width, 0) > available) return undefined;
  const widths = [...wanted];
  for (let excess = widths.reduce((sum, width) => sum + width, 0) - available; excess > 0; excess--) {
    const widest = widths.indexOf(Math.max(...widths));
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
  return widths;
}

function formatRow(
  cells: readonly (readonly Run[])[],
  widths: readonly number[],
  align: Tokens.Table["align"],
): string {
  const wrapped = widths.map((width, index) => wrapRuns(cells[index] ?? [], width));
  const height = Math.max(...wrapped.map((lines) => lines.length));
  let text = "";
  for (let line = 0; line < height; line++) {
    const runs = widths.flatMap((width, index) => [
      ...(index === 0 ? [] : [SEPARATOR]),
      ...pad(wrapped[index]?.[line] ?? [], width, align[index] ?? null),
    ]);
    text += `${toAnsi(runs).trimEnd()}\n`;
  }
  return text;
}

function pad(runs: readonly Run[], width: number, align: Tokens.TableCell["align"]): Run[] {
  const missing = Math.max(0, width - widthOf(runs));
  const left = align === "right" ? missing : align === "center" ? Math.floor(missing / 2) : 0;
  const blank = (length: number): Run => ({ text: " ".repeat(length), codes: [] });
  return [blank(left), ...runs, blank(missing - left)];
}

function formatRecord(header: readonly (readonly Run[])[], row: readonly (readonly Run[])[]): string {
  const lines = header.map((name, index) => toAnsi([...name, { text: ": ", codes: [] }, ...(row[index] ?? [])]));
  return `${lines.join("\n")}\n\n`;
}
