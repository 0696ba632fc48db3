import { isDeepStrictEqual } from "node:util";
import { applyEdits, type FormattingOptions, modify, type ParseError, parse as parseJson } from "jsonc-parser";
import { isMap, isScalar, isSeq, type Pair, parseDocument, stringify, type YAMLMap } from "yaml";
import { ZephError } from "../../errors.ts";

/** One change to a file of settings. */
export interface FileEdit {
  /** Keys from the top. Empty: the value is the whole file. */
  readonly path: readonly string[];
  readonly value: unknown;
  /** The value is an entry of the list at `path`; it takes the place of the one with the same field, or comes last. */
  readonly listedBy?: string | undefined;
  /** Leaves what is there already. */
  readonly onlyIfMissing?: boolean | undefined;
}

type Format = "json" | "yaml" | "text";

/**
 * The text of a file of settings after some changes; comments, order and everything else stay as they are.
 * Throws `config_invalid` when the file cannot be read as what it should be: such a file is not touched.
 * @param text undefined when there is no such file yet
 */
export function editSettings(text: string | undefined, format: Format, edits: readonly FileEdit[]): string {
  if (format === "text") return String(edits[0]?.value ?? "");
  const edit = format === "json" ? editJson : editYaml;
  return edits.reduce((current, each) => edit(current, each), text ?? "");
}

/** What {@link undoSettings} needs to know. */
interface SettingsRecord {
  /** The file before; null when there was none. */
  readonly before: string | null;
  /** The file as it was written. */
  readonly after: string;
}

/**
 * The file without the changes: exactly as it was before, when nobody has changed it since; otherwise only the keys that
 * were written get their earlier values back.
 * @returns null when the file is to be removed
 */
export function undoSettings(
  current: string,
  { before, after }: SettingsRecord,
  format: Format,
  edits: readonly FileEdit[],
): string | null {
  if (current === after || format === "text") return before;
  const earlier = format === "json" ? readJson(before ?? "") : readYaml(before ?? "");
  const back = edits.map(({ path, value, listedBy }): FileEdit => {
    const there = valueAt(earlier, path);
    if (listedBy === undefined) return { path, value: there };
    const id = field(value, listedBy);
    const entry = Array.isArray(there) ? there.find((each) => field(each, listedBy) === id) : undefined;
    // A list takes an entry out when there is nothing but its name left to say.
    return entry === undefined
      ? { path: [...path, String(id)], value: undefined, listedBy }
      : { path, value: entry, listedBy };
  });
  return editSettings(current, format, back);
}

// -- JSON, with comments and trailing commas as many agents allow them --------------------------------------------------

function editJson(text: string, { path, value, listedBy, onlyIfMissing }: FileEdit): string {
  const root = readJson(text);
  const { keys, name } = listedName(path, value, listedBy);
  const there = valueAt(root, keys);
  if (onlyIfMissing === true && there !== undefined) return text;
  for (const end of keys.keys()) {
    const parent = valueAt(root, keys.slice(0, end));
    if (parent !== undefined && (typeof parent !== "object" || parent === null)) throw unreadable("JSON");
  }
  const options = { formattingOptions: formattingOf(text) };
  const start = text.trim() === "" ? "{}\n" : text;
  if (listedBy === undefined) {
    if (isDeepStrictEqual(value, there)) return text;
    return applyEdits(start, modify(start, [...keys], value, options));
  }
  const list = Array.isArray(there) ? there : [];
  const index = list.findIndex((entry) => field(entry, listedBy) === name);
  if (isDeepStrictEqual(value, list[index])) return text;
  if (!Array.isArray(there)) return applyEdits(start, modify(start, [...keys], [value], options));
  return applyEdits(start, modify(start, [...keys, index === -1 ? list.length : index], value, options));
}

function readJson(text: string): unknown {
  if (text.trim() === "") return {};
  const errors: ParseError[] = [];
  const root: unknown = parseJson(text, errors, { allowTrailingComma: true });
  if (errors.length > 0 || typeof root !== "object" || root === null || Array.isArray(root)) throw unreadable("JSON");
  return root;
}

/** The file's own indentation and line ends. */
function formattingOf(text: string): FormattingOptions {
  const indent = /^([ \t]+)\S/m.exec(text)?.[1] ?? "  ";
  const eol = text.includes("\r\n") ? "\r\n" : "\n";
  return { insertSpaces: !indent.startsWith("\t"), tabSize: indent.startsWith("\t") ? 4 : indent.length, eol };
}

// -- YAML: keys of the top level, changed in place so that the rest keeps its looks -------------------------------------

