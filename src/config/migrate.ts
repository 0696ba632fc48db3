import { isDeepStrictEqual } from "node:util";
import { ZephError } from "../errors.ts";
import { upsertProvider } from "./edit.ts";
import { isTable, type Table } from "./layer.ts";
import { effectiveName, PROVIDERS } from "./schema.ts";
import {
  applySplices,
  deleteEntry,
  indentOf,
  newlineOf,
  type OutlineBlock,
  type OutlineEntry,
  outlineToml,
  parseConfigText,
  recordsOf,
  type Splice,
} from "./toml.ts";

export interface Migration {
  readonly text: string;
  /** Empty when the file was up to date. */
  readonly changes: readonly MigrationChange[];
}

/** One thing a migration did, or found, for the user to read. */
interface MigrationChange {
  /** Which rule: `legacy_form`, `missing_name` … */
  readonly rule: string;
  /** What was done and why, one sentence. */
  readonly message: string;
}

/** A record that is written as a `[[llm.providers]]` block. */
interface PlacedRecord {
  readonly values: Table;
  readonly name: string;
  readonly block: OutlineBlock;
}

/** Gives the text with the first place it applies to mended, and what was done; undefined when there is none. */
type Rule = (text: string, records: readonly PlacedRecord[]) => { text: string; message: string } | undefined;

/** Forms first, so that the later rules find records; what only adds comments comes last. */
const RULES: readonly (readonly [name: string, rule: Rule])[] = [
  ["legacy_form", legacyForm],
  ["loose_nodes", looseNodes],
  ["missing_name", missingName],
  ["placeholder_nodes", placeholderNodes],
  ["bad_advice", badAdvice],
  ["retired_model", retiredModel],
  ["inline_key", inlineKey],
  ["missing_sections", missingSections],
];

/** More than any file has records. */
const MOST_CHANGES = 1_000;

/**
 * Brings a config of Zeph (Rust), or an older one of zeph, to today's form: comments, order and everything unknown stay.
 * Doing it twice changes nothing the second time. Throws `config_invalid` for a text that is no TOML, or that mixes old
 * and new forms.
 */
export function migrateConfig(original: string): Migration {
  const bom = original.startsWith("\ufeff") ? "\ufeff" : "";
  let text = original.slice(bom.length);
  const changes: MigrationChange[] = [];
  for (const [name, rule] of RULES) {
    for (;;) {
      // Read anew each time: a rule that breaks the file must not get further.
      const change = rule(text, placedRecords(text));
      if (change === undefined) break;
      if (changes.length === MOST_CHANGES)
        throw new ZephError("internal", { detail: `${name} does not come to an end` });
      changes.push({ rule: name, message: change.message });
      text = change.text;
    }
  }
  return { text: bom + text, changes };
}

/** Fields of `[llm]` that belong to a record today. `embedding_model` stays: it still has its place there. */
const RECORD_FIELDS = ["base_url", "model", "max_tokens"] as const;

