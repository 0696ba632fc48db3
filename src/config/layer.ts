import { ZephError } from "../errors.ts";

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

/** Whether a field's value is a secret by its name. */
export function isSecretField(field: string): boolean {
  return /(?:^|_)(?:api_key|key|token|secret|password|passphrase)$/i.test(field);
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

/** Where a value of the configuration came from. */
export type Origin =
  | { readonly kind: "flag"; readonly name: string }
  | { readonly kind: "env"; readonly name: string }
  | { readonly kind: "file"; readonly path: string; readonly line?: number | undefined }
  | { readonly kind: "default" };

export const DEFAULT_ORIGIN: Origin = { kind: "default" };

/** @example describeOrigin({ kind: "file", path: "/etc/x.toml", line: 3 }) // "file /etc/x.toml:3" */
export function describeOrigin(origin: Origin): string {
  switch (origin.kind) {
    case "flag":
      return `flag ${origin.name}`;
    case "env":
      return `env ${origin.name}`;
    case "file":
      return `file ${origin.path}${origin.line === undefined ? "" : `:${origin.line}`}`;
    case "default":
      return "default";
  }
}

/** One thing that is wrong in a configuration. Never holds the value itself: it might be a key. */
export interface Fault {
  readonly origin: Origin;
  /** What it belongs to, in words: `provider "gonkagate"`, `[timeouts]`; empty for the file as a whole. */
  readonly place: string;
  readonly field?: string;
  /** Continues a sentence that begins with the field: "must be text in quotes". */
  readonly message: string;
}

/** Something worth a line that does not keep the configuration from being used. */
export interface ConfigWarning {
  readonly kind:
    | "inline_key"
    | "insecure_url"
    | "irrelevant_field"
    | "project_endpoint"
    | "legacy_form"
    | "untrusted_file";
  readonly message: string;
  readonly origin: Origin;
}

export function describeFault({ origin, place, field, message }: Fault): string {
  const what = [place, field].filter((part) => part !== undefined && part !== "").join(", ");
  return `${describeOrigin(origin).replace(/^file /, "")}: ${what === "" ? message : `${what} ${message}`}`;
}

/**
 * All faults as one `config_invalid`, in the order of the files and lines, each on its own line.
 *
 * @param hint what mends them all, where one command does
 */
export function faultsError(faults: readonly Fault[], hint?: string): ZephError {
  const lines = [...new Set([...faults].sort(byPlace).map(describeFault))];
  const detail = lines.length === 1 ? (lines[0] ?? "") : `${lines.length} faults\n  ${lines.join("\n  ")}`;
  return new ZephError("config_invalid", { detail, hint });
}

function byPlace(a: Fault, b: Fault): number {
  if (a.origin.kind !== "file" || b.origin.kind !== "file" || a.origin.path !== b.origin.path) return 0;
  return (a.origin.line ?? 0) - (b.origin.line ?? 0);
}
