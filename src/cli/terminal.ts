import { randomInt } from "node:crypto";
import { stripVTControlCharacters } from "node:util";
import widthOf from "fast-string-width";
import type { CliContext, TerminalStream, World } from "../base/world.ts";
import type { TokenUsage, UsageTotal } from "../chat/session.ts";
import { EXIT, type ZephError } from "../errors.ts";
import { formatGnk, NGONKA_PER_GNK } from "../wire/documents.ts";
import type { Model } from "../wire/models.ts";

interface CommandResult {
  /** What `--json` prints. */
  readonly data: unknown;
  /** For standard output, without `--json`. */
  readonly answer?: string;
  /** The answer is a value or a file that a program takes as it is: it is cleaned for a terminal only. */
  readonly exact?: boolean;
  /** For standard error, without `--json`. */
  readonly notice?: string;
  /** Default 0. */
  readonly exitCode?: number;
}

/** Prints what a command has to say, as one JSON object or as text, and gives back its exit code. */
export function writeResult(
  context: CliContext,
  { data, answer, exact, notice, exitCode = EXIT.ok }: CommandResult,
): number {
  if (context.json) {
    context.stdout.write(renderJson({ data }, noticesTold(context)));
    return exitCode;
  }
  const isForProgram = exact === true && context.stdout.isTTY !== true;
  if (answer !== undefined && isForProgram) context.stdout.write(answer);
  else if (answer !== undefined) show(context.stdout, answer);
  if (notice !== undefined) show(context.stderr, notice);
  return exitCode;
}

/** Writes words for people: on a terminal as in a file, nothing that came from outside controls whoever reads them. */
export function show(stream: TerminalStream, text: string): void {
  stream.write(toTerminalPage(text));
}

/**
 * The error card: what happened, in whose words, what to do, where to read more. One line per node comes before it when
 * several were tried.
 */
export function renderError(error: ZephError, { color }: { readonly color: boolean }): string {
  const { bold, dim, red, cyan } = style(color);
  const lines: string[] = [];
  if (new Set(error.attempts.map(({ endpoint }) => endpoint)).size > 1) {
    for (const { endpoint, status, code, detail, elapsedMs } of error.attempts) {
      const words = [status === undefined ? code : `${status} ${code}`, detail].filter((word) => word !== undefined);
      lines.push(dim(toTerminalLine(`  ${endpoint}  ${words.join(": ")}  (${elapsedMs} ms)`)));
    }
  }
  lines.push(`${red("✗")} ${bold(toTerminalLine(error.summary))}`);
  if (error.detail !== undefined && error.code !== "all_endpoints_failed") lines.push(`  ${inLines(error.detail)}`);
  if (error.charged === "maybe") lines.push(dim("  This attempt may have been charged for all the same."));
  if (error.retryAfterMs !== undefined) lines.push(`  It asks to wait ${formatWait(error.retryAfterMs)}.`);
  lines.push(`  ${cyan("→")} ${inLines(error.hint)}`);
  const requestId =
    error.requestId === undefined ? "" : `  ·  request id ${toTerminalLine(error.requestId)}, to quote in a report`;
  lines.push(dim(`  more: zeph explain ${error.code}${requestId}`));
  return `${lines.join("\n")}\n`;
}

/** Lines that a server or a name brings along stay inside the card. */
function inLines(text: string): string {
  return text.split("\n").map(toTerminalLine).join("\n  ");
}

/** Signs that JSON may hold as they are, and that a terminal obeys or does not show. They stand in strings only. */
const UNESCAPED_CONTROLS = /[\u007f-\u009f\u2028\u2029\p{Cf}\p{Default_Ignorable_Code_Point}]/gu;

/**
 * The one object a `--json` command prints: `{ ok: true, data }` or `{ ok: false, error }`, with `notices` where there is
 * something to know besides. `data` beside an error is what came before it.
 */
export function renderJson(
  result: { readonly data?: unknown; readonly error?: ZephError },
  notices: readonly string[] = [],
): string {
  const { data, error } = result;
  const outcome = error === undefined ? { ok: true, data } : { ok: false, error, data };
  return `${toSafeJson(notices.length === 0 ? outcome : { ...outcome, notices }, 2)}\n`;
}

/** JSON without a sign that could control a terminal: what is not shown is escaped. Big integers become texts. */
export function toSafeJson(value: unknown, indent?: number): string {
  const text = JSON.stringify(
    value,
    (_key, each: unknown) => (typeof each === "bigint" ? each.toString() : each),
    indent,
  );
  return escapeUnseen(text);
}

