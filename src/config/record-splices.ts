import { isDeepStrictEqual } from "node:util";
import { PROVIDERS } from "./check-layer.ts";
import type { Table } from "./layer.ts";
import { isListOfTables, renderElement, renderField, renderValue } from "./render-toml.ts";
import { deleteEntry, indentOf, isBlankLine, newlineOf, type Splice } from "./splice.ts";
import type { OutlineBlock } from "./toml-outline.ts";

/** Throws when the record is not a `[[llm.providers]]` block: another way of editing must be found. */
class NotABlock extends Error {}

/** A record's own block and the blocks inside it, such as its nodes. */
interface RecordBlocks {
  readonly main: OutlineBlock;
  readonly inner: readonly OutlineBlock[];
}

function blocksOf(outline: readonly OutlineBlock[], index: number): RecordBlocks {
  const address = [...PROVIDERS, index];
  const inside = outline.filter((block) => isDeepStrictEqual(block.address.slice(0, address.length), address));
  const [main, ...inner] = inside;
  if (main === undefined || main.kind !== "element" || main.address.length !== address.length) throw new NotABlock();
  return { main, inner };
}

function lastLineOf({ main, inner }: RecordBlocks): number {
  return Math.max(main.lastLine, ...inner.map((block) => block.lastLine));
}

/** Puts a new record after the last one, or at the end of the file when it is the first. */
export function appendRecord(text: string, outline: readonly OutlineBlock[], record: Table): readonly Splice[] {
  const newline = newlineOf(text);
  const rendered = renderElement(PROVIDERS, record, newline);
  const count = outline.filter((block) => isDeepStrictEqual(block.path, PROVIDERS)).length;
  const lines = text === "" ? [] : text.replace(/\r?\n$/, "").split("\n");
  const after = count === 0 ? lines.length : lastLineOf(blocksOf(outline, count - 1));
  const before = after === 0 || (count === 0 && isBlankLine(text, after)) ? "" : newline;
  // A comment that follows directly belongs to what comes next, not to the new record.
  const behind = after < lines.length && !isBlankLine(text, after + 1) ? newline : "";
  return [{ kind: "insert-lines", after, lines: `${before}${rendered}${behind}` }];
}

/** Deletes the lines of a record, and one of the two blank lines that would then meet. */
export function removeRecord(text: string, outline: readonly OutlineBlock[], index: number): readonly Splice[] {
  const { main, inner } = blocksOf(outline, index);
  return [main, ...inner].map((block) => {
    const meetsBlank =
      isBlankLine(text, block.lastLine + 1) && (block.headerLine === 1 || isBlankLine(text, block.headerLine - 1));
    return { kind: "delete-lines", from: block.headerLine, to: block.lastLine + (meetsBlank ? 1 : 0) };
  });
}

/** Sets or takes out fields of a record. */
export function setRecordFields(
  text: string,
  outline: readonly OutlineBlock[],
  index: number,
  fields: Table,
): readonly Splice[] {
  const blocks = blocksOf(outline, index);
  const splices: Splice[] = [];
  const newFields: string[] = [];
  const newElements: string[] = [];
  const newline = newlineOf(text);
  const { done, splices: moved } = keyToName(blocks, fields);
  splices.push(...moved);
  for (const [field, value] of Object.entries(fields)) {
    if (done.includes(field)) continue;
    const entry = blocks.main.entries.find(({ key }) => key.length === 1 && key[0] === field);
    if (entry !== undefined && value !== undefined) {
      splices.push({ kind: "replace", span: entry.value, text: renderValue(value) });
      continue;
    }
    splices.push(...deleteField(blocks, field));
    if (isListOfTables(value)) {
      newElements.push(...value.map((item) => `${newline}${renderElement([...PROVIDERS, field], item, newline)}`));
    } else if (value !== undefined) newFields.push(renderField(field, value));
  }
  return [...splices, ...insertFields(text, blocks, newFields), ...insertElements(blocks, newElements, newline)];
}

/** The name of a secret takes the line of the secret itself, whose comment is mostly about both. */
function keyToName({ main }: RecordBlocks, fields: Table): { done: readonly string[]; splices: readonly Splice[] } {
  const { api_key_env: name } = fields;
  const entryOf = (field: string) => main.entries.find(({ key }) => key.length === 1 && key[0] === field);
  const secret = entryOf("api_key");
  const goes = "api_key" in fields && fields.api_key === undefined;
  if (secret === undefined || !goes || typeof name !== "string" || entryOf("api_key_env") !== undefined)
    return { done: [], splices: [] };
  const text = renderField("api_key_env", name);
  return { done: ["api_key", "api_key_env"], splices: [{ kind: "replace", span: secret.span, text }] };
}

/** Takes a field out in all its spellings: `a = …`, `a.b = …`, `[….a]` and `[[….a]]`. */
function deleteField({ main, inner }: RecordBlocks, field: string): readonly Splice[] {
  const depth = main.address.length;
  return [
    ...main.entries.filter(({ key }) => key[0] === field).map(deleteEntry),
    ...inner
      .filter((block) => block.address[depth] === field)
      .map((block): Splice => ({ kind: "delete-lines", from: block.headerLine, to: block.lastLine })),
  ];
}

function insertFields(text: string, { main }: RecordBlocks, fields: readonly string[]): readonly Splice[] {
  if (fields.length === 0) return [];
  const indent = indentOf(text, main.entries.at(-1)?.span.startLine ?? main.headerLine);
  const lines = fields.map((field) => `${indent}${field}`).join(newlineOf(text));
  return [{ kind: "insert-lines", after: main.lastLine, lines }];
}

function insertElements(blocks: RecordBlocks, elements: readonly string[], newline: string): readonly Splice[] {
  if (elements.length === 0) return [];
  return [{ kind: "insert-lines", after: lastLineOf(blocks), lines: elements.join(newline) }];
}
