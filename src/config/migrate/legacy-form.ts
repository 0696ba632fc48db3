import { ZephError } from "../../errors/zeph-error.ts";
import { upsertProvider } from "../edit.ts";
import { isTable, type Table } from "../layer.ts";
import { applySplices, deleteEntry, indentOf, newlineOf, type Splice } from "../splice.ts";
import { type OutlineBlock, outlineToml } from "../toml-outline.ts";
import type { MigratedText } from "./migration.ts";
import { parseConfigText } from "./records.ts";

/** Fields of `[llm]` that belong to a record today. `embedding_model` stays: it still has its place there. */
const RECORD_FIELDS = ["base_url", "model", "max_tokens"] as const;

/**
 * `[llm] provider = …` and `[[llm.compatible]]` of old Zeph versions become `[[llm.providers]]` records. Throws
 * `config_invalid` for a file with both forms: nobody could say which one its owner means.
 */
export function legacyForm(text: string): MigratedText | undefined {
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
