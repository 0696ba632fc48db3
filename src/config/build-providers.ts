import { recordPlace, schemaFaults } from "./check-layer.ts";
import type { ConfigWarning, Fault } from "./fault.ts";
import type { LayeredTable } from "./layer.ts";
import type { MergedRecord } from "./merge-records.ts";
import type { Origin } from "./origin.ts";
import { type ProviderConfig, toCompatibleProvider, toGonkaProvider } from "./provider.ts";
import {
  compatibleRecord,
  type GonkaRecord,
  gonkaRecord,
  IRRELEVANT_FIELDS,
  KNOWN_TYPES,
  RECORD_SCHEMAS,
  recordKind,
} from "./schema.ts";
import { secretNameFor } from "./secret-names.ts";

/** Knowledge that lives in other layers and is passed in. */
export interface ConfigChecks {
  /** Is this a bech32 address with this prefix and a good checksum? */
  readonly isAddress: (text: string, prefix: string) => boolean;
  /** Is this address on this computer? */
  readonly isLoopback: (url: string) => boolean;
}

export interface BuiltProviders {
  readonly providers: readonly ProviderConfig[];
  readonly faults: readonly Fault[];
  readonly warnings: readonly ConfigWarning[];
}

/** Turns merged records into providers, and says all that is wrong or odd about them. */
export function buildProviders(
  records: readonly MergedRecord[],
  checks: ConfigChecks,
  requestTimeoutMs: number,
): BuiltProviders {
  const built = records.map((record, index) => buildProvider(record, index, checks, requestTimeoutMs));
  return {
    providers: built.flatMap((one) => one.providers),
    faults: [...built.flatMap((one) => one.faults), ...secretNameClashes(records)],
    warnings: built.flatMap((one) => one.warnings),
  };
}

function buildProvider(
  record: MergedRecord,
  index: number,
  checks: ConfigChecks,
  requestTimeoutMs: number,
): BuiltProviders {
  const { name, isDefault, table } = record;
  const kind = recordKind(table.values.type);
  const place = recordPlace(table.values, index);
  const note = (field: string, message: string, path: readonly PropertyKey[] = [field]): Fault => ({
    origin: originAt(table, path),
    place,
    field,
    message,
  });
  const faults: Fault[] = [
    ...schemaFaults(
      RECORD_SCHEMAS[kind],
      table.values,
      () => place,
      (path) => originAt(table, path),
    ),
    ...typeFaults(table.values.type, note),
    ...(kind !== "other" && table.values.name === undefined
      ? [note("name", "is required: it gives the secret its name")]
      : []),
  ];
  const warnings = fieldWarnings(record, place);
  const insecure = insecureUrls(table, checks);
  warnings.push(...insecure.map((field) => insecureWarning(table, place, field)));
  const context = { name, isDefault, requestTimeoutMs, hasInsecureUrl: insecure.length > 0 };
  const providers: ProviderConfig[] = [];
  if (kind === "other") {
    providers.push({ type: "other", name, isDefault, declaredType: String(table.values.type) });
  } else if (kind === "compatible") {
    const { data } = compatibleRecord.safeParse(table.values);
    if (data?.base_url !== undefined) providers.push(toCompatibleProvider(data, data.base_url, context));
    else if (table.values.base_url === undefined) faults.push(note("base_url", "is required"));
  } else {
    const { data } = gonkaRecord.safeParse(table.values);
    if (data !== undefined) {
      faults.push(...nodeFaults(data, checks, note));
      providers.push(toGonkaProvider(data, context));
    }
  }
  return { providers, faults, warnings };
}

type Note = (field: string, message: string, path?: readonly PropertyKey[]) => Fault;

/** An unknown type may be a newer Zeph's; the same word in other letters is a slip that would hide the record. */
function typeFaults(type: unknown, note: Note): readonly Fault[] {
  if (typeof type !== "string" || KNOWN_TYPES.includes(type)) return [];
  const meant = type.trim().toLowerCase();
  return KNOWN_TYPES.includes(meant) ? [note("type", `must be written "${meant}"`)] : [];
}

