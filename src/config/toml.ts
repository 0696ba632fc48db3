import { parseDocument } from "@decimalturn/toml-patch";
import { parse, stringify, TomlError } from "smol-toml";
import { maskSecretShapes } from "../base/secret.ts";
import { type Fault, faultsError, isSecretField, isTable, type Layer, type Table } from "./layer.ts";

/** The values of one file, with the line of each. Nothing is checked but the syntax. */
export function readFileLayer(path: string, text: string): Layer | Fault {
  let values: Table;
  try {
    // Zeph files may hold 64-bit integers; only those that need it become bigint.
    values = parse(text, { integersAsBigInt: "asNeeded" });
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    // The rest of the message shows the line itself, which may hold a key.
    const [reason = "not valid TOML"] = error.message.replace(/^Invalid TOML document: /, "").split("\n");
    return { origin: { kind: "file", path, line: error.line }, place: "", message: `is not valid TOML: ${reason}` };
  }
  // Dotted keys nest as deep as a file is long; whoever walks or shows such values would run out of stack.
  if (nestsBeyond(values, MAX_DEPTH)) {
    return { origin: { kind: "file", path }, place: "", message: `nests more than ${MAX_DEPTH} levels` };
  }
  let outline: readonly OutlineBlock[] | undefined;
  return {
    values,
    // Few want to know the line, and finding it takes longer than reading the file.
    originOf: (address) => ({
      kind: "file",
      path,
      get line() {
        outline ??= outlineOrNothing(text);
        return lineOf(outline, address);
      },
    }),
  };
}

/** The values of a config text. Throws `config_invalid` when it is no TOML. */
export function parseConfigText(text: string): Table {
  const layer = readFileLayer("the config file", text);
  if (isFault(layer)) throw faultsError([layer]);
  return layer.values;
}

/** The provider records of a config, in their order; what is no table is left out. */
export function recordsOf({ llm }: Table): readonly Table[] {
  return isTable(llm) && Array.isArray(llm.providers) ? llm.providers.filter(isTable) : [];
}

/** A config text fit to show: the values of keys and tokens are masked. It is no config any more. */
export function maskSecrets(text: string): string {
  const splices = outlineToml(text)
    .flatMap(({ entries }) => entries)
    .filter(({ key }) => isSecretField(key.at(-1) ?? ""))
    .map(({ value }) => ({ kind: "replace", span: value, text: '"[redacted]"' }) as const);
  return maskSecretShapes(applySplices(text, splices));
}

/** Far more than any program's config has. */
const MAX_DEPTH = 64;

function nestsBeyond(value: unknown, depth: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return depth === 0 || Object.values(value).some((each) => nestsBeyond(each, depth - 1));
}

/** The two parsers agree on all TOML that we know of; should they not, messages lose their line numbers and no more. */
function outlineOrNothing(text: string): readonly OutlineBlock[] {
  try {
    return outlineToml(text);
  } catch {
    return [];
  }
}

export function isFault(result: Layer | Fault): result is Fault {
  return "message" in result;
}

/** A place in a file: line from 1, column from 0 in UTF-16 units, the end exclusive. */
interface Span {
  readonly startLine: number;
  readonly startColumn: number;
  readonly endLine: number;
  readonly endColumn: number;
}

/** One `key = value` line (or lines) of a table. */
export interface OutlineEntry {
  /** Key path within the table; dotted keys have several parts. */
  readonly key: readonly string[];
  readonly span: Span;
  readonly value: Span;
}

/** A `[table]` or `[[element]]` with what stands below its header, up to the next header. */
export interface OutlineBlock {
  /** `root` is what stands before the first header. */
  readonly kind: "root" | "table" | "element";
  /** Key path from the root, without array positions. */
  readonly path: readonly string[];
  /** Key path with the position of every array element, as a schema reports faults. */
  readonly address: readonly (string | number)[];
  readonly headerLine: number;
  /** Last line with a key or value; the header's when there is none. Comments below it are not counted. */
  readonly lastLine: number;
  readonly entries: readonly OutlineEntry[];
}

type SyntaxNode = ReturnType<typeof parseDocument>["cst"][number];

/**
 * Where everything stands in a TOML text, for messages and for edits that touch nothing else. The only place that
 * looks at the syntax tree of `@decimalturn/toml-patch`. Throws when the text is not TOML.
 */
export function outlineToml(text: string): readonly OutlineBlock[] {
  const positions = new Map<string, number>();
  const root: OutlineEntry[] = [];
  const blocks: OutlineBlock[] = [];
  for (const node of parseDocument(text).cst) {
    const kind: string = node.type;
    if (kind === "KeyValue") root.push(...toEntries([node]));
    if ("items" in node) blocks.push(toBlock(node, positions));
  }
  const lastLine = Math.max(0, ...root.map((entry) => entry.span.endLine));
  return [{ kind: "root", path: [], address: [], headerLine: 0, lastLine, entries: root }, ...blocks];
}

