import { effectiveName, PROVIDERS } from "./check-layer.ts";
import { type Layer, type LayeredTable, mergeTables, type TablePart, tablesAt } from "./layer.ts";
import { aliasRecord, type ConfigFlags, environmentRecord, flagRecord, type RecordOverride } from "./overrides.ts";

/** A provider record as all layers together make it. */
export interface MergedRecord {
  readonly name: string;
  readonly isDefault: boolean;
  readonly table: LayeredTable;
}

export interface MergeRecordsOptions {
  /** Highest precedence first. */
  readonly files: readonly Layer[];
  /** A file above all others that may change records and neither add nor choose any. */
  readonly restricted?: Layer | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly flags: ConfigFlags;
  /** Whether variables of other programs count. */
  readonly useAliases: boolean;
}

/**
 * Merges the records of all layers by name, field by field. A record of another type is another thing: it replaces the
 * lower one whole. The records of higher files come first. Variables change the default record, flags the one in use.
 */
export function mergeRecords({
  files,
  restricted,
  env,
  flags,
  useAliases,
}: MergeRecordsOptions): readonly MergedRecord[] {
  const parts = groupByName(files);
  if (restricted !== undefined) putAbove(parts, restricted);
  const fromEnvironment = environmentRecord(env);
  const fromFlags = flagRecord(flags);
  if (parts.size === 0) addRecordOfOverrides(parts, fromFlags, fromEnvironment);
  const defaultName = findDefault(parts, files);
  const selectedName = flags.provider ?? defaultName;
  return [...parts].map(([name, fileParts]) => {
    const own = mergeTables(fileParts).values;
    const alias = useAliases ? aliasRecord(env, { name, type: own.type }) : undefined;
    const overrides = [
      ...(name === selectedName ? [toPart(fromFlags)] : []),
      ...(name === defaultName ? [toPart(fromEnvironment)] : []),
      ...(alias === undefined ? [] : [toPart(alias)]),
    ].filter((part) => Object.keys(part.values).length > 0);
    return { name, isDefault: name === defaultName, table: withFileOrigin(overrides, fileParts) };
  });
}

function groupByName(files: readonly Layer[]): Map<string, TablePart[]> {
  const groups = new Map<string, TablePart[]>();
  for (const part of files.flatMap((layer) => tablesAt(layer, PROVIDERS))) {
    const name = effectiveName(part.values);
    if (name === undefined) continue;
    const group = groups.get(name) ?? [];
    const [highest] = group;
    if (highest === undefined || highest.values.type === part.values.type) group.push(part);
    groups.set(name, group);
  }
  return groups;
}

function putAbove(parts: Map<string, TablePart[]>, restricted: Layer): void {
  for (const part of tablesAt(restricted, PROVIDERS)) {
    const { name: _name, type: _type, ...values } = part.values;
    parts.get(effectiveName(part.values) ?? "")?.unshift({ ...part, values });
  }
}

/** With no file at all, an address in a flag or variable makes a provider by itself. */
function addRecordOfOverrides(parts: Map<string, TablePart[]>, ...overrides: readonly RecordOverride[]): void {
  const withAddress = overrides.find((override) => override.values.base_url !== undefined);
  if (withAddress === undefined) return;
  const type = overrides.find((override) => typeof override.values.type === "string")?.values.type ?? "compatible";
  const values = { type, name: type };
  parts.set(String(type), [{ ...toPart(withAddress), values }]);
}

/** The record with `default = true` in the highest file that has one, else the first of all. */
function findDefault(parts: ReadonlyMap<string, readonly TablePart[]>, files: readonly Layer[]): string | undefined {
  for (const layer of files) {
    for (const [name, group] of parts) {
      const says = group.find((part) => part.values.default !== undefined);
      if (says?.layer === layer && says.values.default === true) return name;
    }
  }
  return [...parts.keys()][0];
}

function toPart(override: RecordOverride): TablePart {
  const originOf = ([field]: readonly PropertyKey[]) => override.originOf(String(field));
  return { layer: { values: override.values, originOf }, address: [], values: override.values };
}

/** A record as a whole stands where its file says, even when every field of it is overridden. */
function withFileOrigin(overrides: readonly TablePart[], fileParts: readonly TablePart[]): LayeredTable {
  const merged = mergeTables([...overrides, ...fileParts]);
  return { ...merged, origin: mergeTables(fileParts).origin };
}
