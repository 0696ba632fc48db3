import { schemaFaults, sectionPlace } from "./check-layer.ts";
import type { Fault } from "./fault.ts";
import { isTable, type Layer, type LayeredTable, mergeTables, tablesAt } from "./layer.ts";
import { DEFAULT_ORIGIN } from "./origin.ts";
import { type Sections, sectionsSchema } from "./schema.ts";
import { readShape } from "./shape.ts";

export interface ReadSections {
  /** `undefined` when there are faults. */
  readonly sections: Sections | undefined;
  /** One section as all layers together make it. */
  readonly layered: (section: string) => LayeredTable;
  readonly faults: readonly Fault[];
}

/** Everything outside provider records, merged from all layers, highest first, and checked as a whole. */
export function readSections(layers: readonly Layer[]): ReadSections {
  const layered = (section: string) =>
    mergeTables(
      layers.flatMap((layer) => {
        const values = layer.values[section];
        return isTable(values) ? [{ layer, address: [section], values }] : [];
      }),
    );
  const names = Object.keys(sectionsSchema.fields).filter((name) => name !== "brokers");
  const values = {
    ...Object.fromEntries(names.map((name) => [name, layered(name).values])),
    brokers: mergeBrokerTables(layers),
  };
  const originOf = ([section, ...path]: readonly PropertyKey[]) =>
    layered(String(section)).originOf(path) ?? DEFAULT_ORIGIN;
  // Faults of [[brokers]] are found file by file, with their lines.
  const faults = schemaFaults(sectionsSchema, values, sectionPlace, originOf).filter(
    ({ origin }) => origin.kind !== "default",
  );
  return { sections: readShape(sectionsSchema, values).data, layered, faults };
}

/** The `[[brokers]]` of all layers, merged by id. */
function mergeBrokerTables(layers: readonly Layer[]): readonly unknown[] {
  const parts = layers.flatMap((layer) => tablesAt(layer, ["brokers"]));
  const ids = new Set(parts.map((part) => part.values.id));
  return [...ids].map((id) => mergeTables(parts.filter((part) => part.values.id === id)).values);
}