function nodeFaults(record: GonkaRecord, checks: ConfigChecks, note: Note): readonly Fault[] {
  const nodes = record.gonka_nodes ?? [];
  if (nodes.length === 0 && record.gonka_source_url === undefined) {
    return [note("gonka_nodes", "needs at least one node, or there must be a gonka_source_url to find nodes")];
  }
  const prefix = record.gonka_chain_prefix ?? "gonka";
  return nodes.flatMap(({ address }, index) => {
    const fault = addressFault(address, prefix, checks);
    const field = `gonka_nodes[${index + 1}].address`;
    return fault === undefined ? [] : [note(field, fault, ["gonka_nodes", index, "address"])];
  });
}

function addressFault(address: string, prefix: string, { isAddress }: ConfigChecks): string | undefined {
  if (isAddress(address, prefix)) return undefined;
  // bug-ops/zeph shipped gonka1node1placeholder0… and the like as seed addresses (defect B5).
  if (/placeholder/i.test(address)) {
    return "is a placeholder that some Zeph versions wrote, not an address; `zeph init` finds the real ones";
  }
  return `is not a valid address with the prefix ${prefix}; check every character`;
}

/** The fields with an address to which a key or a prompt would travel in clear. */
function insecureUrls(table: LayeredTable, { isLoopback }: ConfigChecks): readonly string[] {
  const kind = recordKind(table.values.type);
  const nodes = Array.isArray(table.values.gonka_nodes) ? table.values.gonka_nodes : [];
  const urls: readonly (readonly [field: string, url: unknown])[] =
    kind === "compatible"
      ? [["base_url", table.values.base_url]]
      : kind === "gonka"
        ? nodes.map((node: unknown) => ["gonka_nodes", isObject(node) ? node.url : undefined] as const)
        : [];
  const isInsecure = (url: unknown) =>
    typeof url === "string" && /^http:/i.test(url) && URL.canParse(url) && !isLoopback(url);
  return [...new Set(urls.filter(([, url]) => isInsecure(url)).map(([field]) => field))];
}

function insecureWarning(table: LayeredTable, place: string, field: string): ConfigWarning {
  const message =
    field === "base_url"
      ? `${place}, ${field} is plain http to another computer: zeph does not send the key there; use https`
      : `${place}, ${field} has plain http addresses: prompts and answers travel in clear; prefer https`;
  return { kind: "insecure_url", message, origin: originAt(table, [field]) };
}

function fieldWarnings({ name, table }: MergedRecord, place: string): ConfigWarning[] {
  const kind = recordKind(table.values.type);
  const warnings: ConfigWarning[] = [];
  if (kind === "compatible" && typeof table.values.api_key === "string" && table.values.api_key.trim() !== "") {
    const message = `${place}, api_key holds a key in plain text; store it with \`zeph vault set ${secretNameFor(name)}\` and delete the line`;
    warnings.push({ kind: "inline_key", message, origin: originAt(table, ["api_key"]) });
  }
  for (const field of Object.keys(table.values)) {
    if (!IRRELEVANT_FIELDS[kind].has(field)) continue;
    const message = `${place}, ${field} means nothing for type ${kind}; it is kept and not used`;
    warnings.push({ kind: "irrelevant_field", message, origin: originAt(table, [field]) });
  }
  return warnings;
}

/** Two records whose names give one secret name would use each other's key. */
function secretNameClashes(records: readonly MergedRecord[]): readonly Fault[] {
  const owners = new Map<string, MergedRecord>();
  return records.flatMap((record) => {
    if (recordKind(record.table.values.type) !== "compatible") return [];
    const configured = record.table.values.api_key_env;
    const secretName = typeof configured === "string" ? configured : secretNameFor(record.name);
    // Naming another secret with api_key_env is the way out, and two records may share one on purpose.
    if (secretName !== secretNameFor(record.name)) return [];
    const owner = owners.get(secretName);
    if (owner === undefined) {
      owners.set(secretName, record);
      return [];
    }
    const message = `gives the secret name ${secretName}, and so does "${owner.name}"; rename one of them`;
    return [{ origin: originAt(record.table, ["name"]), place: `provider "${record.name}"`, field: "name", message }];
  });
}

function originAt(table: LayeredTable, path: readonly PropertyKey[]): Origin {
  return table.originOf(path) ?? table.origin;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
