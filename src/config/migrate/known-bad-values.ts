import { outlineToml } from "../toml-outline.ts";
import type { MigratedText } from "./migration.ts";
import { noteAbove } from "./note-above.ts";
import { entryOf, placedRecords } from "./records.ts";

/** Defaults that were written by set-ups and are offered by nobody any more (requirements 2.8, B6, B36). */
const RETIRED: readonly { readonly model: RegExp; readonly types: readonly string[]; readonly why: string }[] = [
  { model: /^gpt-4o$/i, types: ["gonka"], why: "the network never served this model" },
  { model: /qwen3-235b/i, types: ["gonka", "compatible"], why: "this model was withdrawn in July 2026" },
];

/** A note above a retired model. The value stays: which model is right, only a live list can say. */
export function retiredModel(text: string): MigratedText | undefined {
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
export function inlineKey(text: string): MigratedText | undefined {
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
export function badAdvice(text: string): MigratedText | undefined {
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

export function hasSection(text: string, section: string): boolean {
  if (outlineToml(text).some(({ path }) => path[0] === section)) return true;
  return new RegExp(`^\\s*#\\s*\\[${section}[\\].]`, "m").test(text);
}
