import { ZephError } from "../../errors/zeph-error.ts";
import { badAdvice, inlineKey, retiredModel } from "./known-bad-values.ts";
import { legacyForm } from "./legacy-form.ts";
import type { MigrationChange, MigrationRule } from "./migration.ts";
import { missingSections } from "./missing-sections.ts";
import { looseNodes, missingName, placeholderNodes } from "./native-records.ts";
import { parseConfigText } from "./records.ts";

export interface Migration {
  readonly text: string;
  /** Empty when the file was up to date. */
  readonly changes: readonly MigrationChange[];
}

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