/** The same for JSON that is written already. */
export function escapeUnseen(json: string): string {
  return json.replace(UNESCAPED_CONTROLS, (sign) => {
    let escaped = "";
    for (let at = 0; at < sign.length; at += 1) escaped += `\\u${sign.charCodeAt(at).toString(16).padStart(4, "0")}`;
    return escaped;
  });
}

/** Columns side by side, two blanks apart, each as wide as its widest cell; the last one may run on. */
export function renderTable(given: readonly (readonly string[])[]): string {
  // A line break in a name would begin a row that nobody wrote.
  const rows = given.map((row) => row.map(toTerminalLine));
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, index) => {
      widths[index] = Math.max(widths[index] ?? 0, displayWidth(cell));
    });
  }
  const lines = rows.map((row) => {
    const last = row.length - 1;
    return row
      .map((cell, index) => (index === last ? cell : cell + " ".repeat((widths[index] ?? 0) - displayWidth(cell))))
      .join("  ");
  });
  return lines.map((line) => `${line.trimEnd()}\n`).join("");
}

/**
 * Nobody outside knows it: with it as a first parameter, styles of zeph's own are told from those that a name or a server
 * brings along. `toTerminalPage` takes it out again; a terminal would pass over it.
 */
const OWN = randomInt(10 ** 14 - 1) + 1;

/** What {@link style} writes, with the code of the style. */
const OWN_STYLE = new RegExp(`\u001b\\[${OWN};(\\d+)m`, "g");

/** What is seen of a text, for measuring it. Node 20's own function knows numbers of up to four digits only. */
export function withoutStyles(text: string): string {
  return stripVTControlCharacters(text.replace(OWN_STYLE, ""));
}

/** Terminal styles; each returns the text unchanged when colour is off. For `toTerminalPage`, the last step of printing. */
export interface Style {
  readonly bold: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly red: (text: string) => string;
  readonly green: (text: string) => string;
  readonly yellow: (text: string) => string;
  readonly cyan: (text: string) => string;
}

const CODES = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
} as const;

export function style(color: boolean): Style {
  const wrap = ([open, close]: readonly [number, number]) =>
    color ? (text: string) => `\u001b[${OWN};${open}m${text}\u001b[${OWN};${close}m` : (text: string) => text;
  return {
    bold: wrap(CODES.bold),
    dim: wrap(CODES.dim),
    red: wrap(CODES.red),
    green: wrap(CODES.green),
    yellow: wrap(CODES.yellow),
    cyan: wrap(CODES.cyan),
  };
}

const BREAKABLE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]$/;

/** True where a line may break after `text` without white space: Chinese, Japanese and Korean are written without. */
export function endsBreakable(text: string): boolean {
  return BREAKABLE.test(text);
}

/** Columns of the widest line, as it is seen. */
export function displayWidth(text: string): number {
  return Math.max(
    ...withoutStyles(text)
      .split("\n")
      .map((line) => widthOf(line)),
  );
}

const graphemes = new Intl.Segmenter(undefined, { granularity: "grapheme" });

/** More units than this for one column are no writing; Node 20 takes time with the square of what it takes apart. */
const MAX_UNITS_PER_COLUMN = 16;

/** The beginning of `text` that fits into `width` columns. */
export function cutToWidth(text: string, width: number): string {
  let used = 0;
  let cut = "";
  for (const { segment } of graphemes.segment(text.slice(0, Math.max(0, width + 1) * MAX_UNITS_PER_COLUMN))) {
    used += widthOf(segment);
    if (used > width) break;
    cut += segment;
  }
  return cut;
}

/**
 * Text for people, with lines that are too long broken between words instead of wherever the terminal ends. What stands
 * in the last column of a table, or behind a mark such as `→`, goes on below itself.
 */
export function foldText(text: string, columns: number): string {
  return text
    .split("\n")
    .map((line) => (displayWidth(line) <= columns ? line : foldLine(line, columns)))
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
    const width = displayWidth(word);
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
/** C0 controls other than tab and line feed, DEL, C1 controls, and invisible signs that reorder or hide text. */
const UNSAFE =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u2028\u2029\u202a-\u202e\u2066-\u2069\u{e0000}-\u{e007f}]/gu;

/** Signs that are not seen at all: two names that differ in one of them only would look the same. */
const UNSEEN = /[\p{Cf}\p{Default_Ignorable_Code_Point}]/gu;
const LINE_BREAKS = /[\n\v\f\r\u0085\u2028\u2029]+|\t/gu;

