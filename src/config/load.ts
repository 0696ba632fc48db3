import type { ReadTextFile } from "../base/files.ts";
import { ZephError } from "../errors.ts";
import { type ConfigFile, type ConfigFiles, findConfigFiles, type PathContext } from "./files.ts";
import {
  type ConfigWarning,
  DEFAULT_ORIGIN,
  describeFault,
  type Fault,
  faultsError,
  isSecretField,
  isTable,
  type Layer,
  type LayeredTable,
  mergeTables,
  type Origin,
  tablesAt,
} from "./layer.ts";
import {
  buildProviders,
  type ConfigChecks,
  type MergedRecord,
  mergeRecords,
  type ProviderConfig,
} from "./providers.ts";
import {
  type ConfigFlags,
  checkLayer,
  effectiveName,
  environmentSections,
  flagSections,
  PROVIDERS,
  RECORD_SCHEMAS,
  recordKind,
  type Sections,
  schemaFaults,
  sectionPlace,
  sectionsSchema,
  unusedFields,
} from "./schema.ts";
import { readShape } from "./shape.ts";
import { isFault, readFileLayer } from "./toml.ts";
import { describeUntrusted, restrictLayer, type UntrustedFile, unusable } from "./trust.ts";

export interface LoadConfigOptions extends PathContext {
  readonly cwd: string;
  readonly flags?: ConfigFlags;
  readonly readFile: ReadTextFile;
  /**
   * Knowledge of other layers. `isAddress` defaults to a look at the shape without the checksum, `isLoopback` to the
   * usual names of this computer.
   */
  readonly checks?: Partial<ConfigChecks>;
  /** For set-up: a file named with `--config` or `ZEPH_CONFIG` need not exist yet. Default `required`. */
  readonly explicitFile?: "required" | "optional";
}

export interface LoadedConfig {
  readonly config: Config;
  /** Every value in force with its origin, provider records first. Keys and tokens are masked. */
  readonly settings: readonly Setting[];
  /** Origins by the key of the setting, as `llm.providers.gonkagate.model`. */
  readonly origins: ReadonlyMap<string, Origin>;
  readonly warnings: readonly ConfigWarning[];
  readonly files: ConfigFiles;
  /** The project file that decides less than it would, because the user has not agreed to it. */
  readonly untrusted: UntrustedFile | undefined;
}

/**
 * Reads the configuration: flags over environment variables over the project file over the user file over defaults,
 * value by value. Of a project file that the user has not agreed to only models and answer sizes count. A missing file is no fault; that no provider is configured is noticed by `chooseProvider`.
 *
 * Throws `config_not_found` when a file named by the user is not there, `config_invalid` with all faults of all files
 * at once, each with its line; where a migration would mend them, that is the hint.
 *
 * @example
 * ```ts
 * const { config } = await loadConfig({ env, homeDir, platform, cwd, readFile: readTextFile });
 * const provider = chooseProvider(config);
 * ```
 */
export async function loadConfig(options: LoadConfigOptions): Promise<LoadedConfig> {
  const files = await findConfigFiles(options);
  const { explicit } = files.paths;
  if (explicit !== undefined && files.found.length === 0 && options.explicitFile !== "optional") {
    throw new ZephError("config_not_found", { detail: `${explicit.path} (${explicit.from}) does not exist` });
  }
  const read = readConfig(files, options);
  if (read.loaded !== undefined) return read.loaded;
  throw faultsError(read.faults, await migrationHint(files, (migrated) => readConfig(migrated, options).faults));
}

type ReadConfig =
  | { readonly loaded: LoadedConfig; readonly faults: readonly [] }
  | { readonly loaded: undefined; readonly faults: readonly Fault[] };

function readConfig(files: ConfigFiles, { env, flags = {}, checks }: LoadConfigOptions): ReadConfig {
  const { layers, restricted, untrusted, faults, warnings } = readFiles(files.found);
  const read = readSections([flagSections(flags), environmentSections(env), ...layers]);
  const { sections, layered } = read;
  const useAliases = layered("vault").values.backend === "env";
  const records = mergeRecords({ files: layers, restricted, env, flags, useAliases });
  const requestTimeoutMs = (sections?.timeouts.llm_seconds ?? 0) * 1000;
  const built = buildProviders(records, withDefaults(checks), requestTimeoutMs);
  const allFaults = [
    ...faults,
    ...read.faults,
    ...built.faults,
    ...fallbackFaults(sections, records, layered("llm")),
    // Beside records of today's form the old one is merely superfluous.
    ...(records.length === 0 ? layers.flatMap(legacyFaults) : []),
  ];
  if (sections === undefined || allFaults.length > 0) return { loaded: undefined, faults: allFaults };

  const shown = sectionSettings(sections, layered);
  const timeout = shown.find((setting) => setting.key === "timeouts.llm_seconds");
  const settings = [...records.flatMap((record) => recordSettings(record, timeout)), ...shown];
  const loaded = {
    config: toConfig(sections, built.providers, flags, untrusted),
    settings,
    origins: new Map(settings.map(({ key, origin }) => [key, origin])),
    warnings: [...built.warnings, ...warnings, ...keptFields(records, layered("llm"))],
    files,
    untrusted,
  };
  return { loaded, faults: [] };
}

