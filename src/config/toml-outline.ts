import { parseDocument } from "@decimalturn/toml-patch";

/** A place in a file: line from 1, column from 0 in UTF-16 units, the end exclusive. */
export interface Span {
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
