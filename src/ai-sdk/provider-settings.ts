import type { Connection, NativeConnectionOptions, SignerChoice } from "../client/connection.ts";
import type { GonkaFetch } from "../client/gonka-fetch.ts";
import type { Secret } from "../internal/secret.ts";

interface SharedSettings {
  /**
   * Name of the provider in `model.provider`, and a second key for `providerOptions` and `providerMetadata`, which
   * always work under `gonka`. Default `gonka`. Dots become hyphens.
   */
  readonly name?: string;
  /** Sent with every request to a broker. Nodes get signed requests, which carry no other headers. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Ask for token counts at the end of a stream (`stream_options.include_usage`). Default true. */
  readonly includeUsage?: boolean;
}

/** A hosted broker, or any OpenAI-compatible endpoint with a Bearer key. */
export interface GonkaBrokerSettings extends SharedSettings {
  /**
   * Default: read at the first request from the environment: the broker's own variable (`GONKAGATE_API_KEY`), then
   * `ZEPH_COMPATIBLE_<BROKER>_API_KEY`, then `GONKA_API_KEY`. The variable of one broker is not used for another.
   * `undefined` and empty text, as variables that are not set give them, are no key.
   */
  readonly apiKey?: string | Secret | undefined;
  /** Id of a known broker, such as `gonkagate` (default) or `joingonka`. */
  readonly broker?: string | undefined;
  /** Instead of `broker`: the address, normally ending in `/v1`. Wins over `broker`. */
  readonly baseURL?: string | undefined;
  /** Does the network work; keeps your proxies and agents. Default: the global one. */
  readonly fetch?: NonNullable<Connection["fetch"]>;
  readonly native?: never;
  readonly connection?: never;
}

/** Requests signed with your own key. Servers only: the crypto needs Node, and a browser is no place for the key. */
export interface GonkaNativeSettings extends SharedSettings {
  /** The fields of a native connection (`endpoints` or `discover`, `maxAttempts`, …), and who signs. */
  readonly native: SignerChoice & Omit<NativeConnectionOptions, "kind">;
  readonly connection?: never;
  readonly apiKey?: never;
  readonly broker?: never;
  readonly baseURL?: never;
  readonly fetch?: never;
}

/** A connection made elsewhere, with its own attempts, deadlines and events. */
export interface GonkaConnectionSettings extends SharedSettings {
  readonly connection: Connection | GonkaFetch;
  readonly native?: never;
  readonly apiKey?: never;
  readonly broker?: never;
  readonly baseURL?: never;
  readonly fetch?: never;
}

/** How `createGonka` reaches the network. Without anything: GonkaGate, with a key from the environment. */
export type GonkaProviderSettings = GonkaBrokerSettings | GonkaNativeSettings | GonkaConnectionSettings;