function readFiles(found: readonly ConfigFile[]) {
  const layers: Layer[] = [];
  const faults: Fault[] = [];
  const warnings: ConfigWarning[] = [];
  const read = found.map((file) => ({ file, layer: readFileLayer(file.path, file.text) }));
  const own = read.find(({ file }) => file.role === "user")?.layer;
  let rest: ReturnType<typeof restrictLayer> = {};
  for (const { file, layer } of read) {
    if (file.trust !== "trusted") {
      const fault = file.fault ?? (isFault(layer) ? describeFault(layer) : undefined);
      rest =
        fault !== undefined || isFault(layer)
          ? { untrusted: unusable(file, fault ?? "") }
          : restrictLayer(file, layer, own === undefined || isFault(own) ? undefined : own);
      continue;
    }
    if (isFault(layer)) {
      faults.push(layer);
      continue;
    }
    layers.push(layer);
    faults.push(...checkLayer(layer));
    warnings.push(...fileWarnings(file, layer));
  }
  const { layer: restricted, untrusted } = rest;
  if (untrusted !== undefined) {
    const origin = { kind: "file", path: untrusted.path } as const;
    warnings.push({ kind: "untrusted_file", message: describeUntrusted(untrusted), origin });
  }
  return { layers, restricted, untrusted, faults, warnings };
}

function fallbackFaults(
  sections: Sections | undefined,
  records: readonly MergedRecord[],
  llm: LayeredTable,
): readonly Fault[] {
  const unknown = (sections?.llm.fallback ?? []).filter((name) => !records.some((record) => record.name === name));
  return unknown.map((name) => ({
    origin: llm.originOf(["fallback"]) ?? DEFAULT_ORIGIN,
    place: "[llm]",
    field: "fallback",
    message: `names "${name}", and there is no provider of that name`,
  }));
}

/** Fields of `[llm]` that Zeph has and zeph does not use. No Gonka provider has the model of its memory and skills (B31). */
const UNUSED_LLM_FIELDS = ["embedding_model", "response_cache_enabled", "response_cache_ttl_secs", "routing"];

/** One line for all that is kept for other programs: nobody has to do anything about it. */
function keptFields(records: readonly MergedRecord[], llm: LayeredTable): readonly ConfigWarning[] {
  const kept = [
    { place: "[llm]", table: llm, fields: UNUSED_LLM_FIELDS.filter((field) => llm.originOf([field]) !== undefined) },
    ...records.map(({ name, table }) => ({ place: `provider "${name}"`, table, fields: unusedFields(table.values) })),
  ].filter(({ fields }) => fields.length > 0);
  const [first] = kept;
  const origin = first?.table.originOf([first.fields[0] ?? ""]);
  if (origin === undefined) return [];
  const places = kept.map(({ place, fields }) => `${fields.join(", ")} of ${place}`);
  return [{ kind: "irrelevant_field", message: `kept and not used by zeph: ${places.join("; ")}`, origin }];
}

function toConfig(
  sections: Sections,
  providers: Config["providers"],
  flags: ConfigFlags,
  untrusted: UntrustedFile | undefined,
): Config {
  const { llm, timeouts, session, cost, vault } = sections;
  return {
    providers,
    untrusted,
    selectedProvider: flags.provider,
    fallback: llm.fallback,
    embeddingModel: llm.embedding_model,
    timeouts: {
      totalMs: timeouts.llm_request_timeout_secs * 1000,
      embeddingMs: timeouts.embedding_seconds * 1000,
    },
    providerPersistence: session.provider_persistence,
    keepConversations: session.keep_conversations,
    cost: { enabled: cost.enabled, maxDailyCents: cost.max_daily_cents },
    vaultBackend: vault.backend,
    brokers: sections.brokers.map(toConfiguredBroker),
    localGateway: sections.local_gateway,
  };
}

