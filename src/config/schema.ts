import {
  changed,
  checked,
  flag,
  type Infer,
  list,
  number,
  oneOf,
  optional,
  optionalText,
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

const DURATION_UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000 };

/** `"30s"`, `"500ms"`, `"2m"` or a number of seconds, as milliseconds. */
const durationMs = changed(
  valueShape(
    (value): value is number | string => typeof value === "string" || typeof value === "number",
    'must be a time such as "30s", or a number of seconds',
  ),
  (value, fault) => {
    const match = /^(\d+(?:\.\d+)?)\s*(ms|s|m)?$/.exec(String(value).trim());
    const milliseconds = Number(match?.[1] ?? Number.NaN) * (DURATION_UNITS_MS[match?.[2] ?? "s"] ?? 1);
    if (!(milliseconds > 0)) fault('must be a time such as "30s", or a number of seconds');
    return Math.round(milliseconds);
  },
);

/** GNK as people write it, as ngonka: 9 decimals at most. */
const gnk = changed(
  valueShape(
    (value): value is number | string => typeof value === "string" || typeof value === "number",
    "must be an amount of GNK, such as 5 or 2.5",
  ),
  (value, fault) => {
    const match = /^(\d{1,10})(?:\.(\d{1,9}))?$/.exec(String(value).trim());
    const ngonka =
      match === null ? 0n : BigInt(match[1] ?? 0) * 1_000_000_000n + BigInt((match[2] ?? "").padEnd(9, "0"));
    if (ngonka <= 0n) fault("must be an amount of GNK, such as 5 or 2.5");
    return ngonka;
  },
);

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
  embed: optional(flag),
  default: optional(flag),
  max_concurrent: optional(count),
  reasoning_effort: optionalText,
  request_timeout: optional(durationMs),
  max_retries: optional(count),
  pricing: optional(pricing),
  context_length: optional(count),
};

export const compatibleRecord = table({
  ...sharedFields,
  base_url: optional(httpUrl),
  vision: optional(flag),
});

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
export const otherRecord = table({ type: text, name: optional(text), default: optional(flag) });

export const RECORD_SCHEMAS = { compatible: compatibleRecord, gonka: gonkaRecord, other: otherRecord } as const;

export type RecordKind = keyof typeof RECORD_SCHEMAS;

export function recordKind(type: unknown): RecordKind {
  return type === "compatible" || type === "gonka" ? type : "other";
}

/** Fields that mean something for the other kind, or for Zeph only. They are kept and named in a warning. */
const ZEPH_ONLY_FIELDS: readonly string[] = [
  "instruction_file",
  "vision_model",
  "stt_model",
  "thinking",
  "thinking_level",
  "thinking_budget",
  "include_thoughts",
  "server_compaction",
  "enable_extended_context",
  "prompt_cache_ttl",
  "candle",
];

const IRRELEVANT_FIELDS: Readonly<Record<RecordKind, ReadonlySet<string>>> = {
  compatible: new Set([
    "gonka_nodes",
    "gonka_chain_prefix",
    "gonka_signing_phase",
    "gonka_source_url",
    "gonka_verify_proof",
    "gonka_chain_id",
    "gonka_trusted_header_hash",
    "gonka_trusted_validators_hash",
    "access",
    "devshard_amount",
    "devshard_auto_open",
    ...ZEPH_ONLY_FIELDS,
  ]),
  gonka: new Set(["base_url", "vision", "api_key", ...ZEPH_ONLY_FIELDS]),
  other: new Set(),
};

export function isIrrelevantField(kind: RecordKind, field: string): boolean {
  return IRRELEVANT_FIELDS[kind].has(field) || (kind !== "other" && field.startsWith("cocoon_"));
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
