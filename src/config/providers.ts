import { Secret } from "../base/secret.ts";
import { ZephError } from "../errors.ts";
import {
  type ConfigWarning,
  type Fault,
  isTable,
  type Layer,
  type LayeredTable,
  mergeTables,
  type Table,
  type TablePart,
  tablesAt,
} from "./layer.ts";
import {
  aliasRecord,
  CHAIN_PREFIX,
  type CompatibleRecord,
  type ConfigFlags,
  compatibleRecord,
  effectiveName,
  environmentRecord,
  flagRecord,
  type GonkaRecord,
  gonkaRecord,
  KNOWN_TYPES,
  PROVIDERS,
  RECORD_SCHEMAS,
  type RecordOverride,
  recordKind,
  recordPlace,
  schemaFaults,
} from "./schema.ts";
import {
  apiKeyNames,
  GONKA_ADDRESS,
  GONKA_PRIVATE_KEY,
  nativeSecretNames,
  type SecretNames,
  secretNameFor,
} from "./secrets.ts";
import { readShape } from "./shape.ts";
import { trustCommand, type UntrustedFile } from "./trust.ts";

/** What a provider record says, whatever its kind. */
interface ProviderBase {
  /** Unique in a config; shown in messages, usage and logs. */
  readonly name: string;
  /** Used when no other is asked for. Exactly one provider has it, unless there is none at all. */
  readonly isDefault: boolean;
}

interface RunnableProvider extends ProviderBase {
  /** Exact id of the endpoint's list; absent until one was chosen. */
  readonly model: string | undefined;
  /** What `zeph serve` takes where a request for embeddings names no model. */
  readonly embeddingModel: string | undefined;
  /** Longest answer to ask for, tokens. Default 4096. */
  readonly maxTokens: number;
  /** Attempts in all, the first included (`max_retries` in the file). Default 3. */
  readonly maxAttempts: number;
  /** Per attempt, until the response headers. Default `[timeouts] llm_seconds`, which is 120 s. */
  readonly requestTimeoutMs: number;
  /** Parallel calls; `undefined` is no limit. */
  readonly maxConcurrent: number | undefined;
  readonly reasoningEffort: string | undefined;
  /** Used when the endpoint publishes no price. `undefined` is unknown, which is not 0. */
  readonly pricing: ConfiguredPricing | undefined;
  /** Tokens; overrides the model list. */
  readonly contextLength: number | undefined;
}

interface ConfiguredPricing {
  readonly promptUsdPer1M: number | undefined;
  readonly completionUsdPer1M: number | undefined;
}

/** A broker, or any OpenAI-compatible endpoint with a Bearer key. */
export interface CompatibleProvider extends RunnableProvider {
  readonly type: "compatible";
  /** As written in the config. */
  readonly baseURL: string;
  readonly apiKeyNames: SecretNames;
  /** A key written into the config itself. */
  readonly inlineApiKey: Secret | undefined;
}

/** Requests signed with the user's own key. */
export interface GonkaProvider extends RunnableProvider {
  readonly type: "gonka";
  /** May be empty when there is a `sourceUrl`. */
  readonly nodes: readonly GonkaNode[];
  readonly sourceUrl: string | undefined;
  /** Address prefix of the network. Default `gonka`. */
  readonly chainPrefix: string;
  /** What a discovered list of nodes must agree with. Empty: it is taken as far as it agrees with itself. */
  readonly trust: {
    readonly chainId?: string | undefined;
    readonly headerHash?: string | undefined;
    readonly validatorsHash?: string | undefined;
    /** `gonka_verify_proof`: true is `required`, false is `none`; absent, a proof that is offered must hold. */
    readonly proof?: "required" | "none" | undefined;
  };
  /** `signed`: signed requests, as networks before v0.2.14 take them. Default. `devshard`: paid from an escrow. */
  readonly access: "signed" | "devshard";
  /** Of each escrow, ngonka; the network's least where nothing is said. */
  readonly devshardAmount: bigint | undefined;
  /** Escrows that may be opened in 24 hours without asking. Absent: none. */
  readonly devshardAutoOpen: number | undefined;
  readonly privateKeyNames: SecretNames;
  readonly addressNames: SecretNames;
}

interface GonkaNode {
  readonly url: string;
  readonly address: string;
  readonly name: string | undefined;
}

/** A record for another program. Kept, shown, not run. */
interface OtherProvider extends ProviderBase {
  readonly type: "other";
  readonly declaredType: string;
}

