import type { ProviderConfig } from "./provider.ts";
import type { Sections } from "./schema.ts";
import type { UntrustedFile } from "./untrusted-file.ts";

/** The whole configuration, checked, with every default filled in. */
export interface Config {
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

export type ConfiguredBroker = ReturnType<typeof toConfiguredBroker>;

/** A `[[brokers]]` table with the field names the program uses, without those that are not there. */
export function toConfiguredBroker(record: Sections["brokers"][number]) {
  return {
    id: record.id.trim().toLowerCase(),
    ...(record.name === undefined ? {} : { name: record.name }),
    ...(record.base_url === undefined ? {} : { baseURL: record.base_url }),
    ...(record.key_prefixes === undefined ? {} : { keyPrefixes: record.key_prefixes }),
    ...(record.key_env === undefined ? {} : { keyEnv: record.key_env }),
    ...(record.dialects === undefined ? {} : { dialects: record.dialects }),
    ...(record.signup_url === undefined ? {} : { signupUrl: record.signup_url }),
    ...(record.top_up_url === undefined ? {} : { topUpUrl: record.top_up_url }),
    ...(record.money === undefined ? {} : { money: record.money }),
    ...(record.pricing_path === undefined ? {} : { pricingPath: record.pricing_path }),
  };
}