/**
 * Text of a model made fit for a terminal: escape sequences could move the cursor, rename the window, fill the clipboard
 * or hide text, so every control sign is shown as a picture (`␛`) or dropped. Tabs and line feeds stay, and so do the
 * joiners that some scripts and emoji are written with.
 */
export function toTerminalText(text: string): string {
  return text.replace(UNSAFE, (sign) => {
    const code = sign.codePointAt(0) ?? 0;
    if (code === 0x0d) return "";
    if (code < 0x20) return String.fromCodePoint(0x2400 + code);
    if (code === 0x7f) return "\u2421";
    return code < 0xa0 ? "\ufffd" : "";
  });
}

/** A name, an id or the cell of a table: one line, without anything that is not seen. zeph's own styles stay. */
export function toTerminalLine(text: string): string {
  return betweenOwnStyles(text, (part) => plain(part.replace(LINE_BREAKS, " ")));
}

/**
 * The last step before the screen, a file or a pipe, for all that zeph has put together itself: its own styles become
 * what a terminal understands, and what names, servers and files may have brought along is made harmless. To be done
 * once: after it, own styles are no longer told from foreign ones.
 */
export function toTerminalPage(page: string): string {
  return betweenOwnStyles(page, plain, (code) => `\u001b[${code}m`);
}

function plain(text: string): string {
  return toTerminalText(text).replace(UNSEEN, "");
}

function betweenOwnStyles(
  text: string,
  clean: (part: string) => string,
  show: (code: string, own: string) => string = (_code, own) => own,
): string {
  let shown = "";
  let end = 0;
  for (const { 0: own, 1: code = "", index } of text.matchAll(OWN_STYLE)) {
    shown += clean(text.slice(end, index)) + show(code, own);
    end = index + own.length;
  }
  return shown + clean(text.slice(end));
}

/** Turns an answer that arrives in pieces into what is written. */
export interface TextRenderer {
  /** Takes a piece as it arrives and gives back what can be written now. */
  push(text: string): string;
  /** Gives back what was held; ends with a line feed when anything was written at all. */
  end(): string;
}

/**
 * The answer as it stands, ending in exactly one line feed. `safe` makes control signs harmless: for terminals. A file
 * or another program gets every sign the model sent.
 */
export function renderPlain({ safe }: { readonly safe: boolean }): TextRenderer {
  let blanks = "";
  let begun = false;
  return {
    push(text) {
      const whole = blanks + (safe ? toTerminalText(text) : text);
      const written = whole.trimEnd();
      blanks = whole.slice(written.length);
      begun ||= written !== "";
      return written;
    },
    end: () => (begun ? "\n" : ""),
  };
}

/** What a run has told so far. Kept by the stream it was told on: a command loads its set-up more than once. */
const told = new WeakMap<TerminalStream, Set<string>>();

/** One line on standard error, once in a run, with `--json` too: there it also stands in the object (`notices`). */
export function tellOnce({ stderr }: Pick<World, "stderr">, text: string): void {
  const before = told.get(stderr) ?? new Set();
  if (before.has(text)) return;
  told.set(stderr, before.add(text));
  stderr.write(`${foldFor(stderr, `! ${text}`)}\n`);
}

export function noticesTold({ stderr }: Pick<World, "stderr">): readonly string[] {
  return [...(told.get(stderr) ?? [])];
}

/** `12 in · 48 out · $0.00031 · 1.2 s`. What nobody told is called unknown, never 0. */
export function renderUsage(answer: {
  readonly usage: TokenUsage;
  readonly costUsd: number | undefined;
  readonly costNgonka?: bigint | undefined;
  readonly elapsedMs: number;
}): string {
  return [...tokenWords(answer.usage), costWords(answer), formatSeconds(answer.elapsedMs)].join(" · ");
}

/** The sum of a conversation: `3 answers · 40 in · 120 out · $0.001`. @param word what is counted */
export function renderTotal({ answers, usage, answersOfUnknownCost, ...costs }: UsageTotal, word = "answer"): string {
  const known = costWords(costs);
  const cost =
    answersOfUnknownCost === 0 || known === COST_UNKNOWN
      ? known
      : `${known} and ${countOf(answersOfUnknownCost, word)} of unknown cost`;
  return [countOf(answers, word), ...tokenWords(usage), cost].join(" · ");
}