function editYaml(text: string, { path, value, listedBy, onlyIfMissing }: FileEdit): string {
  const { keys, name } = listedName(path, value, listedBy);
  const key = keys[0] ?? "";
  const map = topLevel(text);
  const pair = map?.items.find((each) => isScalar(each.key) && each.key.value === key);
  if (onlyIfMissing === true && pair !== undefined) return text;
  if (listedBy === undefined) return setYaml(text, pair, key, value);
  const list = pair?.value;
  if (list !== undefined && list !== null && !isSeq(list) && !(isScalar(list) && list.value === null))
    throw unreadable("YAML");
  if (!isSeq(list) || list.items.length === 0 || list.flow === true) {
    const others: unknown[] = isSeq(list) ? (list.toJSON() as unknown[]) : [];
    const kept = others.filter((each) => field(each, listedBy) !== name);
    if (value === undefined && kept.length === others.length) return text;
    const next = value === undefined ? kept : [...kept, value];
    if (isDeepStrictEqual(next, others)) return text;
    return setYaml(text, pair, key, next);
  }
  const column = columnOf(text, list.range?.[0] ?? 0);
  const same = list.items.find((each) => isMap(each) && each.get(listedBy) === name);
  if (isDeepStrictEqual(value, same === undefined ? undefined : plain(same))) return text;
  const node = same ?? list.items.at(-1);
  const range = isMap(node) || isScalar(node) || isSeq(node) ? node.range : undefined;
  if (range === undefined || range === null) throw unreadable("YAML");
  const entry = value === undefined ? "" : indented(stringify([value], { lineWidth: 0 }), column);
  // Entries are changed by whole lines.
  const start = same === undefined ? lineEnd(text, range[1]) : lineStart(text, range[0]);
  const end = lineEnd(text, range[1]);
  const before = text.slice(0, start);
  return `${before}${before === "" || before.endsWith("\n") ? "" : "\n"}${entry}${text.slice(end)}`;
}

function setYaml(text: string, pair: Pair | undefined, key: string, value: unknown): string {
  if (pair === undefined) {
    if (value === undefined) return text;
    return `${text}${text === "" || text.endsWith("\n") ? "" : "\n"}${stringify({ [key]: value }, { lineWidth: 0 })}`;
  }
  const keyRange = isScalar(pair.key) ? pair.key.range : undefined;
  const last = isScalar(pair.value) || isMap(pair.value) || isSeq(pair.value) ? pair.value.range : keyRange;
  if (keyRange === undefined || keyRange === null || last === undefined || last === null) throw unreadable("YAML");
  const entry = value === undefined ? "" : stringify({ [key]: value }, { lineWidth: 0 });
  if (value === undefined) return text.slice(0, keyRange[0]) + text.slice(lineEnd(text, last[1]));
  // A comment behind the value stays behind it.
  return text.slice(0, keyRange[0]) + entry.replace(/\n$/, "") + text.slice(last[1]);
}

function topLevel(text: string): YAMLMap | undefined {
  const document = parseDocument(text);
  if (document.errors.length > 0) throw unreadable("YAML");
  if (document.contents === null) return undefined;
  if (!isMap(document.contents) || document.contents.flow === true) throw unreadable("YAML");
  return document.contents as YAMLMap;
}

function plain(node: unknown): unknown {
  return isMap(node) || isSeq(node) || isScalar(node) ? JSON.parse(JSON.stringify(node)) : undefined;
}

function readYaml(text: string): unknown {
  return topLevel(text)?.toJSON() ?? {};
}

function indented(text: string, columns: number): string {
  return text.replace(/^(?=.)/gm, " ".repeat(columns));
}

function columnOf(text: string, offset: number): number {
  return offset - lineStart(text, offset);
}

function lineStart(text: string, offset: number): number {
  return text.lastIndexOf("\n", offset - 1) + 1;
}

/** Behind the line end at or after the offset; where a value ends with its line already, right there. */
function lineEnd(text: string, offset: number): number {
  if (offset > 0 && text[offset - 1] === "\n") return offset;
  const end = text.indexOf("\n", offset);
  return end === -1 ? text.length : end + 1;
}

// -- both --------------------------------------------------------------------------------------------------------------

/** The list's path and the entry's name: in the value, or, for an entry that goes, at the end of the path. */
function listedName(path: readonly string[], value: unknown, listedBy: string | undefined) {
  if (listedBy === undefined || value !== undefined) {
    return { keys: path, name: listedBy === undefined ? undefined : field(value, listedBy) };
  }
  return { keys: path.slice(0, -1), name: path.at(-1) };
}

function valueAt(root: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((value, key) => field(value, key), root);
}

function field(value: unknown, key: string): unknown {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
  return (value as Record<string, unknown>)[key];
}

function unreadable(kind: string): ZephError {
  return new ZephError("config_invalid", {
    detail: `the agent's settings are no ${kind} that can be changed safely, so they were left as they are`,
    hint: "Mend the file with the agent itself, then run `zeph connect` again.",
  });
}
