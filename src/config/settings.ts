import { isTable, type LayeredTable } from "./layer.ts";
import type { MergedRecord } from "./merge-records.ts";
import { DEFAULT_ORIGIN, type Origin } from "./origin.ts";
import { RECORD_SCHEMAS, recordKind, type Sections } from "./schema.ts";

/** One value of the configuration that is in force, for `config show`. */
export interface Setting {
  /** As `llm.providers.gonkagate.model` or `timeouts.llm_seconds`. */
  readonly key: string;
  /** In the file's own terms; keys and tokens are masked. */
  readonly value: unknown;
  readonly origin: Origin;
}

const MASK = "[redacted]";
const SECRET_FIELD = /(?:^|_)(?:api_key|key|token|secret|password|passphrase)$/i;

/** What a record has when it says nothing else; see `RunnableProvider`. */
const RECORD_DEFAULTS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  compatible: { max_tokens: 4096, max_retries: 3 },
  gonka: { max_tokens: 4096, max_retries: 3, gonka_chain_prefix: "gonka" },
};

/** The settings of a provider record: the fields zeph knows, and the defaults of those that are not there. */
export function recordSettings(record: MergedRecord, requestTimeout: Setting | undefined): readonly Setting[] {
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
export function sectionSettings(sections: Sections, layered: (section: string) => LayeredTable): readonly Setting[] {
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
  if (SECRET_FIELD.test(field)) return MASK;
  // Some endpoints take a key in the query.
  if (typeof value === "string" && /^https?:/i.test(value)) return value.replace(/[?#].*$/, `?${MASK}`);
  if (Array.isArray(value)) return value.map((item) => mask("", item));
  if (!isTable(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, mask(name, inner)]));
}
