import { isDeepStrictEqual } from "node:util";
import { ZephError } from "../errors.ts";
import { upsertProvider } from "./edit.ts";
import { faultsError, isTable, type Table, tablesAt } from "./layer.ts";
import { effectiveName, PROVIDERS } from "./schema.ts";
import {
  applySplices,
  deleteEntry,
  indentOf,
  isFault,
  newlineOf,
  type OutlineBlock,
  type OutlineEntry,
  outlineToml,
  readFileLayer,
  type Splice,
} from "./toml.ts";

export interface Migration {
  readonly text: string;
  /** Empty when the file was up to date. */
  readonly changes: readonly MigrationChange[];
}

/** Fields of `[llm]` that belong to a record today. `embedding_model` stays: it still has its place there. */
const RECORD_FIELDS = ["base_url", "model", "max_tokens"] as const;

/** What notes of a migration begin with, so that people and later runs know them. */
const MARK = "# zeph: ";

/** Defaults that were written by set-ups and are offered by nobody any more (requirements 2.8, B6, B36). */
const RETIRED: readonly { readonly model: RegExp; readonly types: readonly string[]; readonly why: string }[] = [
  { model: /^gpt-4o$/i, types: ["gonka"], why: "the network never served this model" },
  { model: /qwen3-235b/i, types: ["gonka", "compatible"], why: "this model was withdrawn in July 2026" },
];

/** Sections of today's schema, as comments with their defaults. */
const SECTIONS: Readonly<Record<string, readonly string[]>> = {
  timeouts: [
    "# Seconds: until an answer begins, and for a whole answer.",
    "#[timeouts]",
    "#llm_seconds = 120",
    "#llm_request_timeout_secs = 600",
  ],
  cost: [
    "# Requests stop when a day's spending reaches the limit. 0 is no limit.",
    "#[cost]",
    "#enabled = false",
    "#max_daily_cents = 0",
  ],
  vault: ['# "age" (files) or "env" (environment variables, for CI).', "#[vault]", '#backend = "age"'],
  session: ["#[session]", "#provider_persistence = true", "#keep_conversations = true"],
};

/** Forms first, so that the later rules find records; what only adds comments comes last. */
const RULES: readonly MigrationRule[] = [
  legacyForm,
  looseNodes,
  missingName,
  placeholderNodes,
  badAdvice,
  retiredModel,
  inlineKey,
  missingSections,
];

/** More than any file has records. */
const MOST_CHANGES = 1_000;

/**
 * Brings a config of Zeph (Rust), or an older one of zeph, to today's form: comments, order and everything unknown stay.
 * Doing it twice changes nothing the second time. Throws `config_invalid` for a text that is no TOML, or that mixes old
 * and new forms.
 *
 * @example
 * ```ts
 * const { text, changes } = migrateConfig(await readFile(path, "utf8"));
 * ```
 */
export function migrateConfig(original: string): Migration {
  const bom = original.startsWith("\ufeff") ? "\ufeff" : "";
  let text = original.slice(bom.length);
  parseConfigText(text);
  const changes: MigrationChange[] = [];
  for (const rule of RULES) {
    for (let change = rule(text); change !== undefined; change = rule(text)) {
      if (changes.length === MOST_CHANGES)
        throw new ZephError("internal", { detail: `${change.rule} does not come to an end` });
      // A rule that breaks the file must not get further.
      parseConfigText(change.text);
      changes.push({ rule: change.rule, message: change.message });
      text = change.text;
    }
  }
  return { text: bom + text, changes };
}

/** One thing a migration did, or found, for the user to read. */
interface MigrationChange {
  /** Which rule: `legacy_form`, `missing_name` … */
  readonly rule: string;
  /** What was done and why, one sentence. */
  readonly message: string;
}

/** A rule looks for the first place it applies to and gives the text with that place mended; undefined when there is none. */
type MigrationRule = (text: string) => MigratedText | undefined;

interface MigratedText extends MigrationChange {
  readonly text: string;
}

/**
 * `[llm] provider = …` and `[[llm.compatible]]` of old Zeph versions become `[[llm.providers]]` records. Throws
 * `config_invalid` for a file with both forms: nobody could say which one its owner means.
 */
function legacyForm(text: string): MigratedText | undefined {
  const { llm } = parseConfigText(text);
  if (!isTable(llm) || (llm.provider === undefined && llm.compatible === undefined)) return undefined;
  if (llm.providers !== undefined) {
    throw new ZephError("config_invalid", {
      detail: "[llm] has the form of old Zeph versions (provider, compatible) beside [[llm.providers]]",
      hint: "Delete the form that is out of date, then run the command again.",
    });
  }
  const renamed = renameCompatible(text, llm);
  return {
    rule: "legacy_form",
    message: "the form of old Zeph versions became [[llm.providers]] records",
    text: moveProvider(renamed, llm),
  };
}