function tokenWords({ input, output, cached, reasoning }: TokenUsage): string[] {
  if (input === undefined && output === undefined) return ["tokens unknown"];
  const part = (count: number | undefined, word: string) =>
    count === undefined || count === 0 ? "" : ` (${formatCount(count)} ${word})`;
  return [
    `${input === undefined ? "?" : formatCount(input)} in${part(cached, "cached")}`,
    `${output === undefined ? "?" : formatCount(output)} out${part(reasoning, "thinking")}`,
  ];
}

const COST_UNKNOWN = "cost unknown";

function costWords({ costUsd, costNgonka }: Pick<UsageTotal, "costUsd" | "costNgonka">): string {
  const words = [
    ...(costUsd === undefined ? [] : [formatUsd(costUsd)]),
    ...(costNgonka === undefined ? [] : [formatGnk(costNgonka)]),
  ];
  return words.length === 0 ? COST_UNKNOWN : words.join(" · ");
}

/** Two significant digits for small sums, cents for larger ones: `$0.00031`, `$1.24`. */
export function formatUsd(usd: number): string {
  if (usd === 0) return "$0";
  if (usd < 0.000_000_1) return "<$0.0000001";
  const decimals = Math.max(2, 1 - Math.floor(Math.log10(usd)));
  return `$${usd.toFixed(decimals)}`;
}

/** `950`, `12.3K`, `1.2M`. */
export function formatCount(count: number): string {
  if (count < 10_000) return String(count);
  if (count < 999_950) return `${(count / 1_000).toFixed(1).replace(/\.0$/, "")}K`;
  return `${(count / 1_000_000).toFixed(1).replace(/\.0$/, "")}M`;
}

/** `0.4 s`, `12 s`, `2 min 5 s`. */
export function formatSeconds(elapsedMs: number): string {
  if (elapsedMs < 9_950) return `${(elapsedMs / 1_000).toFixed(1)} s`;
  const seconds = Math.round(elapsedMs / 1_000);
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/** `2026-11-28 10:15`, in the computer's time zone. */
export function formatLocalTime(atMs: number): string {
  const date = new Date(atMs);
  const two = (value: number) => String(value).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}`;
}

/** A wait that lies ahead, rounded up so that nobody comes too early: `8 s`, `3 min`, `2 h`. */
export function formatWait(waitMs: number): string {
  const seconds = Math.ceil(waitMs / 1_000);
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.ceil(seconds / 60);
  return minutes < 120 ? `${minutes} min` : `${Math.ceil(minutes / 60)} h`;
}

function countOf(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? "" : "s"}`;
}

type Prices = Pick<Model, "promptUsdPer1M" | "completionUsdPer1M" | "pricePerTokenNgonka">;
type Priced = { readonly [Price in keyof Prices]?: Prices[Price] | undefined };

interface PriceColumns {
  readonly heads: readonly string[];
  cells(model: Priced): readonly string[];
  /** The same as words, where there is no room for a table. */
  words(model: Priced): string;
}

const DOLLARS: PriceColumns = {
  heads: ["in $/1M", "out $/1M"],
  cells: ({ promptUsdPer1M, completionUsdPer1M }) => [dollars(promptUsdPer1M), dollars(completionUsdPer1M)],
  words: ({ promptUsdPer1M, completionUsdPer1M }) =>
    `$${dollars(promptUsdPer1M)} in, $${dollars(completionUsdPer1M)} out per 1M`,
};

/** The network has one price for what is read and what is written. */
const GNK: PriceColumns = {
  heads: ["per 1M tokens"],
  cells: (model) => [gnkPer1M(model)],
  words: (model) => `${gnkPer1M(model)} per 1M tokens`,
};

/** How a list shows its prices: in GNK where it has them, which is on the native path, else in US dollars. */
export function priceColumns(models: readonly Priced[]): PriceColumns {
  return models.some(({ pricePerTokenNgonka }) => pricePerTokenNgonka !== undefined) ? GNK : DOLLARS;
}

function gnkPer1M({ pricePerTokenNgonka: price }: Priced): string {
  return price === undefined ? "?" : formatGnk(price * 1_000_000n);
}

function dollars(usdPer1M: number | undefined): string {
  return usdPer1M === undefined ? "?" : String(Number(usdPer1M.toPrecision(4)));
}

/** Exact amounts are whole numbers of 10⁻⁹ GNK; what is only shown, and not added up, may be a number of GNK. */
export function toGnk(ngonka: bigint | undefined): number | undefined {
  return ngonka === undefined ? undefined : Number(ngonka) / Number(NGONKA_PER_GNK);
}
