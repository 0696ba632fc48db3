import { ZephError } from "../errors.ts";
import {
  DEFAULT_ORIGIN,
  type Fault,
  isTable,
  type Layer,
  type Origin,
  type Table,
  type TablePart,
  tablesAt,
} from "./layer.ts";
import {
  changed,
  checked,
  flag,
  type Infer,
  list,
  namedValues,
  number,
  oneOf,
  optional,
  optionalText,
  readShape,
  type Shape,
  table,
  text,
  textLike,
  valueShape,
  wholeNumber,
  withDefault,
} from "./shape.ts";

/** Kinds of provider Zeph knows. zeph runs `compatible` and `gonka`, and keeps the others. */
export const KNOWN_TYPES: readonly string[] = [
  "ollama",
  "claude",
  "openai",
  "gemini",
  "candle",
  "compatible",
  "gonka",
  "cocoon",
];

const count = wholeNumber(1);
const amount = number("must be a number", (value) => (value < 0 ? "must not be negative" : undefined));
const seconds = number("must be a number of seconds", (value) => (value > 0 ? undefined : "must be more than 0"));

const TIME = 'must be a time such as "30s", or a number of seconds';
const GNK = "must be an amount of GNK, such as 5 or 2.5";
const isTextOrNumber = (value: unknown): value is number | string =>
  typeof value === "string" || typeof value === "number";

/** `"30s"`, `"500ms"`, `"2m"` or a number of seconds, as milliseconds. */
const durationMs = changed(valueShape(isTextOrNumber, TIME), (value, fault) => {
  const [, count, unit = "s"] = /^(\d+(?:\.\d+)?)\s*(ms|s|m)?$/.exec(String(value).trim()) ?? [];
  const milliseconds = Number(count) * (unit === "ms" ? 1 : unit === "s" ? 1000 : 60_000);
  if (!(milliseconds > 0)) fault(TIME);
  return Math.round(milliseconds);
});

/** GNK as people write it, as ngonka: 9 decimals at most. */
const gnk = changed(valueShape(isTextOrNumber, GNK), (value, fault) => {
  const [, whole = "0", decimals = ""] = /^(\d{1,10})(?:\.(\d{1,9}))?$/.exec(String(value).trim()) ?? [];
  const ngonka = BigInt(whole + decimals.padEnd(9, "0"));
  if (ngonka <= 0n) fault(GNK);
  return ngonka;
});

const httpUrl = checked(text, httpUrlFault);

