import { recordPlace, schemaFaults } from "./check-layer.ts";
import type { Fault } from "./fault.ts";
import { isTable, type Table } from "./layer.ts";
import type { MergedRecord } from "./merge-records.ts";
import { CHAIN_PREFIX, KNOWN_TYPES, RECORD_SCHEMAS, recordKind } from "./schema.ts";
import { secretNameFor } from "./secret-names.ts";

export type IsAddress = (text: string, prefix: string) => boolean;

type Note = (field: string, message: string, path?: readonly PropertyKey[]) => Fault;

/** All that is wrong with one record, as all layers together make it. */
export function recordFaults({ table }: MergedRecord, index: number, isAddress: IsAddress): readonly Fault[] {
  const { values } = table;
  const kind = recordKind(values.type);
  const place = recordPlace(values, index);
  const originOf = (path: readonly PropertyKey[]) => table.originOf(path) ?? table.origin;
  const note: Note = (field, message, path = [field]) => ({ origin: originOf(path), place, field, message });
  const faults = [
    ...schemaFaults(RECORD_SCHEMAS[kind], values, () => place, originOf),
    ...typeFaults(values.type, note),
  ];
  if (kind !== "other" && values.name === undefined) {
    faults.push(note("name", "is required: it gives the secret its name"));
  }
  if (kind === "compatible" && values.base_url === undefined) faults.push(note("base_url", "is required"));
  if (kind === "gonka") faults.push(...nodeFaults(values, isAddress, note));
  return faults;
}

/** An unknown type may be a newer Zeph's; the same word in other letters is a slip that would hide the record. */
function typeFaults(type: unknown, note: Note): readonly Fault[] {
  if (typeof type !== "string" || KNOWN_TYPES.includes(type)) return [];
  const meant = type.trim().toLowerCase();
  return KNOWN_TYPES.includes(meant) ? [note("type", `must be written "${meant}"`)] : [];
}

/** Shapes are the schema's business; this looks at what the schema cannot know. */
function nodeFaults(values: Table, isAddress: IsAddress, note: Note): readonly Fault[] {
  const nodes = Array.isArray(values.gonka_nodes) ? values.gonka_nodes : [];
  if (nodes.length === 0 && values.gonka_source_url === undefined) {
    return [note("gonka_nodes", "needs at least one node, or there must be a gonka_source_url to find nodes")];
  }
  const written = values.gonka_chain_prefix;
  const prefix = typeof written === "string" && CHAIN_PREFIX.test(written) ? written : "gonka";
  return nodes.flatMap((node: unknown, index) => {
    const address = isTable(node) ? node.address : undefined;
    const fault = typeof address === "string" ? addressFault(address, prefix, isAddress) : undefined;
    const field = `gonka_nodes[${index + 1}].address`;
    return fault === undefined ? [] : [note(field, fault, ["gonka_nodes", index, "address"])];
  });
}

function addressFault(address: string, prefix: string, isAddress: IsAddress): string | undefined {
  if (address.trim() === "" || isAddress(address, prefix)) return undefined;
  // bug-ops/zeph shipped gonka1node1placeholder0… and the like as seed addresses (defect B5).
  if (/placeholder/i.test(address)) {
    return "is a placeholder that some Zeph versions wrote, not an address; `zeph init` finds the real ones";
  }
  return `is not a valid address with the prefix ${prefix}; check every character`;
}

/** Two records whose names give one secret name would use each other's key. */
export function secretNameClashes(records: readonly MergedRecord[]): readonly Fault[] {
  const owners = new Map<string, MergedRecord>();
  return records.flatMap((record) => {
    const { values } = record.table;
    const secretName = secretNameFor(record.name);
    // Naming another secret with api_key_env is the way out, and two records may share one on purpose.
    const namesAnother = typeof values.api_key_env === "string" && values.api_key_env !== secretName;
    if (recordKind(values.type) !== "compatible" || namesAnother) return [];
    const owner = owners.get(secretName);
    if (owner === undefined) {
      owners.set(secretName, record);
      return [];
    }
    const origin = record.table.originOf(["name"]) ?? record.table.origin;
    const message = `gives the secret name ${secretName}, and so does "${owner.name}"; rename one of them`;
    return [{ origin, place: `provider "${record.name}"`, field: "name", message }];
  });
}