function withDefaults(checks: Partial<ConfigChecks> = {}): ConfigChecks {
  return {
    isAddress: checks.isAddress ?? ((text, prefix) => new RegExp(`^${prefix}1[02-9ac-hj-np-z]{38,}$`).test(text)),
    isLoopback: checks.isLoopback ?? ((url) => /^(?:localhost|127(?:\.\d+){3}|\[::1\])$/.test(new URL(url).hostname)),
  };
}

/** The whole configuration, checked, with every default filled in. */
interface Config {
  /** In the order they are tried in; a project file's come first. */
  readonly providers: readonly ProviderConfig[];
  /** A project file that could add providers, had the user agreed to it. */
  readonly untrusted: UntrustedFile | undefined;
  /** Asked for with `--provider`. */
  readonly selectedProvider: string | undefined;
  /** Names of the providers to go on with when the first cannot answer, in order. */
  readonly fallback: readonly string[];
  /** `[llm] embedding_model`, which Zeph's other parts use. Kept, and never sent to Gonka (B31). */
  readonly embeddingModel: string | undefined;
  readonly timeouts: {
    /** From the first attempt to the last byte. Default 600 000. */
    readonly totalMs: number;
    readonly embeddingMs: number;
  };
  /** Whether the provider chosen in a chat is remembered. Default true. */
  readonly providerPersistence: boolean;
  /** Whether conversations at the terminal are kept, for `zeph chats`. Default true. */
  readonly keepConversations: boolean;
  /** `maxDailyCents` 0 is no limit. */
  readonly cost: { readonly enabled: boolean; readonly maxDailyCents: number };
  /** `[vault] backend` or what overrides it; see `decideVaultBackend`. */
  readonly vaultBackend: string | undefined;
  /** The user's own `[[brokers]]`, in the form `mergeBrokers` takes. */
  readonly brokers: readonly ConfiguredBroker[];
  /** `[local_gateway]`, for `zeph serve` to read. */
  readonly localGateway: Readonly<Record<string, unknown>>;
}

type ConfiguredBroker = ReturnType<typeof toConfiguredBroker>;

/** A `[[brokers]]` table with the field names the program uses, without those that are not there. */
function toConfiguredBroker({ id, ...record }: Sections["brokers"][number]) {
  const fields = {
    name: record.name,
    baseURL: record.base_url,
    keyPrefixes: record.key_prefixes,
    keyEnv: record.key_env,
    dialects: record.dialects,
    signupUrl: record.signup_url,
    topUpUrl: record.top_up_url,
    money: record.money,
    pricingPath: record.pricing_path,
  };
  const given = Object.entries(fields).filter(([, value]) => value !== undefined);
  return { id: id.trim().toLowerCase(), ...(Object.fromEntries(given) as Given<typeof fields>) };
}

type Given<T> = { readonly [Name in keyof T]?: Exclude<T[Name], undefined> };

/** One value of the configuration that is in force, for `config show`. */
export interface Setting {
  /** As `llm.providers.gonkagate.model` or `timeouts.llm_seconds`. */
  readonly key: string;
  /** In the file's own terms; keys and tokens are masked. */
  readonly value: unknown;
  readonly origin: Origin;
}

const MASK = "[redacted]";

/** What a record has when it says nothing else; see `RunnableProvider`. */
const RECORD_DEFAULTS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  compatible: { max_tokens: 4096, max_retries: 3 },
  gonka: { max_tokens: 4096, max_retries: 3, gonka_chain_prefix: "gonka" },
};

/** The settings of a provider record: the fields zeph knows, and the defaults of those that are not there. */
function recordSettings(record: MergedRecord, requestTimeout: Setting | undefined): readonly Setting[] {
  const kind = recordKind(record.table.values.type);
  const key = (field: string) => `llm.providers.${record.name}.${field}`;
  const known = new Set([...Object.keys(RECORD_SCHEMAS[kind].fields), "model", "base_url"]);
  const given = Object.entries(record.table.values)
    .filter(([field, value]) => known.has(field) && value !== undefined)
    .map(([field, value]) => ({
      key: key(field),
      value: field === "default" ? record.isDefault : mask(field, value),
      origin: record.table.originOf([field]) ?? record.table.origin,
    }));
  const absent = Object.entries(RECORD_DEFAULTS[kind] ?? {})
    .filter(([field]) => record.table.values[field] === undefined)
    .map(([field, value]) => ({ key: key(field), value, origin: DEFAULT_ORIGIN }));
  const timeout =
    kind === "other" || record.table.values.request_timeout !== undefined || requestTimeout === undefined
      ? []
      : [{ ...requestTimeout, key: key("request_timeout") }];
  return [...given, ...absent, ...timeout];
}