function httpUrlFault(value: string): string | undefined {
  let url: URL;
  try {
    url = new URL(value);
  } catch {
    return "is not an address such as https://host.example/v1";
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") return "must begin with http:// or https://";
  if (url.username !== "" || url.password !== "") return "must not hold a user name or password";
  return undefined;
}

/** The value of a key in this place is a common slip, and would then be shown by every program that reads the file. */
const secretName = textLike(
  /^(?:ZEPH_\S+|[A-Za-z_][A-Za-z0-9_]*)$/,
  "must be the name of a secret, such as ZEPH_COMPATIBLE_GONKAGATE_API_KEY, not the key itself",
);

const hash = textLike(
  /^(?:[0-9a-fA-F]{64}|[A-Za-z0-9+/]{43}=)$/,
  "must be a hash: 64 hex digits, or 44 characters of base64",
);

const node = table({ url: httpUrl, address: text, name: optionalText });

const pricing = table({ prompt_usd_per_1m: optional(amount), completion_usd_per_1m: optional(amount) });

/** Fields of a record that both kinds use. */
const sharedFields = {
  type: text,
  name: optional(text),
  model: optionalText,
  api_key: optionalText,
  api_key_env: optional(secretName),
  max_tokens: optional(count),
  embedding_model: optionalText,
  default: optional(flag),
  max_concurrent: optional(count),
  reasoning_effort: optionalText,
  request_timeout: optional(durationMs),
  max_retries: optional(count),
  pricing: optional(pricing),
  context_length: optional(count),
};

export const compatibleRecord = table({ ...sharedFields, base_url: optional(httpUrl) });

/** The part of an address before its `1`. */
export const CHAIN_PREFIX = /^[a-z][a-z0-9]{0,82}$/;

export const gonkaRecord = table({
  ...sharedFields,
  gonka_nodes: optional(list(node, "must be tables [[llm.providers.gonka_nodes]]")),
  gonka_chain_prefix: optional(textLike(CHAIN_PREFIX, "must be an address prefix in lower case, such as gonka")),
  gonka_source_url: optional(httpUrl),
  gonka_verify_proof: optional(flag),
  gonka_chain_id: optional(text),
  gonka_trusted_header_hash: optional(hash),
  gonka_trusted_validators_hash: optional(hash),
  access: optional(oneOf(["signed", "devshard"], "must be signed or devshard")),
  devshard_amount: optional(gnk),
  devshard_auto_open: optional(count),
});

/** A record zeph keeps and does not run: whatever Zeph says is in it is right. */
const otherRecord = table({ type: text, name: optional(text), default: optional(flag) });

export const RECORD_SCHEMAS = { compatible: compatibleRecord, gonka: gonkaRecord, other: otherRecord } as const;

type RecordKind = keyof typeof RECORD_SCHEMAS;

export function recordKind(type: unknown): RecordKind {
  return type === "compatible" || type === "gonka" ? type : "other";
}

/** Fields of Zeph's that zeph does not use, and what zeph itself used before. */
const ZEPH_FIELD =
  /^(?:embed|vision|instruction_file|vision_model|stt_model|thinking|thinking_level|thinking_budget|include_thoughts|server_compaction|enable_extended_context|prompt_cache_ttl|candle|gonka_signing_phase|cocoon_.*)$/;

/** The fields of a record that are kept for other programs: Zeph's, and those that only the other kind has a use for. */
export function unusedFields(values: Table): readonly string[] {
  const kind = recordKind(values.type);
  if (kind === "other") return [];
  const isForeign = (field: string) =>
    kind === "gonka"
      ? field === "base_url" || field === "api_key"
      : field in gonkaRecord.fields && !(field in compatibleRecord.fields);
  return Object.keys(values).filter((field) => ZEPH_FIELD.test(field) || isForeign(field));
}

const dialect = oneOf(
  ["chat", "completions", "messages", "responses"],
  "must be one of chat, completions, messages, responses",
);

const texts = list(text, "must be a list of texts");

const brokerRecord = table({
  id: text,
  name: optional(text),
  base_url: optional(httpUrl),
  key_prefixes: optional(texts),
  key_env: optional(secretName),
  dialects: optional(list(dialect, "must be a list")),
  signup_url: optional(httpUrl),
  top_up_url: optional(httpUrl),
  money: optional(text),
  pricing_path: optional(text),
});

/** Everything of a file but its provider records. Unknown sections and fields are nobody's fault. */
export const sectionsSchema = table({
  llm: withDefault(
    table({
      fallback: withDefault(texts, []),
      embedding_model: optionalText,
    }),
    {},
  ),
  timeouts: withDefault(
    table({
      llm_seconds: withDefault(seconds, 120),
      llm_request_timeout_secs: withDefault(seconds, 600),
      embedding_seconds: withDefault(seconds, 30),
    }),
    {},
  ),
  session: withDefault(
    table({ provider_persistence: withDefault(flag, true), keep_conversations: withDefault(flag, true) }),
    {},
  ),
  cost: withDefault(table({ enabled: withDefault(flag, false), max_daily_cents: withDefault(amount, 0) }), {}),
  vault: withDefault(table({ backend: optionalText }), {}),
  // Zeph's own [gateway] and [serve] mean something else, hence the longer name.
  local_gateway: withDefault(table({}), {}),
  brokers: withDefault(list(brokerRecord, "must be tables [[brokers]]"), []),
});

export type Sections = Infer<typeof sectionsSchema>;
export type CompatibleRecord = Infer<typeof compatibleRecord>;
export type GonkaRecord = Infer<typeof gonkaRecord>;

const trimmed = changed(text, (value) => value.trim());
const serveTexts = list(trimmed, "must be a list of texts");

const gatewayShape = table({
  port: optional(wholeNumber(0, 65_535)),
  host: optional(trimmed),
  provider: optional(trimmed),
  model: optional(trimmed),
  aliases: optional(namedValues(trimmed, "must be a table of names")),
  cors: optional(serveTexts),
  allow_hosts: optional(serveTexts),
  always_stream: optional(flag),
  clean_up: optional(flag),
});

/** The table `[local_gateway]` of a config. */
export type GatewaySettings = Partial<ReturnType<typeof readGatewaySettings>>;

/** Reads `[local_gateway]`; fields it does not know are nobody's fault. Throws `config_invalid` with every fault at once. */
export function readGatewaySettings(given: Readonly<Record<string, unknown>>) {
  const { data, issues } = readShape(gatewayShape, given);
  if (data === undefined) {
    const faults = issues.map(({ path, message }) => `${path.join(".")} ${message}`);
    throw new ZephError("config_invalid", { detail: `[local_gateway] ${faults.join("; ")}` });
  }
  const { port, host, provider, model, aliases, cors } = data;
  const { allow_hosts: allowHosts, always_stream: alwaysStream, clean_up: cleanUp } = data;
  return { port, host, provider, model, aliases, cors, allowHosts, alwaysStream, cleanUp };
}

/** Flags that change the configuration, as given on the command line. */
export interface ConfigFlags {
  /** Config file; relative paths start at the working folder. */
  readonly config?: string | undefined;
  /** Name of the provider to use. */
  readonly provider?: string | undefined;
  readonly model?: string | undefined;
  readonly vaultBackend?: string | undefined;
}

type Environment = Readonly<Record<string, string | undefined>>;

const SECTION_VARIABLES = [
  ["ZEPH_VAULT_BACKEND", "vault", "backend"],
  ["ZEPH_LLM_EMBEDDING_MODEL", "llm", "embedding_model"],
  ["ZEPH_TIMEOUT_LLM", "timeouts", "llm_seconds"],
  ["ZEPH_TIMEOUT_LLM_REQUEST", "timeouts", "llm_request_timeout_secs"],
  ["ZEPH_TIMEOUT_EMBEDDING", "timeouts", "embedding_seconds"],
] as const;

/** The settings outside provider records that variables give. */
export function environmentSections(env: Environment): Layer {
  return toLayer(
    SECTION_VARIABLES.map(([name, section, field]) => {
      const text = given(env[name]);
      return { section, field, value: section === "timeouts" ? toNumber(text) : text, origin: { kind: "env", name } };
    }),
  );
}

/** The settings outside provider records that flags give. */
export function flagSections(flags: ConfigFlags): Layer {
  const origin = { kind: "flag", name: "--vault" } as const;
  return toLayer([{ section: "vault", field: "backend", value: given(flags.vaultBackend), origin }]);
}

function toLayer(
  given: readonly {
    readonly section: string;
    readonly field: string;
    readonly value: unknown;
    readonly origin: Origin;
  }[],
): Layer {
  const values: Record<string, Record<string, unknown>> = {};
  const origins = new Map<string, Origin>();
  for (const { section, field, value, origin } of given) {
    if (value === undefined) continue;
    values[section] = { ...values[section], [field]: value };
    origins.set(`${section}.${field}`, origin);
  }
  return { values, originOf: (address) => origins.get(address.slice(0, 2).join(".")) ?? DEFAULT_ORIGIN };
}

/** Fields of one provider record from elsewhere than a file. */
export interface RecordOverride {
  readonly values: Table;
  readonly originOf: (field: string) => Origin;
}

/** `ZEPH_LLM_*`: they change the default provider, or make one where there is none. */
export function environmentRecord(env: Environment): RecordOverride {
  return toRecordOverride("env", [
    ["type", "ZEPH_LLM_PROVIDER", given(env.ZEPH_LLM_PROVIDER)],
    ["base_url", "ZEPH_LLM_BASE_URL", given(env.ZEPH_LLM_BASE_URL)],
    ["model", "ZEPH_LLM_MODEL", given(env.ZEPH_LLM_MODEL)],
  ]);
}

/** Variables of other programs. They count under the `env` backend only, and below the variables of our own. */
export function aliasRecord(env: Environment, provider: { readonly name: unknown; readonly type: unknown }) {
  if (provider.type === "gonka") {
    return toRecordOverride("env", [
      ["gonka_source_url", "GONKA_SOURCE_URL", given(env.GONKA_SOURCE_URL)],
      ["gonka_nodes", "GONKA_ENDPOINTS", toNodes(given(env.GONKA_ENDPOINTS))],
      ["gonka_verify_proof", "GONKA_VERIFY_PROOF", toBoolean(given(env.GONKA_VERIFY_PROOF))],
    ]);
  }
  if (provider.name !== "gonkagate") return toRecordOverride("env", []);
  return toRecordOverride("env", [["model", "GONKAGATE_MODEL", given(env.GONKAGATE_MODEL)]]);
}

/** `--model` changes the provider that is used. */
export function flagRecord(flags: ConfigFlags): RecordOverride {
  return toRecordOverride("flag", [["model", "--model", given(flags.model)]]);
}

function toRecordOverride(
  kind: "env" | "flag",
  fields: readonly (readonly [field: string, name: string, value: unknown])[],
): RecordOverride {
  const present = fields.filter(([, , value]) => value !== undefined);
  const names = new Map(present.map(([field, name]) => [field, name]));
  return {
    values: Object.fromEntries(present.map(([field, , value]) => [field, value])),
    originOf: (field) => ({ kind, name: names.get(field) ?? [...names.values()].join(", ") }),
  };
}

/** `url;address,url;address`, as gonka-ai/gonka-openai reads it. */
function toNodes(text: string | undefined): readonly Table[] | undefined {
  return text?.split(",").map((pair) => {
    const [url, address] = pair.split(";").map((part) => part.trim());
    return { url, address };
  });
}

/** What cannot be converted stays text, so that the schema complains about it like about any other value. */
function toBoolean(text: string | undefined): unknown {
  if (text === undefined) return undefined;
  if (/^(?:true|1|yes|on)$/i.test(text)) return true;
  return /^(?:false|0|no|off)$/i.test(text) ? false : text;
}

function toNumber(text: string | undefined): unknown {
  return Number.isFinite(Number(text)) ? Number(text) : text;
}

function given(text: string | undefined): string | undefined {
  return text === undefined || text.trim() === "" ? undefined : text.trim();
}

/** The address of the provider records in a file. */
export const PROVIDERS = ["llm", "providers"] as const;

/** All that can be said about one file by itself: shapes, names that come twice, two defaults. */
export function checkLayer(layer: Layer): readonly Fault[] {
  const records = tablesAt(layer, PROVIDERS);
  return [
    ...checkShape(layer),
    ...schemaFaults(sectionsSchema, layer.values, sectionPlace, (path) => layer.originOf(path)),
    ...records.flatMap(checkRecordPart),
    ...checkNames(records),
    ...checkDefaults(records),
  ];
}

function checkShape(layer: Layer): readonly Fault[] {
  const llm = layer.values.llm;
  const providers = isTable(llm) ? llm.providers : undefined;
  if (providers === undefined || (Array.isArray(providers) && providers.every(isTable))) return [];
  const origin = layer.originOf(PROVIDERS);
  return [{ origin, place: "", field: "llm.providers", message: "must be tables [[llm.providers]]" }];
}

function checkRecordPart({ layer, address, values }: TablePart): readonly Fault[] {
  const schema = RECORD_SCHEMAS[recordKind(values.type)];
  return schemaFaults(
    schema,
    values,
    () => recordPlace(values, Number(address.at(-1))),
    (path) => layer.originOf([...address, ...path]),
  );
}

function checkNames(records: readonly TablePart[]): readonly Fault[] {
  const first = new Map<string, TablePart>();
  return records.flatMap((record) => {
    const name = effectiveName(record.values);
    const earlier = name === undefined ? undefined : first.get(name);
    if (name !== undefined && earlier === undefined) first.set(name, record);
    if (earlier === undefined) return [];
    const origin = record.layer.originOf([...record.address, "name"]);
    const line = lineWords(earlier.layer.originOf([...earlier.address, "name"]));
    return [{ origin, place: `provider "${name}"`, field: "name", message: `is used twice${line}` }];
  });
}

function checkDefaults(records: readonly TablePart[]): readonly Fault[] {
  const [first, ...more] = records.filter((record) => record.values.default === true);
  return more.map((record) => ({
    origin: record.layer.originOf([...record.address, "default"]),
    place: recordPlace(record.values, Number(record.address.at(-1))),
    field: "default",
    message: `is true for a second provider${first === undefined ? "" : lineWords(first.layer.originOf([...first.address, "default"]))}`,
  }));
}

function lineWords(origin: Origin): string {
  return origin.kind === "file" && origin.line !== undefined ? ` (first in line ${origin.line})` : "";
}

/** The name of a record, or its type where Zeph would take that. */
export function effectiveName(values: Table): string | undefined {
  const name = values.name ?? values.type;
  return typeof name === "string" && name.trim() !== "" ? name : undefined;
}

export function recordPlace(values: Table, index: number): string {
  const name = effectiveName(values);
  return name === undefined ? `provider number ${index + 1}` : `provider "${name}"`;
}

export function sectionPlace(path: readonly PropertyKey[]): string {
  const [section, index] = path;
  return section === "brokers" && typeof index === "number"
    ? `[[brokers]] number ${index + 1}`
    : `[${String(section)}]`;
}

/** The faults a schema finds, each with its place and line. */
export function schemaFaults(
  shape: Shape<unknown>,
  values: Table,
  placeOf: (path: readonly PropertyKey[]) => string,
  originOf: (path: readonly PropertyKey[]) => Origin,
): readonly Fault[] {
  return readShape(shape, values).issues.map(({ path, message }) => {
    const origin = originOf(path);
    const place = placeOf(path);
    return { origin, place, field: fieldName(path, place), message: isMissing(values, path) ? "is required" : message };
  });
}

/** Without what the place says already: the section's own name. */
function fieldName(path: readonly PropertyKey[], place: string): string {
  const named = place.startsWith("[[") ? 2 : place.startsWith("[") ? 1 : 0;
  return path
    .slice(named)
    .map((part, position) =>
      typeof part === "number" ? `[${part + 1}]` : `${position === 0 ? "" : "."}${String(part)}`,
    )
    .join("");
}

function isMissing(values: Table, path: readonly PropertyKey[]): boolean {
  let value: unknown = values;
  for (const part of path) {
    if (typeof value !== "object" || value === null) return true;
    value = Reflect.get(value, part);
  }
  return value === undefined;
}