/** `[[llm.compatible]]` blocks get their new name and type where they stand; everything else in them stays. */
function renameCompatible(text: string, llm: Table): string {
  const lines = text.split("\n");
  const outline = outlineToml(text).filter(({ path }) => path[0] === "llm" && path[1] === "compatible");
  const splices = outline.flatMap((block): readonly Splice[] => {
    const header = renameHeader(block, lines[block.headerLine - 1] ?? "");
    const isRecord = block.kind === "element" && block.path.length === 2;
    return isRecord ? [header, newFields(text, block, isDefaultRecord(Number(block.address[2]), llm))] : [header];
  });
  return applySplices(text, splices);
}

function renameHeader({ headerLine }: OutlineBlock, header: string): Splice {
  const content = header.replace(/\r$/, "");
  const span = { startLine: headerLine, startColumn: 0, endLine: headerLine, endColumn: content.length };
  return { kind: "replace", span, text: content.replace(/(\[\s*llm\s*\.\s*)compatible/, "$1providers") };
}

function newFields(text: string, { headerLine }: OutlineBlock, isDefault: boolean): Splice {
  const indent = indentOf(text, headerLine);
  const fields = ['type = "compatible"', ...(isDefault ? ["default = true"] : [])];
  return {
    kind: "insert-lines",
    after: headerLine,
    lines: fields.map((field) => indent + field).join(newlineOf(text)),
  };
}

/** `provider` named the record, or its kind; with the kind alone the first one was meant. */
function isDefaultRecord(index: number, llm: Table): boolean {
  const records = Array.isArray(llm.compatible) ? llm.compatible.filter(isTable) : [];
  const named = records.findIndex(({ name }) => name === llm.provider);
  return index === (named === -1 && llm.provider === "compatible" ? 0 : named);
}

/** The lines of `[llm]` that describe one provider become a record; with `[[llm.compatible]]` they are superfluous. */
function moveProvider(text: string, llm: Table): string {
  const block = outlineToml(text).find(({ path, kind }) => kind === "table" && path.length === 1 && path[0] === "llm");
  if (block === undefined || llm.provider === undefined) return text;
  const isOfRecords = llm.compatible !== undefined;
  const moved = ["provider", ...(isOfRecords ? [] : RECORD_FIELDS)];
  const kept = applySplices(
    text,
    block.entries.filter(({ key }) => key.length === 1 && moved.includes(key[0] ?? "")).map(deleteEntry),
  );
  if (isOfRecords) return kept;
  const type = String(llm.provider);
  const fields = Object.fromEntries(RECORD_FIELDS.map((field) => [field, llm[field]]));
  return upsertProvider(kept, { type, name: type, ...fields, default: true });
}

/** A note above a retired model. The value stays: which model is right, only a live list can say. */
function retiredModel(text: string): MigratedText | undefined {
  for (const { values, name, block } of placedRecords(text)) {
    const { model, type } = values;
    const retired = RETIRED.find(
      (each) => typeof model === "string" && each.model.test(model) && each.types.includes(String(type)),
    );
    const entry = entryOf(block, "model");
    if (retired === undefined || entry === undefined) continue;
    const note = `${retired.why}; run \`zeph doctor --fix\`, or choose from \`zeph models\`: zeph config set model ID --provider ${name}`;
    const noted = noteAbove(text, entry.span.startLine, note);
    if (noted === undefined) continue;
    return { rule: "retired_model", message: `"${name}": ${retired.why}; see the note above its model`, text: noted };
  }
  return undefined;
}

/** A note above a key that stands in the file. Taking it out is `zeph vault import`'s part. */
function inlineKey(text: string): MigratedText | undefined {
  for (const { values, name, block } of placedRecords(text)) {
    const entry = entryOf(block, "api_key");
    const isKey = typeof values.api_key === "string" && values.api_key.trim() !== "";
    if (!isKey || entry === undefined || name === undefined || values.type !== "compatible") continue;
    const note = "keys belong into the vault: run `zeph vault import`";
    const noted = noteAbove(text, entry.span.startLine, note);
    if (noted === undefined) continue;
    return { rule: "inline_key", message: `"${name}" has its key in the file; see the note above it`, text: noted };
  }
  return undefined;
}

/**
 * The comment that Zeph's migration step 45 put above `gonkagate` records, advising `type = "gonka"`: a gateway key
 * does not work that way (bug-ops/zeph #3632).
 */
function badAdvice(text: string): MigratedText | undefined {
  const lines = text.split("\n");
  for (const { block, values } of placedRecords(text)) {
    if (values.name !== "gonkagate" || values.type !== "compatible") continue;
    let first = block.headerLine;
    while (first > 1 && (lines[first - 2] ?? "").trim().startsWith("#")) first -= 1;
    const above = lines.slice(first - 1, block.headerLine - 1);
    const isAdvice = above.some((line) => /type\s*=\s*["']gonka["']/i.test(line)) && !above.some(isExample);
    if (!isAdvice) continue;
    return {
      rule: "bad_advice",
      message: 'a comment that advised type = "gonka" for a gateway key is gone',
      text: [...lines.slice(0, first - 1), ...lines.slice(block.headerLine - 1)].join("\n"),
    };
  }
  return undefined;
}

/** A commented-out record is somebody's own work, not advice. */
function isExample(line: string): boolean {
  return /^\s*#\s*\[/.test(line);
}

function hasSection(text: string, section: string): boolean {
  if (outlineToml(text).some(({ path }) => path[0] === section)) return true;
  return new RegExp(`^\\s*#\\s*\\[${section}[\\].]`, "m").test(text);
}

/** Sections the file does not have, added at its end as comments: nothing changes, everything can be found. */
function missingSections(text: string): MigratedText | undefined {
  const missing = Object.keys(SECTIONS).filter((section) => !hasSection(text, section));
  if (missing.length === 0) return undefined;
  const newline = newlineOf(text);
  const added = missing.map((section) => (SECTIONS[section] ?? []).join(newline)).join(newline + newline);
  const open = text === "" || text.endsWith("\n") ? "" : newline;
  const gap = text.trim() === "" ? "" : newline;
  return {
    rule: "missing_sections",
    message: `added as comments: ${missing.map((section) => `[${section}]`).join(", ")}`,
    text: `${text}${open}${gap}${added}${newline}`,
  };
}

/** Native records that Zeph's wizard wrote without a name: the name it would give them is written down (B25). */
function missingName(text: string): MigratedText | undefined {
  const records = placedRecords(text);
  const record = records.find(({ values }) => values.type === "gonka" && values.name === undefined);
  if (record === undefined) return undefined;
  const taken = new Set(records.map(({ values }) => values.name));
  const name = ["gonka", "gonka-2", "gonka-3", "gonka-4"].find((each) => !taken.has(each)) ?? "gonka-native";
  const { headerLine } = record.block;
  const line = entryOf(record.block, "type")?.span.endLine ?? headerLine;
  const field = `${indentOf(text, line)}name = "${name}"`;
  return {
    rule: "missing_name",
    message: `a native record had no name; it is called "${name}" now`,
    text: applySplices(text, [{ kind: "insert-lines", after: line, lines: field }]),
  };
}

/**
 * Node addresses that were invented by Zeph (B5). Their URLs were real ones, so the nodes make room for discovery:
 * `gonka_source_url` finds the true addresses.
 */
function placeholderNodes(text: string): MigratedText | undefined {
  for (const record of placedRecords(text)) {
    const nodes = nodesOf(record.values);
    if (record.values.type !== "gonka" || !nodes.some(isPlaceholder)) continue;
    const url = nodes.find((node) => typeof node.url === "string")?.url;
    const silenced = silenceNodes(text, record);
    if (silenced === undefined || typeof url !== "string") continue;
    const hasSource = record.values.gonka_source_url !== undefined;
    const name = record.name ?? "gonka";
    return {
      rule: "placeholder_nodes",
      message: `"${name}" had invented node addresses; its nodes are found from ${url} now`,
      text: hasSource ? silenced : upsertProvider(silenced, { type: "gonka", name, gonka_source_url: url }),
    };
  }
  return undefined;
}

function nodesOf({ gonka_nodes: nodes }: Table): readonly Table[] {
  return Array.isArray(nodes) ? nodes.filter(isTable) : [];
}

function isPlaceholder({ address }: Table): boolean {
  return typeof address === "string" && /placeholder/i.test(address);
}

/** All nodes of the record become comments, with the reason above the first. */
function silenceNodes(text: string, { block }: PlacedRecord): string | undefined {
  const inline = entryOf(block, "gonka_nodes");
  const depth = block.address.length;
  const blocks = outlineToml(text).filter(
    ({ address }) =>
      address.length > depth &&
      block.address.every((part, index) => part === address[index]) &&
      address[depth] === "gonka_nodes",
  );
  const spans =
    inline === undefined
      ? blocks.map(({ headerLine, lastLine }) => [headerLine, lastLine] as const)
      : [[inline.span.startLine, inline.span.endLine] as const];
  const [first] = spans;
  if (first === undefined) return undefined;
  const commented = spans.reduce((result, [from, to]) => commentOut(result, from, to), text);
  return (
    noteAbove(commented, first[0], "these addresses were invented by older versions; `zeph init` writes real ones") ??
    commented
  );
}

/** `[[llm.gonka_nodes]]` with `weight`, a form that only a README ever knew (B45). */
function looseNodes(text: string): MigratedText | undefined {
  const { llm } = parseConfigText(text);
  const loose = isTable(llm) && Array.isArray(llm.gonka_nodes) ? llm.gonka_nodes.filter(isTable) : [];
  const blocks = outlineToml(text).filter(({ path }) => path[0] === "llm" && path[1] === "gonka_nodes");
  const [first] = blocks;
  if (loose.length === 0 || first === undefined) return undefined;
  const commented = blocks.reduce((result, { headerLine, lastLine }) => commentOut(result, headerLine, lastLine), text);
  const noted =
    noteAbove(
      commented,
      first.headerLine,
      "nobody reads this form; nodes stand below their provider as [[llm.providers.gonka_nodes]]",
    ) ?? commented;
  const record = placedRecords(noted).find(({ values }) => values.type === "gonka" && values.gonka_nodes === undefined);
  const result = {
    rule: "loose_nodes",
    message: "[[llm.gonka_nodes]] is read by nobody; its nodes moved to their provider",
  };
  if (record?.name === undefined) {
    return {
      ...result,
      message: "[[llm.gonka_nodes]] is read by nobody and became a comment; `zeph init` sets up a native provider",
      text: noted,
    };
  }
  return {
    ...result,
    text: upsertProvider(noted, { type: "gonka", name: record.name, ...placesOf(loose, record.values) }),
  };
}

/** Nodes with an address as they are; of those without one the first becomes the place to find them. */
function placesOf(loose: readonly Table[], record: Table): Table {
  const complete = loose.flatMap(({ url, address }) =>
    typeof url === "string" && typeof address === "string" && !/placeholder/i.test(address) ? [{ url, address }] : [],
  );
  if (complete.length > 0) return { gonka_nodes: complete };
  const url = loose.find((node) => typeof node.url === "string")?.url;
  return record.gonka_source_url === undefined && url !== undefined ? { gonka_source_url: url } : {};
}

/**
 * Puts a comment above a line, under the same indent; undefined when the comments above it say so already.
 * @param line from 1
 */
function noteAbove(text: string, line: number, note: string): string | undefined {
  const comment = MARK + note;
  const lines = text.split("\n");
  for (let above = line - 1; above >= 1; above -= 1) {
    const content = (lines[above - 1] ?? "").trim();
    if (content === comment) return undefined;
    if (!content.startsWith("#")) break;
  }
  return applySplices(text, [{ kind: "insert-lines", after: line - 1, lines: indentOf(text, line) + comment }]);
}

/** Turns lines into comments; blank ones and comments stay as they are. */
function commentOut(text: string, from: number, to: number): string {
  return text
    .split("\n")
    .map((content, index) => {
      const isInside = index + 1 >= from && index + 1 <= to;
      return isInside && content.trim() !== "" && !content.trim().startsWith("#") ? `#${content}` : content;
    })
    .join("\n");
}

/** A provider record of a file, with the lines it stands on. */
interface PlacedRecord {
  readonly values: Table;
  readonly name: string | undefined;
  readonly block: OutlineBlock;
}

/** The values of a config text. Throws `config_invalid` when it is no TOML. */
export function parseConfigText(text: string): Table {
  const layer = readFileLayer("the config file", text);
  if (isFault(layer)) throw faultsError([layer]);
  return layer.values;
}

/** The provider records that are written as `[[llm.providers]]` blocks. */
function placedRecords(text: string): readonly PlacedRecord[] {
  const values = parseConfigText(text);
  const outline = outlineToml(text);
  const parts = tablesAt({ values, originOf: () => ({ kind: "default" }) }, PROVIDERS);
  return parts.flatMap(({ values: record, address }) => {
    const block = outline.find((each) => each.kind === "element" && isDeepStrictEqual(each.address, address));
    return block === undefined ? [] : [{ values: record, name: effectiveName(record), block }];
  });
}

function entryOf({ entries }: OutlineBlock, field: string): OutlineEntry | undefined {
  return entries.find(({ key }) => key.length === 1 && key[0] === field);
}

const SECRET_FIELD = /(?:^|_)(?:api_key|key|token|secret|password|passphrase)$/i;

/** Shapes of keys that may stand in comments. */
const SECRET_SHAPES = /\b(?:gp|gpm|gnk-sk|jg|obk|sk)-[A-Za-z0-9_-]{6,}|\b(?:0x)?[0-9a-fA-F]{64}\b/g;

/** A config text fit to show: the values of keys and tokens are masked. It is no config any more. */
export function maskSecrets(text: string): string {
  const splices = outlineToml(text)
    .flatMap(({ entries }) => entries)
    .filter(({ key }) => SECRET_FIELD.test(key.at(-1) ?? ""))
    .map(({ value }) => ({ kind: "replace", span: value, text: '"[redacted]"' }) as const);
  return applySplices(text, splices).replace(SECRET_SHAPES, "[redacted]");
}