const SHOWN_SECTIONS = ["llm", "timeouts", "session", "cost", "vault", "local_gateway"] as const;
const SHOWN_LLM_FIELDS = new Set(["fallback", "embedding_model"]);

/** The settings outside provider records, defaults included. */
function sectionSettings(sections: Sections, layered: (section: string) => LayeredTable): readonly Setting[] {
  const tables = SHOWN_SECTIONS.flatMap((section) =>
    Object.entries(sections[section])
      .filter(([field, value]) => value !== undefined && (section !== "llm" || SHOWN_LLM_FIELDS.has(field)))
      .map(([field, value]) => ({
        key: `${section}.${field}`,
        value: mask(field, value),
        origin: layered(section).originOf([field]) ?? DEFAULT_ORIGIN,
      })),
  );
  return tables.sort((a, b) => a.key.localeCompare(b.key, "en"));
}

function mask(field: string, value: unknown): unknown {
  if (isSecretField(field)) return MASK;
  // Some endpoints take a key in the query.
  if (typeof value === "string" && /^https?:/i.test(value)) return value.replace(/[?#].*$/, `?${MASK}`);
  if (Array.isArray(value)) return value.map((item) => mask("", item));
  if (!isTable(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, mask(name, inner)]));
}

interface ReadSections {
  /** `undefined` when there are faults. */
  readonly sections: Sections | undefined;
  /** One section as all layers together make it. */
  readonly layered: (section: string) => LayeredTable;
  readonly faults: readonly Fault[];
}

/** Everything outside provider records, merged from all layers, highest first, and checked as a whole. */
function readSections(layers: readonly Layer[]): ReadSections {
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

/** Fields that decide who gets prompts and keys. */
const DECIDING_FIELDS: readonly string[] = ["base_url", "gonka_nodes", "gonka_source_url", "api_key_env"];

/** What the user should know about a file as a whole. */
function fileWarnings(file: ConfigFile, layer: Layer): readonly ConfigWarning[] {
  return [...legacyForm(layer), ...(file.role === "project" ? projectEndpoints(file, layer) : [])];
}

/** A file in the old form alone configures nothing. */
function legacyFaults(layer: Layer): readonly Fault[] {
  return legacyForm(layer).map(({ origin }) => ({
    origin,
    place: "[llm]",
    message: "is in the form of old Zeph versions",
  }));
}

function legacyForm(layer: Layer): readonly ConfigWarning[] {
  const { llm } = layer.values;
  if (!isTable(llm)) return [];
  const field = ["provider", "compatible"].find((name) => llm[name] !== undefined);
  if (field === undefined) return [];
  const next =
    llm.providers === undefined ? "`zeph config migrate --in-place` brings it up to date" : "delete that part of it";
  const message = `[llm] ${field} is the form of old Zeph versions, which is not read; ${next}`;
  return [{ kind: "legacy_form", message, origin: layer.originOf(["llm", field]) }];
}

/** A project file comes with whatever was checked out, and could send somebody's key to another host. */
function projectEndpoints(file: ConfigFile, layer: Layer): readonly ConfigWarning[] {
  return tablesAt(layer, PROVIDERS).flatMap(({ values, address }) => {
    const field = DECIDING_FIELDS.find((name) => values[name] !== undefined);
    if (field === undefined) return [];
    const message = `the project file ${file.path} decides where provider "${effectiveName(values)}" sends its requests`;
    return [{ kind: "project_endpoint", message, origin: layer.originOf([...address, field]) }];
  });
}

/**
 * The command to type when a migration would mend all faults; `undefined` when it would not.
 *
 * @param faultsOf reads the same files with other texts
 */
async function migrationHint(
  files: ConfigFiles,
  faultsOf: (migrated: ConfigFiles) => readonly Fault[],
): Promise<string | undefined> {
  const file = fileToMigrate(files);
  if (file === undefined) return undefined;
  // Loaded here only: a sound config has no use for it.
  const { migrateConfig } = await import("./migrate.ts");
  try {
    const { text } = migrateConfig(file.text);
    const found = files.found.map((each) => (each === file ? { ...each, text } : each));
    if (faultsOf({ ...files, found }).length > 0) return undefined;
  } catch (error) {
    if (ZephError.is(error)) return undefined;
    throw error;
  }
  const { explicit } = files.paths;
  const named = explicit?.from === "flag --config" ? ` --config ${explicit.path}` : "";
  return `Run: zeph config migrate --in-place${named}`;
}

/** The file that set-up would write, or the only one that there is. */
export function fileToMigrate({ found, writePath }: ConfigFiles): ConfigFiles["found"][number] | undefined {
  return found.find(({ path }) => path === writePath) ?? found.find(({ fault }) => fault === undefined);
}
