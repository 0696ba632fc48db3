import type { Fault } from "./fault.ts";
import { isTable, type Layer, type Table, type TablePart, tablesAt } from "./layer.ts";
import type { Origin } from "./origin.ts";
import { RECORD_SCHEMAS, recordKind, sectionsSchema } from "./schema.ts";
import { readShape, type Shape } from "./shape.ts";

/** The address of the provider records in a file. */
export const PROVIDERS = ["llm", "providers"] as const;

/** All that can be said about one file by itself: shapes, names that come twice, two defaults. */
export function checkLayer(layer: Layer): readonly Fault[] {
  const records = tablesAt(layer, PROVIDERS);
  return [
    ...checkShape(layer),
    ...schemaFaults(sectionsSchema, layer.values, sectionPlace, (path) => layer.originOf(path)),
    ...records.flatMap(checkRecordPart),
    ...checkNames(records),
    ...checkDefaults(records),
  ];
}

function checkShape(layer: Layer): readonly Fault[] {
  const llm = layer.values.llm;
  const providers = isTable(llm) ? llm.providers : undefined;
  if (providers === undefined || (Array.isArray(providers) && providers.every(isTable))) return [];
  const origin = layer.originOf(PROVIDERS);
  return [{ origin, place: "", field: "llm.providers", message: "must be tables [[llm.providers]]" }];
}

function checkRecordPart({ layer, address, values }: TablePart): readonly Fault[] {
  const schema = RECORD_SCHEMAS[recordKind(values.type)];
  return schemaFaults(
    schema,
    values,
    () => recordPlace(values, Number(address.at(-1))),
    (path) => layer.originOf([...address, ...path]),
  );
}

function checkNames(records: readonly TablePart[]): readonly Fault[] {
  const first = new Map<string, TablePart>();
  return records.flatMap((record) => {
    const name = effectiveName(record.values);
    const earlier = name === undefined ? undefined : first.get(name);
    if (name !== undefined && earlier === undefined) first.set(name, record);
    if (earlier === undefined) return [];
    const origin = record.layer.originOf([...record.address, "name"]);
    const line = lineWords(earlier.layer.originOf([...earlier.address, "name"]));
    return [{ origin, place: `provider "${name}"`, field: "name", message: `is used twice${line}` }];
  });
}

function checkDefaults(records: readonly TablePart[]): readonly Fault[] {
  const [first, ...more] = records.filter((record) => record.values.default === true);
  return more.map((record) => ({
    origin: record.layer.originOf([...record.address, "default"]),
    place: recordPlace(record.values, Number(record.address.at(-1))),
    field: "default",
    message: `is true for a second provider${first === undefined ? "" : lineWords(first.layer.originOf([...first.address, "default"]))}`,
  }));
}

function lineWords(origin: Origin): string {
  return origin.kind === "file" && origin.line !== undefined ? ` (first in line ${origin.line})` : "";
}

/** The name of a record, or its type where Zeph would take that. */
export function effectiveName(values: Table): string | undefined {
  const name = values.name ?? values.type;
  return typeof name === "string" && name.trim() !== "" ? name : undefined;
}

export function recordPlace(values: Table, index: number): string {
  const name = effectiveName(values);
  return name === undefined ? `provider number ${index + 1}` : `provider "${name}"`;
}

export function sectionPlace(path: readonly PropertyKey[]): string {
  const [section, index] = path;
  return section === "brokers" && typeof index === "number"
    ? `[[brokers]] number ${index + 1}`
    : `[${String(section)}]`;
}

/** The faults a schema finds, each with its place and line. */
export function schemaFaults(
  shape: Shape<unknown>,
  values: Table,
  placeOf: (path: readonly PropertyKey[]) => string,
  originOf: (path: readonly PropertyKey[]) => Origin,
): readonly Fault[] {
  return readShape(shape, values).issues.map(({ path, message }) => {
    const origin = originOf(path);
    const place = placeOf(path);
    return { origin, place, field: fieldName(path, place), message: isMissing(values, path) ? "is required" : message };
  });
}

/** Without what the place says already: the section's own name. */
function fieldName(path: readonly PropertyKey[], place: string): string {
  const named = place.startsWith("[[") ? 2 : place.startsWith("[") ? 1 : 0;
  return path
    .slice(named)
    .map((part, position) =>
      typeof part === "number" ? `[${part + 1}]` : `${position === 0 ? "" : "."}${String(part)}`,
    )
    .join("");
}

function isMissing(values: Table, path: readonly PropertyKey[]): boolean {
  let value: unknown = values;
  for (const part of path) {
    if (typeof value !== "object" || value === null) return true;
    value = Reflect.get(value, part);
  }
  return value === undefined;
}