export type ProviderConfig = CompatibleProvider | GonkaProvider | OtherProvider;

/** What a record does not say itself. */
interface ProviderContext {
  readonly name: string;
  readonly isDefault: boolean;
  readonly requestTimeoutMs: number;
}

function toCompatibleProvider(record: CompatibleRecord, baseURL: string, context: ProviderContext): CompatibleProvider {
  return {
    type: "compatible",
    ...toRunnable(record, context),
    baseURL,
    apiKeyNames: apiKeyNames(context.name, { configured: record.api_key_env }),
    inlineApiKey: record.api_key === undefined ? undefined : new Secret(record.api_key),
  };
}

function toGonkaProvider(record: GonkaRecord, context: ProviderContext): GonkaProvider {
  return {
    type: "gonka",
    ...toRunnable(record, context),
    nodes: (record.gonka_nodes ?? []).map(({ url, address, name }) => ({ url, address, name })),
    sourceUrl: record.gonka_source_url,
    chainPrefix: record.gonka_chain_prefix ?? "gonka",
    trust: {
      chainId: record.gonka_chain_id,
      headerHash: record.gonka_trusted_header_hash,
      validatorsHash: record.gonka_trusted_validators_hash,
      proof: record.gonka_verify_proof === undefined ? undefined : record.gonka_verify_proof ? "required" : "none",
    },
    access: record.access ?? "signed",
    devshardAmount: record.devshard_amount,
    devshardAutoOpen: record.devshard_auto_open,
    privateKeyNames: nativeSecretNames(record.api_key_env ?? GONKA_PRIVATE_KEY),
    addressNames: nativeSecretNames(GONKA_ADDRESS),
  };
}

function toRunnable(record: CompatibleRecord | GonkaRecord, context: ProviderContext): RunnableProvider {
  const { pricing } = record;
  return {
    name: context.name,
    isDefault: context.isDefault,
    model: record.model,
    embeddingModel: record.embedding_model,
    maxTokens: record.max_tokens ?? 4096,
    maxAttempts: record.max_retries ?? 3,
    requestTimeoutMs: record.request_timeout ?? context.requestTimeoutMs,
    maxConcurrent: record.max_concurrent,
    reasoningEffort: record.reasoning_effort,
    pricing: pricing && {
      promptUsdPer1M: pricing.prompt_usd_per_1m,
      completionUsdPer1M: pricing.completion_usd_per_1m,
    },
    contextLength: record.context_length,
  };
}

/** What {@link chooseProvider} needs of a configuration. */
interface ProviderChoices {
  readonly providers: readonly ProviderConfig[];
  /** Asked for with `--provider`. */
  readonly selectedProvider: string | undefined;
  readonly untrusted?: UntrustedFile | undefined;
}

/**
 * The provider to use: the one of this name, else the one asked for with `--provider`, else the default one. Throws
 * `config_not_found` when there is none at all, `untrusted_project_file` when only such a file has it,
 * `provider_not_found`, or `provider_not_supported` for records that are for another program.
 */
export function chooseProvider(config: ProviderChoices, name?: string): CompatibleProvider | GonkaProvider {
  const { providers } = config;
  const wanted = name ?? config.selectedProvider;
  requireAgreement(config, wanted);
  if (providers.length === 0) throw new ZephError("config_not_found", { detail: "no provider is configured" });
  const chosen =
    wanted === undefined
      ? providers.find((provider) => provider.isDefault)
      : providers.find((provider) => provider.name === wanted);
  if (chosen === undefined) {
    const names = providers.map((provider) => provider.name).join(", ");
    throw new ZephError("provider_not_found", { detail: `"${wanted}"; there are: ${names}` });
  }
  if (chosen.type === "other") {
    throw new ZephError("provider_not_supported", { detail: `"${chosen.name}" is of type ${chosen.declaredType}` });
  }
  return chosen;
}

/** Only the folder's file has what is wanted, and nobody has agreed to that file. */
function requireAgreement({ providers, untrusted }: ProviderChoices, wanted: string | undefined): void {
  if (untrusted === undefined || untrusted.providerNames.length === 0) return;
  const isThere = wanted === undefined ? providers.length > 0 : providers.some(({ name }) => name === wanted);
  if (isThere || (wanted !== undefined && !untrusted.providerNames.includes(wanted))) return;
  throw new ZephError("untrusted_project_file", {
    detail: untrusted.path,
    hint: `Look at the file. If it is yours, run: ${trustCommand(untrusted.path)}`,
  });
}

