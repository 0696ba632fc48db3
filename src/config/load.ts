import { ZephError } from "../errors/zeph-error.ts";
import { buildProviders, type ConfigChecks } from "./build-providers.ts";
import { checkLayer } from "./check-layer.ts";
import { type Config, toConfiguredBroker } from "./config.ts";
import { type ConfigWarning, describeFault, type Fault, faultsError } from "./fault.ts";
import { isFault, readFileLayer } from "./file-layer.ts";
import { fileWarnings, legacyFaults } from "./file-warnings.ts";
import { type ConfigFile, type ConfigFiles, findConfigFiles } from "./find-config-files.ts";
import type { Layer, LayeredTable } from "./layer.ts";
import { type MergedRecord, mergeRecords } from "./merge-records.ts";
import { migrationHint } from "./migration-hint.ts";
import { DEFAULT_ORIGIN, type Origin } from "./origin.ts";
import { type ConfigFlags, environmentSections, flagSections } from "./overrides.ts";
import type { PathContext } from "./paths.ts";
import { readSections } from "./read-sections.ts";
import type { ReadTextFile } from "./read-text-file.ts";
import type { Sections } from "./schema.ts";
import { recordSettings, type Setting, sectionSettings } from "./settings.ts";
import { describeUntrusted, restrictLayer, type UntrustedFile, unusable } from "./untrusted-file.ts";

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
    warnings: [...built.warnings, ...warnings, ...unusedFields(layered("llm"))],
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

/** Fields of `[llm]` that Zeph has and zeph does not use, and what happens instead. */
const UNUSED_FIELDS: Readonly<Record<string, string>> = {
  // Zeph's memory and skills use it; no Gonka provider has that model (B31).
  embedding_model: "a provider's own embedding_model is",
  response_cache_enabled: "every question is asked",
  response_cache_ttl_secs: "every question is asked",
  routing: "providers are asked in the order of [llm] fallback",
};

function unusedFields(llm: LayeredTable): readonly ConfigWarning[] {
  return Object.entries(UNUSED_FIELDS).flatMap(([field, instead]): ConfigWarning[] => {
    const origin = llm.originOf([field]);
    const message = `[llm] ${field} is kept and not used by zeph; ${instead}`;
    return origin === undefined ? [] : [{ kind: "irrelevant_field", message, origin }];
  });
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
