import { z } from "zod";

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

const words = z.string({ error: "must be text in quotes" });
const text = words.refine((value) => value.trim() !== "", { error: "must not be empty" });
/** Zeph writes empty text where it means "none". */
const optionalText = words.transform((value) => (value.trim() === "" ? undefined : value)).optional();
const flag = z.boolean({ error: "must be true or false" });
const count = z.int({ error: "must be a whole number" }).positive({ error: "must be at least 1" });
const amount = z.number({ error: "must be a number" }).nonnegative({ error: "must not be negative" });
const seconds = z.number({ error: "must be a number of seconds" }).positive({ error: "must be more than 0" });

const DURATION_UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000 };

/** `"30s"`, `"500ms"`, `"2m"` or a number of seconds, as milliseconds. */
const durationMs = z
  .union([z.number(), z.string()], { error: 'must be a time such as "30s", or a number of seconds' })
  .transform((value, context) => {
    const match = /^(\d+(?:\.\d+)?)\s*(ms|s|m)?$/.exec(String(value).trim());
    const milliseconds = Number(match?.[1] ?? Number.NaN) * (DURATION_UNITS_MS[match?.[2] ?? "s"] ?? 1);
    if (milliseconds > 0) return Math.round(milliseconds);
    context.addIssue({ code: "custom", message: 'must be a time such as "30s", or a number of seconds' });
    return z.NEVER;
  });

/** GNK as people write it, as ngonka: 9 decimals at most. */
const gnk = z
  .union([z.number(), z.string()], { error: "must be an amount of GNK, such as 5 or 2.5" })
  .transform((value, context) => {
    const match = /^(\d{1,10})(?:\.(\d{1,9}))?$/.exec(String(value).trim());
    const ngonka =
      match === null ? 0n : BigInt(match[1] ?? 0) * 1_000_000_000n + BigInt((match[2] ?? "").padEnd(9, "0"));
    if (ngonka > 0n) return ngonka;
    context.addIssue({ code: "custom", message: "must be an amount of GNK, such as 5 or 2.5" });
    return z.NEVER;
  });

const httpUrl = text.superRefine((value, context) => {
  const fault = httpUrlFault(value);
  if (fault !== undefined) context.addIssue({ code: "custom", message: fault });
});

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
const secretName = text.regex(/^(?:ZEPH_\S+|[A-Za-z_][A-Za-z0-9_]*)$/, {
  error: "must be the name of a secret, such as ZEPH_COMPATIBLE_GONKAGATE_API_KEY, not the key itself",
});

const hash = text.regex(/^(?:[0-9a-fA-F]{64}|[A-Za-z0-9+/]{43}=)$/, {
  error: "must be a hash: 64 hex digits, or 44 characters of base64",
});

const node = z.looseObject({ url: httpUrl, address: text, name: optionalText }, { error: "must be a table" });

const pricing = z.looseObject(
  { prompt_usd_per_1m: amount.optional(), completion_usd_per_1m: amount.optional() },
  { error: "must be a table" },
);

/** Fields of a record that both kinds use. */
const sharedFields = {
  type: text,
  name: text.optional(),
  model: optionalText,
  api_key: optionalText,
  api_key_env: secretName.optional(),
  max_tokens: count.optional(),
  embedding_model: optionalText,
  embed: flag.optional(),
  default: flag.optional(),
  max_concurrent: count.optional(),
  reasoning_effort: optionalText,
  request_timeout: durationMs.optional(),
  max_retries: count.optional(),
  pricing: pricing.optional(),
  context_length: count.optional(),
};

export const compatibleRecord = z.looseObject({
  ...sharedFields,
  base_url: httpUrl.optional(),
  vision: flag.optional(),
});

/** The part of an address before its `1`. */
export const CHAIN_PREFIX = /^[a-z][a-z0-9]{0,82}$/;

export const gonkaRecord = z.looseObject({
  ...sharedFields,
  gonka_nodes: z.array(node, { error: "must be tables [[llm.providers.gonka_nodes]]" }).optional(),
  gonka_chain_prefix: text
    .regex(CHAIN_PREFIX, { error: "must be an address prefix in lower case, such as gonka" })
    .optional(),
  gonka_signing_phase: z.literal([1, 3], { error: "must be 3, or 1 for networks before v0.2.6" }).optional(),
  gonka_source_url: httpUrl.optional(),
  gonka_verify_proof: flag.optional(),
  gonka_chain_id: text.optional(),
  gonka_trusted_header_hash: hash.optional(),
  gonka_trusted_validators_hash: hash.optional(),
  access: z.enum(["signed", "devshard"], { error: "must be signed or devshard" }).optional(),
  devshard_amount: gnk.optional(),
  devshard_auto_open: count.optional(),
});

/** A record zeph keeps and does not run: whatever Zeph says is in it is right. */
export const otherRecord = z.looseObject({ type: text, name: text.optional(), default: flag.optional() });

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

const dialect = z.enum(["chat", "completions", "messages", "responses"], {
  error: "must be one of chat, completions, messages, responses",
});

const texts = z.array(text, { error: "must be a list of texts" });

const brokerRecord = z.looseObject({
  id: text,
  name: text.optional(),
  base_url: httpUrl.optional(),
  key_prefixes: texts.optional(),
  key_env: secretName.optional(),
  dialects: z.array(dialect, { error: "must be a list" }).optional(),
  signup_url: httpUrl.optional(),
  top_up_url: httpUrl.optional(),
  money: text.optional(),
  pricing_path: text.optional(),
});

/** Everything of a file but its provider records. Unknown sections and fields are nobody's fault. */
export const sectionsSchema = z.looseObject({
  llm: z
    .looseObject(
      {
        fallback: texts.default([]),
        routing: optionalText,
        embedding_model: optionalText,
        response_cache_enabled: flag.default(false),
        response_cache_ttl_secs: seconds.default(3600),
      },
      { error: "must be a table" },
    )
    .prefault({}),
  timeouts: z
    .looseObject(
      {
        llm_seconds: seconds.default(120),
        llm_request_timeout_secs: seconds.default(600),
        embedding_seconds: seconds.default(30),
      },
      { error: "must be a table" },
    )
    .prefault({}),
  session: z
    .looseObject(
      { provider_persistence: flag.default(true), keep_conversations: flag.default(true) },
      { error: "must be a table" },
    )
    .prefault({}),
  cost: z
    .looseObject({ enabled: flag.default(false), max_daily_cents: amount.default(0) }, { error: "must be a table" })
    .prefault({}),
  vault: z.looseObject({ backend: optionalText }, { error: "must be a table" }).prefault({}),
  // Zeph's own [gateway] and [serve] mean something else, hence the longer name.
  local_gateway: z.looseObject({}, { error: "must be a table" }).prefault({}),
  brokers: z.array(brokerRecord, { error: "must be tables [[brokers]]" }).default([]),
});

export type Sections = z.infer<typeof sectionsSchema>;
export type CompatibleRecord = z.infer<typeof compatibleRecord>;
export type GonkaRecord = z.infer<typeof gonkaRecord>;