/** Knowledge that lives in other layers and is passed in. */
export interface ConfigChecks {
  /** Is this a bech32 address with this prefix and a good checksum? */
  readonly isAddress: IsAddress;
  /** Is this address on this computer? */
  readonly isLoopback: (url: string) => boolean;
}

interface BuiltProviders {
  /** Complete only when there are no faults. */
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
  return {
    providers: records.flatMap((record) => {
      const { name, isDefault } = record;
      return toProvider(record, { name, isDefault, requestTimeoutMs }) ?? [];
    }),
    faults: [
      ...records.flatMap((record, index) => recordFaults(record, index, checks.isAddress)),
      ...secretNameClashes(records),
    ],
    warnings: records.flatMap((record, index) => recordWarnings(record, index, checks.isLoopback)),
  };
}

/** `undefined` for a record with faults. */
function toProvider({ table }: MergedRecord, context: ProviderContext): ProviderConfig | undefined {
  const { values } = table;
  switch (recordKind(values.type)) {
    case "other":
      return { type: "other", name: context.name, isDefault: context.isDefault, declaredType: String(values.type) };
    case "compatible": {
      const { data } = readShape(compatibleRecord, values);
      return data?.base_url === undefined ? undefined : toCompatibleProvider(data, data.base_url, context);
    }
    case "gonka": {
      const { data } = readShape(gonkaRecord, values);
      return data === undefined ? undefined : toGonkaProvider(data, context);
    }
  }
}

/** A provider record as all layers together make it. */
export interface MergedRecord {
  readonly name: string;
  readonly isDefault: boolean;
  readonly table: LayeredTable;
}

interface MergeRecordsOptions {
  /** Highest precedence first. */
  readonly files: readonly Layer[];
  /** A file above all others that may change records and neither add nor choose any. */
  readonly restricted?: Layer | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly flags: ConfigFlags;
  /** Whether variables of other programs count. */
  readonly useAliases: boolean;
}

/**
 * Merges the records of all layers by name, field by field. A record of another type is another thing: it replaces the
 * lower one whole. The records of higher files come first. Variables change the default record, flags the one in use.
 */
export function mergeRecords({
  files,
  restricted,
  env,
  flags,
  useAliases,
}: MergeRecordsOptions): readonly MergedRecord[] {
  const parts = groupByName(files);
  if (restricted !== undefined) putAbove(parts, restricted);
  const fromEnvironment = environmentRecord(env);
  const fromFlags = flagRecord(flags);
  if (parts.size === 0) addRecordOfOverrides(parts, fromFlags, fromEnvironment);
  const defaultName = findDefault(parts, files);
  const selectedName = flags.provider ?? defaultName;
  return [...parts].map(([name, fileParts]) => {
    const own = mergeTables(fileParts).values;
    const alias = useAliases ? aliasRecord(env, { name, type: own.type }) : undefined;
    const overrides = [
      ...(name === selectedName ? [toPart(fromFlags)] : []),
      ...(name === defaultName ? [toPart(fromEnvironment)] : []),
      ...(alias === undefined ? [] : [toPart(alias)]),
    ].filter((part) => Object.keys(part.values).length > 0);
    return { name, isDefault: name === defaultName, table: withFileOrigin(overrides, fileParts) };
  });
}

function groupByName(files: readonly Layer[]): Map<string, TablePart[]> {
  const groups = new Map<string, TablePart[]>();
  for (const part of files.flatMap((layer) => tablesAt(layer, PROVIDERS))) {
    const name = effectiveName(part.values);
    if (name === undefined) continue;
    const group = groups.get(name) ?? [];
    const [highest] = group;
    if (highest === undefined || highest.values.type === part.values.type) group.push(part);
    groups.set(name, group);
  }
  return groups;
}

function putAbove(parts: Map<string, TablePart[]>, restricted: Layer): void {
  for (const part of tablesAt(restricted, PROVIDERS)) {
    const { name: _name, type: _type, ...values } = part.values;
    parts.get(effectiveName(part.values) ?? "")?.unshift({ ...part, values });
  }
}

/** With no file at all, an address in a flag or variable makes a provider by itself. */
function addRecordOfOverrides(parts: Map<string, TablePart[]>, ...overrides: readonly RecordOverride[]): void {
  const withAddress = overrides.find((override) => override.values.base_url !== undefined);
  if (withAddress === undefined) return;
  const type = overrides.find((override) => typeof override.values.type === "string")?.values.type ?? "compatible";
  const values = { type, name: type };
  parts.set(String(type), [{ ...toPart(withAddress), values }]);
}

