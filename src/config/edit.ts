import { isDeepStrictEqual } from "node:util";
import { parse as parseForPatch, patch } from "@decimalturn/toml-patch";
import { Secret } from "../base/secret.ts";
import { ZephError } from "../errors.ts";
import { isTable, type Table } from "./layer.ts";
import { effectiveName, PROVIDERS } from "./schema.ts";
import { apiKeyNames } from "./secrets.ts";
import {
  applySplices,
  deleteEntry,
  indentOf,
  isBlankLine,
  isFault,
  isListOfTables,
  newlineOf,
  type OutlineBlock,
  outlineToml,
  parseConfigText,
  readFileLayer,
  recordsOf,
  renderElement,
  renderField,
  renderValue,
  type Splice,
} from "./toml.ts";

/** A provider record in the file's own terms. A field that is `undefined` is taken out of the file. */
export type ProviderRecord = Readonly<Record<string, unknown>> & { readonly type: string; readonly name: string };

/**
 * Adds a provider record, or changes the one of the same name: the given fields are set, other fields, comments, order
 * and all other bytes of the file stay. A record of another type is replaced whole. An inline `api_key` goes when the
 * record brings an `api_key_env`. With `default = true` the earlier default gives way.
 *
 * Throws `config_invalid` when the text is not TOML, or is written in a way that cannot be edited without harm.
 */
export function upsertProvider(text: string, record: ProviderRecord): string {
  const hasOthers = (records: readonly Table[]) => records.some((other) => effectiveName(other) !== record.name);
  return edit(text, (records) => {
    const index = records.findIndex((existing) => effectiveName(existing) === record.name);
    const old = records[index];
    const changes: Change[] = [];
    if (record.default === true && hasOthers(records)) changes.push(...clearDefaults(records, record.name));
    if (old === undefined) return [...changes, { kind: "append", record: withoutUndefined(record) }];
    const kept =
      old.type === record.type ? {} : Object.fromEntries(Object.keys(old).map((field) => [field, undefined]));
    const inline = record.api_key_env === undefined || "api_key" in record ? {} : { api_key: undefined };
    return [...changes, { kind: "set", index, fields: { ...kept, ...inline, ...record } }];
  });
}

/** Makes this provider the default one. Throws `provider_not_found`, `config_invalid`. */
export function setDefaultProvider(text: string, name: string): string {
  return edit(text, (records) => {
    const index = indexOf(records, name);
    return [...clearDefaults(records, name), { kind: "set", index, fields: { default: true } }];
  });
}

/** Sets the model of a provider. Throws `provider_not_found`, `config_invalid`. */
export function setModel(text: string, name: string, model: string): string {
  return edit(text, (records) => [{ kind: "set", index: indexOf(records, name), fields: { model } }]);
}

/** A key that stands in a config file, and the name it has in a vault. */
export interface InlineKey {
  readonly provider: string;
  readonly secretName: string;
  readonly value: Secret;
}

/** The keys that broker records of this text hold themselves. Nothing for a text that is not TOML. */
export function inlineKeys(text: string): readonly InlineKey[] {
  const layer = readFileLayer("the config file", text.replace(/^\ufeff/, ""));
  if (isFault(layer)) return [];
  return recordsOf(layer.values).flatMap((record) => {
    const provider = effectiveName(record);
    const { api_key: key, api_key_env: configured } = record;
    if (record.type !== "compatible" || provider === undefined || typeof key !== "string" || key.trim() === "")
      return [];
    const { canonical } = apiKeyNames(provider, {
      configured: typeof configured === "string" ? configured : undefined,
    });
    return [{ provider, secretName: canonical, value: new Secret(key.trim()) }];
  });
}

/** Puts the name of the secret in the place of an inline key. Throws `provider_not_found`, `config_invalid`. */
export function replaceInlineKey(text: string, { provider, secretName }: InlineKey): string {
  return edit(text, (records) => [
    { kind: "set", index: indexOf(records, provider), fields: { api_key: undefined, api_key_env: secretName } },
  ]);
}

type Change =
  | { readonly kind: "append"; readonly record: Table }
  | { readonly kind: "set"; readonly index: number; readonly fields: Table };

function clearDefaults(records: readonly Table[], except: string): readonly Change[] {
  return records.flatMap((record, index) =>
    record.default === true && effectiveName(record) !== except
      ? [{ kind: "set" as const, index, fields: { default: false } }]
      : [],
  );
}

function indexOf(records: readonly Table[], name: string): number {
  const index = records.findIndex((record) => effectiveName(record) === name);
  if (index !== -1) return index;
  const names = records.map(effectiveName).join(", ");
  throw new ZephError("provider_not_found", { detail: names === "" ? `"${name}"` : `"${name}"; there are: ${names}` });
}

