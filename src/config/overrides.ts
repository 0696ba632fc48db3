import type { Layer, Table } from "./layer.ts";
import type { Origin } from "./origin.ts";

/** Flags that change the configuration, as given on the command line. */
export interface ConfigFlags {
  /** Config file; relative paths start at the working folder. */
  readonly config?: string | undefined;
  /** Name of the provider to use. */
  readonly provider?: string | undefined;
  readonly model?: string | undefined;
  readonly baseURL?: string | undefined;
  readonly vaultBackend?: string | undefined;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** A single value from a flag or a variable, on its way to the same schema as a file's. */
interface Override {
  readonly address: readonly [string, string];
  readonly value: unknown;
  readonly origin: Origin;
}

const SECTION_VARIABLES: readonly (readonly [string, readonly [string, string], (text: string) => unknown])[] = [
  ["ZEPH_VAULT_BACKEND", ["vault", "backend"], String],
  ["ZEPH_LLM_EMBEDDING_MODEL", ["llm", "embedding_model"], String],
  ["ZEPH_TIMEOUT_LLM", ["timeouts", "llm_seconds"], toNumber],
  ["ZEPH_TIMEOUT_LLM_REQUEST", ["timeouts", "llm_request_timeout_secs"], toNumber],
  ["ZEPH_TIMEOUT_EMBEDDING", ["timeouts", "embedding_seconds"], toNumber],
];

/** The settings outside provider records that variables give. */
export function environmentSections(env: Environment): Layer {
  return toLayer(
    SECTION_VARIABLES.flatMap(([name, address, convert]) => {
      const text = given(env[name]);
      return text === undefined ? [] : [{ address, value: convert(text), origin: { kind: "env", name } as const }];
    }),
  );
}

/** The settings outside provider records that flags give. */
export function flagSections(flags: ConfigFlags): Layer {
  const backend = given(flags.vaultBackend);
  if (backend === undefined) return toLayer([]);
  return toLayer([{ address: ["vault", "backend"], value: backend, origin: { kind: "flag", name: "--vault" } }]);
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

/** `--model` and `--base-url`: they change the provider that is used. */
export function flagRecord(flags: ConfigFlags): RecordOverride {
  return toRecordOverride("flag", [
    ["base_url", "--base-url", given(flags.baseURL)],
    ["model", "--model", given(flags.model)],
  ]);
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

function toLayer(overrides: readonly Override[]): Layer {
  const values: Record<string, Record<string, unknown>> = {};
  const origins = new Map<string, Origin>();
  for (const { address, value, origin } of overrides) {
    const [section, field] = address;
    values[section] = { ...values[section], [field]: value };
    origins.set(`${section}.${field}`, origin);
  }
  return { values, originOf: (address) => origins.get(address.slice(0, 2).join(".")) ?? { kind: "default" } };
}

/** What cannot be converted stays text, so that the schema complains about it like about any other value. */
function toBoolean(text: string | undefined): unknown {
  if (text === undefined) return undefined;
  if (/^(?:true|1|yes|on)$/i.test(text)) return true;
  return /^(?:false|0|no|off)$/i.test(text) ? false : text;
}

function toNumber(text: string): unknown {
  const value = Number(text);
  return Number.isFinite(value) ? value : text;
}

function given(text: string | undefined): string | undefined {
  return text === undefined || text.trim() === "" ? undefined : text.trim();
}