/** The record with `default = true` in the highest file that has one, else the first of all. */
function findDefault(parts: ReadonlyMap<string, readonly TablePart[]>, files: readonly Layer[]): string | undefined {
  for (const layer of files) {
    for (const [name, group] of parts) {
      const says = group.find((part) => part.values.default !== undefined);
      if (says?.layer === layer && says.values.default === true) return name;
    }
  }
  return [...parts.keys()][0];
}

function toPart(override: RecordOverride): TablePart {
  const originOf = ([field]: readonly PropertyKey[]) => override.originOf(String(field));
  return { layer: { values: override.values, originOf }, address: [], values: override.values };
}

/** A record as a whole stands where its file says, even when every field of it is overridden. */
function withFileOrigin(overrides: readonly TablePart[], fileParts: readonly TablePart[]): LayeredTable {
  const merged = mergeTables([...overrides, ...fileParts]);
  return { ...merged, origin: mergeTables(fileParts).origin };
}

type IsAddress = (text: string, prefix: string) => boolean;

type Note = (field: string, message: string, path?: readonly PropertyKey[]) => Fault;

/** All that is wrong with one record, as all layers together make it. */
function recordFaults({ table }: MergedRecord, index: number, isAddress: IsAddress): readonly Fault[] {
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
function secretNameClashes(records: readonly MergedRecord[]): readonly Fault[] {
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

/** As the network takes them; Zeph's own values are among them. */
const REASONING_EFFORTS: readonly string[] = ["none", "minimal", "low", "medium", "high", "xhigh"];

/** What is odd about a record without keeping it from being used. */
function recordWarnings(
  { table }: MergedRecord,
  index: number,
  isLoopback: ConfigChecks["isLoopback"],
): readonly ConfigWarning[] {
  const kind = recordKind(table.values.type);
  const place = recordPlace(table.values, index);
  const warn = (warning: ConfigWarning["kind"], field: string, words: string): ConfigWarning => ({
    kind: warning,
    message: `${place}, ${field} ${words}`,
    origin: table.originOf([field]) ?? table.origin,
  });
  const warnings: ConfigWarning[] = [];
  const inlineKey = table.values.api_key;
  if (kind === "compatible" && typeof inlineKey === "string" && inlineKey.trim() !== "") {
    const store = "move it into the vault with `zeph vault import`";
    warnings.push(warn("inline_key", "api_key", `holds a key in plain text; ${store}`));
  }
  const effort = table.values.reasoning_effort;
  if (kind !== "other" && typeof effort === "string" && !REASONING_EFFORTS.includes(effort.trim().toLowerCase())) {
    const words = `is none of ${REASONING_EFFORTS.join(", ")}; it is not sent`;
    if (effort.trim() !== "") warnings.push(warn("irrelevant_field", "reasoning_effort", words));
  }
  return [
    ...warnings,
    ...insecureUrlFields(table, isLoopback).map((field) => warn("insecure_url", field, INSECURE_WORDS[kind])),
  ];
}

const INSECURE_WORDS = {
  compatible: "is plain http to another computer: zeph does not send the key there; use https",
  gonka: "has plain http addresses: prompts and answers travel in clear; prefer https",
  other: "",
} as const;

/** The fields with an address to which a key or a prompt would travel in clear. */
function insecureUrlFields(table: LayeredTable, isLoopback: (url: string) => boolean): readonly string[] {
  const { values } = table;
  const isInsecure = (url: unknown) =>
    typeof url === "string" && /^http:/i.test(url) && URL.canParse(url) && !isLoopback(url);
  const kind = recordKind(values.type);
  if (kind === "compatible") return isInsecure(values.base_url) ? ["base_url"] : [];
  const nodes = kind === "gonka" && Array.isArray(values.gonka_nodes) ? values.gonka_nodes : [];
  return nodes.some((node: unknown) => isTable(node) && isInsecure(node.url)) ? ["gonka_nodes"] : [];
}

/** The nodes that a provider of the config names, as the reader of its chain takes them: its source first. */
export function chainUrls(named: {
  readonly sourceUrl: string | undefined;
  readonly nodes: readonly { readonly url: string }[];
}): readonly string[] {
  const urls = named.nodes.map(({ url }) => url);
  return named.sourceUrl === undefined ? urls : [named.sourceUrl, ...urls];
}