/**
 * Edits the text in place and proves the result: read again, it must hold what was meant and nothing else. Where the
 * records are not written as `[[llm.providers]]` blocks the TOML library's own patching takes over, under the same proof.
 */
function edit(text: string, plan: (records: readonly Table[]) => readonly Change[]): string {
  const bom = text.startsWith("\ufeff") ? "\ufeff" : "";
  const source = text.slice(bom.length);
  const values = parseConfigText(source);
  const changes = plan(recordsOf(values));
  const expected = applyChanges(values, changes);
  const spliced = attemptOrNothing(() => spliceText(source, values, changes));
  if (spliced !== undefined && holds(spliced, expected)) return bom + spliced;
  const patched = attemptOrNothing(() => patch(source, applyChanges(parseForPatch(source), changes)));
  if (patched !== undefined && holds(patched, expected) && keepsComments(source, patched)) return bom + patched;
  throw new ZephError("config_invalid", {
    detail: "the provider records are written in a way that cannot be edited safely; the file was left as it is",
    hint: "Change the file by hand, or move its records into [[llm.providers]] tables.",
  });
}

/** The same changes on parsed values, which is what the edited text must give. */
function applyChanges(values: Table, changes: readonly Change[]): Table {
  const llm = isTable(values.llm) ? values.llm : {};
  const providers = [...recordsOf(values)];
  for (const change of changes) {
    if (change.kind === "append") providers.push(change.record);
    else providers[change.index] = withoutUndefined({ ...providers[change.index], ...change.fields });
  }
  return { ...values, llm: { ...llm, providers } };
}

function spliceText(text: string, values: Table, changes: readonly Change[]): string {
  const outline: readonly OutlineBlock[] = outlineToml(text);
  const splices: Splice[] = changes.flatMap((change): readonly Splice[] => {
    if (change.kind === "append") return appendRecord(text, outline, change.record);
    const fields = differing(recordsOf(values)[change.index] ?? {}, change.fields);
    return setRecordFields(text, outline, change.index, fields);
  });
  return applySplices(text, splices);
}

/** Without the fields that have their value already: those keep their bytes, comments inside them too. */
function differing(record: Table, fields: Table): Table {
  const isSame = (field: string, value: unknown) =>
    isDeepStrictEqual(toComparable(record[field]), toComparable(dropUndefined(value)));
  return Object.fromEntries(Object.entries(fields).filter(([field, value]) => !isSame(field, value)));
}

function attemptOrNothing(attempt: () => string): string | undefined {
  try {
    return attempt();
  } catch {
    // This way of editing does not fit the file; the other one is tried, and failing that the caller is told.
    return undefined;
  }
}

function holds(text: string, expected: Table): boolean {
  const layer = readFileLayer("the edited config", text);
  return !isFault(layer) && isDeepStrictEqual(toComparable(layer.values), toComparable(expected));
}

/** The library moves comments with what they describe, and drops some; that must not happen to anybody's file. */
function keepsComments(before: string, after: string): boolean {
  const commentsOf = (text: string) =>
    text
      .split("\n")
      .map((line) => line.trim())
      .filter((line) => line.startsWith("#"))
      .sort();
  return isDeepStrictEqual(commentsOf(before), commentsOf(after));
}

/** Parsers give objects without prototype; an `llm` table that lost its last record may be gone or empty. */
function toComparable(value: unknown, key = ""): unknown {
  if (Array.isArray(value)) return value.map((item) => toComparable(item));
  if (!isTable(value)) return value;
  const entries = Object.entries(value).map(([name, inner]) => [name, toComparable(inner, name)] as const);
  const present = entries.filter(([name, inner]) => !(key === "" && name === "llm" && isEmptyTable(inner)));
  return Object.fromEntries(present);
}

function isEmptyTable(value: unknown): boolean {
  return isTable(value) && Object.keys(value).length === 0;
}

function withoutUndefined(record: Table): Table {
  const present = Object.entries(record).filter(([, value]) => value !== undefined);
  return Object.fromEntries(present.map(([field, value]) => [field, dropUndefined(value)]));
}

/** Nodes without a label come as `{ name: undefined }`; TOML has no such value. */
function dropUndefined(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(dropUndefined);
  return isTable(value) ? withoutUndefined(value) : value;
}

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
function appendRecord(text: string, outline: readonly OutlineBlock[], record: Table): readonly Splice[] {
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

/** Sets or takes out fields of a record. */
function setRecordFields(
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
