import { isDeepStrictEqual } from "node:util";
import { effectiveName, PROVIDERS } from "../check-layer.ts";
import { faultsError } from "../fault.ts";
import { isFault, readFileLayer } from "../file-layer.ts";
import { type Table, tablesAt } from "../layer.ts";
import { type OutlineBlock, type OutlineEntry, outlineToml } from "../toml-outline.ts";

/** A provider record of a file, with the lines it stands on. */
export interface PlacedRecord {
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
export function placedRecords(text: string): readonly PlacedRecord[] {
  const values = parseConfigText(text);
  const outline = outlineToml(text);
  const parts = tablesAt({ values, originOf: () => ({ kind: "default" }) }, PROVIDERS);
  return parts.flatMap(({ values: record, address }) => {
    const block = outline.find((each) => each.kind === "element" && isDeepStrictEqual(each.address, address));
    return block === undefined ? [] : [{ values: record, name: effectiveName(record), block }];
  });
}

export function entryOf({ entries }: OutlineBlock, field: string): OutlineEntry | undefined {
  return entries.find(({ key }) => key.length === 1 && key[0] === field);
}