/** `[llm] provider = …` and `[[llm.compatible]]` blocks become `[[llm.providers]]` records; what else is in them stays. */
function legacyForm(text: string): ReturnType<Rule> {
  const { llm } = parseConfigText(text);
  if (!isTable(llm) || (llm.provider === undefined && llm.compatible === undefined)) return undefined;
  if (llm.providers !== undefined) {
    throw new ZephError("config_invalid", {
      detail: "[llm] has the form of old Zeph versions (provider, compatible) beside [[llm.providers]]",
      hint: "Delete the form that is out of date, then run the command again.",
    });
  }
  const isList = llm.compatible !== undefined;
  const named = (Array.isArray(llm.compatible) ? llm.compatible : []).findIndex((each) => each.name === llm.provider);
  // `provider` named the record, or its kind; with the kind alone the first one was meant.
  const defaultIndex = named === -1 && llm.provider === "compatible" ? 0 : named;
  const outdated = ["provider", ...(isList ? [] : RECORD_FIELDS)];
  const splices = outlineToml(text).flatMap(({ kind, path, address, headerLine, entries }): Splice[] => {
    if (path[0] !== "llm") return [];
    if (kind === "table" && path.length === 1)
      return entries.filter(({ key }) => key.length === 1 && outdated.includes(key[0] ?? "")).map(deleteEntry);
    if (path[1] !== "compatible") return [];
    const header = (text.split("\n")[headerLine - 1] ?? "").replace(/\r$/, "");
    const span = { startLine: headerLine, startColumn: 0, endLine: headerLine, endColumn: header.length };
    const renamed = header.replace(/(\[\s*llm\s*\.\s*)compatible/, "$1providers");
    const fields = ['type = "compatible"', ...(address[2] === defaultIndex ? ["default = true"] : [])];
    const lines = fields.map((field) => indentOf(text, headerLine) + field).join(newlineOf(text));
    return [
      { kind: "replace", span, text: renamed },
      ...(kind === "element" && path.length === 2 ? [{ kind: "insert-lines", after: headerLine, lines } as const] : []),
    ];
  });
  const message = "the form of old Zeph versions became [[llm.providers]] records";
  const renamed = applySplices(text, splices);
  if (isList) return { message, text: renamed };
  const type = String(llm.provider);
  const fields = Object.fromEntries(RECORD_FIELDS.map((field) => [field, llm[field]]));
  return { message, text: upsertProvider(renamed, { type, name: type, ...fields, default: true }) };
}

/** `[[llm.gonka_nodes]]` with `weight`, a form that only a README ever knew (B45). */
function looseNodes(text: string, records: readonly PlacedRecord[]): ReturnType<Rule> {
  const { llm } = parseConfigText(text);
  const loose = isTable(llm) ? nodesOf(llm) : [];
  const blocks = outlineToml(text).filter(({ path }) => path[0] === "llm" && path[1] === "gonka_nodes");
  if (loose.length === 0 || blocks.length === 0) return undefined;
  const note = "nobody reads this form; nodes stand below their provider as [[llm.providers.gonka_nodes]]";
  const silenced = silence(text, blocks.map(linesOf), note);
  const message = "[[llm.gonka_nodes]] is read by nobody";
  const record = records.find(({ values }) => values.type === "gonka" && values.gonka_nodes === undefined);
  if (record === undefined)
    return { message: `${message} and became a comment; \`zeph init\` sets up a native provider`, text: silenced };
  // Nodes with an address as they are; of those without one the first becomes the place to find them.
  const complete = loose.filter((node) => typeof node.url === "string" && typeof node.address === "string");
  const usable = complete.filter((node) => !isPlaceholder(node)).map(({ url, address }) => ({ url, address }));
  const url = loose.find((node) => typeof node.url === "string")?.url;
  const fields =
    usable.length > 0
      ? { gonka_nodes: usable }
      : record.values.gonka_source_url === undefined && url !== undefined
        ? { gonka_source_url: url }
        : {};
  const moved = upsertProvider(silenced, { type: "gonka", name: record.name, ...fields });
  return { message: `${message}; its nodes moved to their provider`, text: moved };
}

/** Native records that Zeph's wizard wrote without a name: the name it would give them is written down (B25). */
function missingName(text: string, records: readonly PlacedRecord[]): ReturnType<Rule> {
  const record = records.find(({ values }) => values.type === "gonka" && values.name === undefined);
  if (record === undefined) return undefined;
  const taken = new Set(records.map(({ values }) => values.name));
  const name = ["gonka", "gonka-2", "gonka-3", "gonka-4"].find((each) => !taken.has(each)) ?? "gonka-native";
  const after = entryOf(record, "type")?.span.endLine ?? record.block.headerLine;
  const lines = `${indentOf(text, after)}name = "${name}"`;
  return {
    message: `a native record had no name; it is called "${name}" now`,
    text: applySplices(text, [{ kind: "insert-lines", after, lines }]),
  };
}

/**
 * Node addresses that were invented by Zeph (B5). Their URLs were real ones, so the nodes make room for discovery:
 * `gonka_source_url` finds the true addresses.
 */
function placeholderNodes(text: string, records: readonly PlacedRecord[]): ReturnType<Rule> {
  for (const record of records) {
    const nodes = nodesOf(record.values);
    const url = nodes.find((node) => typeof node.url === "string")?.url;
    const inline = entryOf(record, "gonka_nodes");
    const inside = [...record.block.address, "gonka_nodes"];
    const blocks = outlineToml(text).filter(({ address }) =>
      isDeepStrictEqual(address.slice(0, inside.length), inside),
    );
    const places = inline === undefined ? blocks.map(linesOf) : [[inline.span.startLine, inline.span.endLine] as const];
    if (record.values.type !== "gonka" || !nodes.some(isPlaceholder) || url === undefined || places.length === 0)
      continue;
    const silenced = silence(
      text,
      places,
      "these addresses were invented by older versions; `zeph init` writes real ones",
    );
    const { name } = record;
    return {
      message: `"${name}" had invented node addresses; its nodes are found from ${url} now`,
      text:
        record.values.gonka_source_url === undefined
          ? upsertProvider(silenced, { type: "gonka", name, gonka_source_url: url })
          : silenced,
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

/**
 * The comment that Zeph's migration step 45 put above `gonkagate` records, advising `type = "gonka"`: a gateway key
 * does not work that way (bug-ops/zeph #3632). A commented-out record is somebody's own work, not advice.
 */
function badAdvice(text: string, records: readonly PlacedRecord[]): ReturnType<Rule> {
  const lines = text.split("\n");
  for (const { block, values } of records) {
    let first = block.headerLine;
    while (first > 1 && (lines[first - 2] ?? "").trim().startsWith("#")) first -= 1;
    const above = lines.slice(first - 1, block.headerLine - 1);
    const isAdvice =
      above.some((line) => /type\s*=\s*["']gonka["']/i.test(line)) && !above.some((line) => /^\s*#\s*\[/.test(line));
    if (values.name !== "gonkagate" || values.type !== "compatible" || !isAdvice) continue;
    lines.splice(first - 1, above.length);
    return { message: 'a comment that advised type = "gonka" for a gateway key is gone', text: lines.join("\n") };
  }
  return undefined;
}

/** Defaults that were written by set-ups and are offered by nobody any more (requirements 2.8, B6, B36). */
const RETIRED: readonly { readonly model: RegExp; readonly types: readonly unknown[]; readonly why: string }[] = [
  { model: /^gpt-4o$/i, types: ["gonka"], why: "the network never served this model" },
  { model: /qwen3-235b/i, types: ["gonka", "compatible"], why: "this model was withdrawn in July 2026" },
];

/** A note above a retired model. The value stays: which model is right, only a live list can say. */
function retiredModel(text: string, records: readonly PlacedRecord[]): ReturnType<Rule> {
  for (const record of records) {
    const { model, type } = record.values;
    const why = RETIRED.find((each) => each.types.includes(type) && each.model.test(String(model)))?.why;
    const note = `${why}; run \`zeph doctor --fix\`, or choose from \`zeph models\`: zeph config set model ID --provider ${record.name}`;
    const noted = why === undefined ? undefined : noteAbove(text, entryOf(record, "model")?.span.startLine, note);
    if (noted !== undefined) return { message: `"${record.name}": ${why}; see the note above its model`, text: noted };
  }
  return undefined;
}

/** A note above a key that stands in the file. Taking it out is `zeph vault import`'s part. */
function inlineKey(text: string, records: readonly PlacedRecord[]): ReturnType<Rule> {
  for (const record of records) {
    const { type, api_key: key } = record.values;
    if (type !== "compatible" || typeof key !== "string" || key.trim() === "") continue;
    const line = entryOf(record, "api_key")?.span.startLine;
    const noted = noteAbove(text, line, "keys belong into the vault: run `zeph vault import`");
    if (noted !== undefined)
      return { message: `"${record.name}" has its key in the file; see the note above it`, text: noted };
  }
  return undefined;
}

/** Sections of today's schema, as comments with their defaults. */
const SECTIONS: Readonly<Record<string, string>> = {
  timeouts: `# Seconds: until an answer begins, and for a whole answer.
#[timeouts]
#llm_seconds = 120
#llm_request_timeout_secs = 600`,
  cost: `# Requests stop when a day's spending reaches the limit. 0 is no limit.
#[cost]
#enabled = false
#max_daily_cents = 0`,
  vault: `# "age" (files) or "env" (environment variables, for CI).
#[vault]
#backend = "age"`,
  session: `#[session]
#provider_persistence = true
#keep_conversations = true`,
};

/** Sections the file does not have, added at its end as comments: nothing changes, everything can be found. */
function missingSections(text: string): ReturnType<Rule> {
  const outline = outlineToml(text);
  const isThere = (section: string) =>
    outline.some(({ path }) => path[0] === section) || new RegExp(`^\\s*#\\s*\\[${section}[\\].]`, "m").test(text);
  const missing = Object.entries(SECTIONS).filter(([section]) => !isThere(section));
  if (missing.length === 0) return undefined;
  const newline = newlineOf(text);
  const added = missing.map(([, lines]) => lines.replaceAll("\n", newline)).join(newline + newline);
  const gap = `${text === "" || text.endsWith("\n") ? "" : newline}${text.trim() === "" ? "" : newline}`;
  const names = missing.map(([section]) => `[${section}]`).join(", ");
  return { message: `added as comments: ${names}`, text: `${text}${gap}${added}${newline}` };
}

/** A comment above a line, under the same indent; undefined when the comments above it say so already. */
function noteAbove(text: string, line: number | undefined, note: string): string | undefined {
  if (line === undefined) return undefined;
  const comment = `# zeph: ${note}`;
  const lines = text.split("\n").map((each) => each.trim());
  for (let above = line - 1; above >= 1 && lines[above - 1]?.startsWith("#") === true; above -= 1) {
    if (lines[above - 1] === comment) return undefined;
  }
  return applySplices(text, [{ kind: "insert-lines", after: line - 1, lines: indentOf(text, line) + comment }]);
}

/** Turns lines into comments, with a note above the first; blank ones and comments stay as they are. */
function silence(text: string, places: readonly (readonly [from: number, to: number])[], note: string): string {
  const silenced = text.split("\n").map((content, index) => {
    const isInside = places.some(([from, to]) => index + 1 >= from && index + 1 <= to);
    return isInside && content.trim() !== "" && !content.trim().startsWith("#") ? `#${content}` : content;
  });
  const result = silenced.join("\n");
  return noteAbove(result, places[0]?.[0], note) ?? result;
}

function linesOf({ headerLine, lastLine }: OutlineBlock) {
  return [headerLine, lastLine] as const;
}

function placedRecords(text: string): readonly PlacedRecord[] {
  const records = recordsOf(parseConfigText(text));
  const outline = outlineToml(text);
  return records.flatMap((values, index) => {
    const block = outline.find(
      (each) => each.kind === "element" && isDeepStrictEqual(each.address, [...PROVIDERS, index]),
    );
    return block === undefined ? [] : [{ values, name: effectiveName(values) ?? "gonka", block }];
  });
}

function entryOf({ block }: PlacedRecord, field: string): OutlineEntry | undefined {
  return block.entries.find(({ key }) => key.length === 1 && key[0] === field);
}
