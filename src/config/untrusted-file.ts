import { isDeepStrictEqual } from "node:util";
import { checkLayer, effectiveName, PROVIDERS } from "./check-layer.ts";
import { describeFault } from "./fault.ts";
import type { ConfigFile } from "./find-config-files.ts";
import { isTable, type Layer, type Table, tablesAt } from "./layer.ts";
import { RECORD_SCHEMAS, recordKind, sectionsSchema } from "./schema.ts";

/** All that a file nobody agreed to may say: the model, and the sizes of answers. */
const HARMLESS_FIELDS: ReadonlySet<string> = new Set(["model", "embedding_model", "max_tokens"]);
/** They only say which record is meant. */
const NAMING_FIELDS: ReadonlySet<string> = new Set(["name", "type"]);

/** A project file that was not agreed to, and what of it is not used. */
export interface UntrustedFile {
  readonly path: string;
  /** The user was asked, and said no. */
  readonly isRefused: boolean;
  readonly ignored: readonly IgnoredField[];
  /** Names of the providers that it would add. */
  readonly providerNames: readonly string[];
  /** Why it cannot even be read, as "is a named pipe, not a file": there is nothing to agree to. */
  readonly fault?: string | undefined;
}

interface IgnoredField {
  /** As `base_url of provider "gonkagate"` or `[local_gateway] host`. Without signs that a terminal obeys. */
  readonly place: string;
  /** What it says, shortened; keys are masked. */
  readonly value: string;
}

/**
 * What is left of a project file that comes with whatever was checked out: model and answer sizes of providers that the
 * user's own file has. It can add no provider, choose none, move no address and name no secret. `layer` is absent when
 * nothing is left, `untrusted` when nothing was taken away.
 */
export function restrictLayer(
  file: ConfigFile,
  layer: Layer,
  user: Layer | undefined,
): { readonly layer?: Layer; readonly untrusted?: UntrustedFile } {
  const own = user === undefined ? [] : tablesAt(user, PROVIDERS).map(({ values }) => values);
  const ignored = ignoredSections(layer.values, user?.values ?? {});
  const providerNames: string[] = [];
  const kept: Table[] = [];
  const indices: number[] = [];
  for (const [index, { values }] of tablesAt(layer, PROVIDERS).entries()) {
    const name = effectiveName(values);
    const record = own.find((each) => effectiveName(each) === name && each.type === (values.type ?? each.type));
    const provider = `provider ${JSON.stringify(clean(name ?? ""))}`;
    if (name === undefined || record === undefined) {
      if (name !== undefined) providerNames.push(name);
      ignored.push({ place: `the whole ${provider}`, value: shown("base_url", values.base_url ?? values.type) });
      continue;
    }
    const fields = Object.entries(values).filter(([field, value]) => !isDeepStrictEqual(value, record[field]));
    const known = new Set([...Object.keys(RECORD_SCHEMAS[recordKind(record.type)].fields), "base_url"]);
    for (const [field, value] of fields) {
      if (HARMLESS_FIELDS.has(field) || NAMING_FIELDS.has(field) || !known.has(field)) continue;
      ignored.push({ place: `${field} of ${provider}`, value: shown(field, value) });
    }
    kept.push({
      ...Object.fromEntries(fields.filter(([field]) => HARMLESS_FIELDS.has(field))),
      ...(record.type === undefined ? {} : { type: record.type }),
      name,
    });
    indices.push(index);
  }
  const rest: Layer = {
    values: { llm: { providers: kept } },
    originOf([, , index, ...path]) {
      return layer.originOf([...PROVIDERS, indices[Number(index)] ?? 0, ...path]);
    },
  };
  const [fault] = kept.length === 0 ? [] : checkLayer(rest);
  if (fault !== undefined) return { untrusted: unusable(file, describeFault(fault)) };
  return {
    ...(kept.length === 0 ? {} : { layer: rest }),
    ...(ignored.length === 0 ? {} : { untrusted: { ...about(file), ignored, providerNames } }),
  };
}

/** A file that nobody agreed to must not keep a command from working, either. */
export function unusable(file: ConfigFile, reason: string): UntrustedFile {
  return { ...about(file), ignored: [{ place: "all of it", value: clean(reason) }], providerNames: [] };
}

/** One sentence for the user, with the command that agrees. */
export function describeUntrusted({ path, ignored, fault }: UntrustedFile): string {
  if (fault !== undefined) {
    return `${clean(path)} is not trusted, and nothing of it is used: it ${clean(fault)}. If it is yours, mend it, then run: ${trustCommand(path)}`;
  }
  const places = ignored.map(({ place }) => place);
  const listed = places.length > 6 ? [...places.slice(0, 5), `${places.length - 5} more`] : places;
  return `${clean(path)} is not trusted: of a file that comes with a folder, only models and answer sizes are used. Left out: ${listed.join(", ")}. If it is yours, run: ${trustCommand(path)}`;
}

/** In its own folder the command finds the file by itself, which spares odd names a lesson in quoting. */
export function trustCommand(path: string): string {
  return /^[\w./\\:@+-]+$/.test(path) ? `zeph config trust ${path}` : "zeph config trust";
}

function about({ path, trust, fault }: ConfigFile) {
  return { path, isRefused: trust === "refused", fault };
}

/** Of the sections zeph reads; what is for other programs is nobody's business. */
function ignoredSections(values: Table, own: Table): IgnoredField[] {
  return Object.keys(sectionsSchema.fields).flatMap((section) => {
    const [table, ownTable] = [values[section], own[section]];
    if (Array.isArray(table)) {
      return table.map((entry: unknown) => ({
        place: `[[${section}]] ${clean(String(isTable(entry) ? (entry.id ?? "") : ""))}`.trim(),
        value: shown("base_url", isTable(entry) ? entry.base_url : entry),
      }));
    }
    if (!isTable(table)) return table === undefined ? [] : [{ place: section, value: shown("", table) }];
    const known = section === "llm" ? LLM_FIELDS : undefined;
    return Object.entries(table)
      .filter(([field]) => known?.has(field) ?? true)
      .filter(([field, value]) => !isTable(ownTable) || !isDeepStrictEqual(value, ownTable[field]))
      .map(([field, value]) => ({ place: `[${section}] ${clean(field)}`, value: shown(field, value) }));
  });
}

const LLM_FIELDS: ReadonlySet<string> = new Set(["fallback"]);

function shown(field: string, value: unknown): string {
  if (/(?:^|_)(?:api_key|key|token|secret|password|passphrase)$/i.test(field)) return "[redacted]";
  const text = typeof value === "string" ? value : JSON.stringify(value, (_key, each) => toPlain(each));
  return clean((text ?? "").replace(/[?#].*$/, ""));
}

function toPlain(value: unknown): unknown {
  return typeof value === "bigint" ? value.toString() : value;
}

/** The file's author chose these words: they must not paint the terminal, nor hide what stands beside them. */
function clean(text: string): string {
  const plain = text.replace(/[\p{C}\p{Z}]+/gu, " ").trim();
  return plain.length > 80 ? `${plain.slice(0, 79)}…` : plain;
}
