import type { Origin } from "./origin.ts";

export type Table = Readonly<Record<string, unknown>>;

/** Values from one source, in the shape of a config file. */
export interface Layer {
  readonly values: Table;
  /** Where the value at this address of the layer came from. */
  originOf(address: readonly PropertyKey[]): Origin;
}

export function isTable(value: unknown): value is Table {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

/** A table put together from several layers, field by field; the source of every field is remembered. */
export interface LayeredTable {
  readonly values: Table;
  /** Of the table as a whole: where it stands in the highest layer that has it. */
  readonly origin: Origin;
  /** `undefined` when no layer has the field. */
  originOf(path: readonly PropertyKey[]): Origin | undefined;
}

/** One table of one layer. */
export interface TablePart {
  readonly layer: Layer;
  readonly address: readonly PropertyKey[];
  readonly values: Table;
}

/** Merges tables field by field. `parts` come highest first; the first that has a field gives its value. */
export function mergeTables(parts: readonly TablePart[]): LayeredTable {
  const values: Record<string, unknown> = {};
  const sources = new Map<PropertyKey, TablePart>();
  for (const part of parts) {
    for (const [field, value] of Object.entries(part.values)) {
      if (sources.has(field)) continue;
      sources.set(field, part);
      values[field] = value;
    }
  }
  const [highest] = parts;
  return {
    values,
    origin: highest?.layer.originOf(highest.address) ?? { kind: "default" },
    originOf(path) {
      const [field] = path;
      const source = field === undefined ? highest : sources.get(field);
      return source?.layer.originOf([...source.address, ...path]);
    },
  };
}

/** The tables of an array of tables; what is no table is left to the schema to complain about. */
export function tablesAt(layer: Layer, address: readonly string[]): readonly TablePart[] {
  let value: unknown = layer.values;
  for (const part of address) value = isTable(value) ? value[part] : undefined;
  if (!Array.isArray(value)) return [];
  return value.flatMap((values: unknown, index) =>
    isTable(values) ? [{ layer, address: [...address, index], values }] : [],
  );
}
