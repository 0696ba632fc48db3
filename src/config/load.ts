import { ZephError } from "../errors/zeph-error.ts";
import { buildProviders, type ConfigChecks } from "./build-providers.ts";
import { checkLayer, effectiveName, schemaFaults, sectionPlace } from "./check-layer.ts";
import { type Config, toConfiguredBroker } from "./config.ts";
import { type ConfigWarning, type Fault, faultsError } from "./fault.ts";
import { isFault, readFileLayer } from "./file-layer.ts";
import { type ConfigFile, type ConfigFiles, findConfigFiles, type ReadTextFile } from "./find-config-files.ts";
import { isTable, type Layer, type LayeredTable, mergeTables, tablesAt } from "./layer.ts";
import { type MergedRecord, mergeRecords } from "./merge-records.ts";
import { DEFAULT_ORIGIN, type Origin } from "./origin.ts";
import { type ConfigFlags, environmentSections, flagSections } from "./overrides.ts";
import type { PathContext } from "./paths.ts";
import { type Sections, sectionsSchema } from "./schema.ts";
import { recordSettings, type Setting, sectionSettings } from "./settings.ts";

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
}

/**
 * Reads the configuration: flags over environment variables over the project file over the user file over defaults,
 * value by value. A missing file is no fault; that no provider is configured is noticed by `chooseProvider`.
 *
 * Throws `config_not_found` when a file named by the user is not there, `config_invalid` with all faults of all files
 * at once, each with its line.
 *
 * @example
 * ```ts
 * const { config } = await loadConfig({ env, homeDir, platform, cwd, readFile: readTextFile });
 * const provider = chooseProvider(config);
 * ```
 */
export async function loadConfig(options: LoadConfigOptions): Promise<LoadedConfig> {
  const { env, flags = {} } = options;
  const files = await findConfigFiles(options);
  const { explicit } = files.paths;
  if (explicit !== undefined && files.found.length === 0 && options.explicitFile !== "optional") {
    throw new ZephError("config_not_found", { detail: `${explicit.path} (${explicit.from}) does not exist` });
  }
  const read = files.found.map((file) => ({ file, layer: readFileLayer(file.path, file.text) }));
  const faults = read.flatMap(({ layer }) => (isFault(layer) ? [layer] : checkLayer(layer)));
  const fileLayers = read.flatMap(({ layer }) => (isFault(layer) ? [] : [layer]));
  const layers = [flagSections(flags), environmentSections(env), ...fileLayers];
  const layered = (section: string) => mergeSection(layers, section);

  const sections = readSections(layers, layered, faults);
  const useAliases = layered("vault").values.backend === "env";
  const records = mergeRecords({ files: fileLayers, env, flags, useAliases });
  const requestTimeoutMs = (sections?.timeouts.llm_seconds ?? 0) * 1000;
  const built = buildProviders(records, withDefaults(options.checks), requestTimeoutMs);
  faults.push(...built.faults, ...fallbackFaults(sections, records, layered("llm")));
  if (sections === undefined || faults.length > 0) throw faultsError(faults);

  const shown = sectionSettings(sections, layered);
  const timeout = shown.find((setting) => setting.key === "timeouts.llm_seconds");
  const settings = [...records.flatMap((record) => recordSettings(record, timeout)), ...shown];
  return {
    config: toConfig(sections, built.providers, flags),
    settings,
    origins: new Map(settings.map(({ key, origin }) => [key, origin])),
    warnings: [
      ...built.warnings,
      ...read.flatMap(({ file, layer }) => (isFault(layer) ? [] : fileWarnings(file, layer))),
    ],
    files,
  };
}

function mergeSection(layers: readonly Layer[], section: string): LayeredTable {
  const parts = layers.flatMap((layer) => {
    const values = layer.values[section];
    return isTable(values) ? [{ layer, address: [section], values }] : [];
  });
  return mergeTables(parts);
}

/** All sections of all layers as one table, read by the schema; faults are added to `faults`. */
function readSections(
  layers: readonly Layer[],
  layered: (section: string) => LayeredTable,
  faults: Fault[],
): Sections | undefined {
  const names = Object.keys(sectionsSchema.shape).filter((name) => name !== "brokers");
  const values = {
    ...Object.fromEntries(names.map((name) => [name, layered(name).values])),
    brokers: mergeBrokerTables(layers),
  };
  const { data } = sectionsSchema.safeParse(values);
  const originOf = ([section, ...path]: readonly PropertyKey[]) =>
    layered(String(section)).originOf(path) ?? DEFAULT_ORIGIN;
  const found = schemaFaults(sectionsSchema, values, sectionPlace, originOf);
  // Faults of [[brokers]] were found file by file, with their lines.
  faults.push(...found.filter((fault) => fault.origin.kind !== "default"));
  return data;
}

/** The `[[brokers]]` of all layers, merged by id. */
function mergeBrokerTables(layers: readonly Layer[]): readonly unknown[] {
  const parts = layers.flatMap((layer) => tablesAt(layer, ["brokers"]));
  const ids = new Set(parts.map((part) => part.values.id));
  return [...ids].map((id) => mergeTables(parts.filter((part) => part.values.id === id)).values);
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

/**
 * A project file comes with whatever was checked out. It may say where prompts and keys go, so the user is told.
 */
function fileWarnings(file: ConfigFile, layer: Layer): readonly ConfigWarning[] {
  const warnings: ConfigWarning[] = [];
  const llm = layer.values.llm;
  if (isTable(llm) && (llm.provider !== undefined || llm.compatible !== undefined)) {
    const origin = layer.originOf(["llm", llm.provider === undefined ? "compatible" : "provider"]);
    const message = "[llm] is in the form of old Zeph versions, which is not read; `zeph migrate-config` converts it";
    warnings.push({ kind: "legacy_form", message, origin });
  }
  if (file.role !== "project") return warnings;
  const deciding = ["base_url", "gonka_nodes", "gonka_source_url", "api_key_env"];
  for (const { values, address } of tablesAt(layer, ["llm", "providers"])) {
    const field = deciding.find((name) => values[name] !== undefined);
    if (field === undefined) continue;
    const message = `the project file ${file.path} decides where provider "${effectiveName(values)}" sends its requests`;
    warnings.push({ kind: "project_endpoint", message, origin: layer.originOf([...address, field]) });
  }
  return warnings;
}

function toConfig(sections: Sections, providers: Config["providers"], flags: ConfigFlags): Config {
  const { llm, timeouts, session, cost, vault } = sections;
  return {
    providers,
    selectedProvider: flags.provider,
    fallback: llm.fallback,
    embeddingModel: llm.embedding_model,
    responseCache: { enabled: llm.response_cache_enabled, ttlMs: llm.response_cache_ttl_secs * 1000 },
    timeouts: {
      totalMs: timeouts.llm_request_timeout_secs * 1000,
      embeddingMs: timeouts.embedding_seconds * 1000,
    },
    providerPersistence: session.provider_persistence,
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