function toBlock(node: Extract<SyntaxNode, { items: unknown }>, positions: Map<string, number>): OutlineBlock {
  const path = node.key.item.value;
  const kind = String(node.type) === "TableArray" ? "element" : "table";
  if (kind === "element") startElement(path, positions);
  const entries = toEntries(node.items);
  const headerLine = node.key.loc.start.line;
  const lastLine = Math.max(headerLine, ...entries.map((entry) => entry.span.endLine));
  return { kind, path, address: toAddress(path, positions), headerLine, lastLine, entries };
}

/** Counts this element, and starts the arrays inside it afresh. */
function startElement(path: readonly string[], positions: Map<string, number>): void {
  const key = JSON.stringify(path);
  positions.set(key, (positions.get(key) ?? -1) + 1);
  const inside = `${key.slice(0, -1)},`;
  for (const other of positions.keys()) if (other.startsWith(inside)) positions.delete(other);
}

function toAddress(path: readonly string[], positions: ReadonlyMap<string, number>): readonly (string | number)[] {
  return path.flatMap((part, index) => {
    const position = positions.get(JSON.stringify(path.slice(0, index + 1)));
    return position === undefined ? [part] : [part, position];
  });
}

function toEntries(nodes: readonly SyntaxNode[]): readonly OutlineEntry[] {
  return nodes.flatMap((node) =>
    "value" in node ? [{ key: node.key.value, span: toSpan(node.loc), value: toSpan(node.value.loc) }] : [],
  );
}

function toSpan({ start, end }: SyntaxNode["loc"]): Span {
  return { startLine: start.line, startColumn: start.column, endLine: end.line, endColumn: end.column };
}

/**
 * The line of a value, given its address as a schema reports it. A missing or inline value has the line of the nearest
 * thing around it that stands in the file.
 */
export function lineOf(outline: readonly OutlineBlock[], address: readonly PropertyKey[]): number | undefined {
  let best: { readonly depth: number; readonly line: number } | undefined;
  const offer = (depth: number, line: number) => {
    if (best === undefined || depth > best.depth) best = { depth, line };
  };
  for (const block of outline) {
    if (!startsWith(address, block.address)) continue;
    if (block.kind !== "root") offer(block.address.length, block.headerLine);
    for (const entry of block.entries) {
      const whole = [...block.address, ...entry.key];
      if (startsWith(address, whole)) offer(whole.length, entry.span.startLine);
    }
  }
  return best?.line;
}

function startsWith(address: readonly PropertyKey[], beginning: readonly PropertyKey[]): boolean {
  return beginning.length <= address.length && beginning.every((part, index) => part === address[index]);
}

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

/**
 * Signs that TOML allows as they are and that would steer the terminal, or mislead the eyes, of whoever looks at the file.
 * Only strings can hold them, and strings are rendered with escapes.
 */
const HIDDEN_SIGNS = /[\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;

/** `key = value` on one line; tables inside become inline tables. */
export function renderField(key: string, value: unknown): string {
  return `${renderKey(key)} = ${renderValue(value)}`;
}

/** A whole `[[element]]`, arrays of tables below it as `[[element.key]]`. Without a line break at the end. */
export function renderElement(path: readonly string[], values: Table, newline: string): string {
  const present = Object.entries(values).filter(([, value]) => value !== undefined);
  const fields = present.filter(([, value]) => !isListOfTables(value)).map(([key, value]) => renderField(key, value));
  const lists = present.flatMap(([key, value]) => (isListOfTables(value) ? [[key, value] as const] : []));
  const below = lists.flatMap(([key, list]) =>
    list.map((item) => `${newline}${renderElement([...path, key], item, newline)}`),
  );
  return [`[[${path.map(renderKey).join(".")}]]`, ...fields, ...below].join(newline);
}

export function isListOfTables(value: unknown): value is readonly Table[] {
  return Array.isArray(value) && value.length > 0 && value.every(isTable);
}

export function renderValue(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(renderValue).join(", ")}]`;
  if (isTable(value)) {
    const fields = Object.entries(value).filter(([, inner]) => inner !== undefined);
    return fields.length === 0 ? "{}" : `{ ${fields.map(([key, inner]) => renderField(key, inner)).join(", ")} }`;
  }
  return stringify({ value })
    .replace(/^value = /, "")
    .trimEnd()
    .replace(HIDDEN_SIGNS, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

function renderKey(key: string): string {
  return /^[A-Za-z0-9_-]+$/.test(key) ? key : JSON.stringify(key);
}
