import { Secret } from "../base/secret.ts";
import { once } from "../base/time.ts";
import { ZephError } from "../errors.ts";
import {
  type BrokerFacts,
  brokerFacts,
  type Connection,
  type NativeConnectionOptions,
  type SignerChoice,
} from "../transport/connection.ts";
import { type GonkaFetch, gonkaFetch, listModels } from "../transport/gonka-fetch.ts";
import { NATIVE_BASE_URL } from "../transport/native.ts";

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

/** How a provider reaches its endpoint. The connection is made at the first request, once. */
export interface ProviderAccess {
  readonly baseURL: string;
  connect(): Promise<GonkaFetch>;
  readonly costUsd: BrokerFacts["costUsd"];
}

const DEFAULT_BROKER = "gonkagate";

/** Reads the settings. Nothing is read from the environment and no crypto is loaded before the first request. */
export function providerAccess(settings: GonkaProviderSettings): ProviderAccess {
  if (settings.native !== undefined) return nativeAccess(settings.native);
  if (settings.connection !== undefined) return connectionAccess(settings.connection);
  return brokerAccess(settings);
}

function brokerAccess({ apiKey, broker, baseURL, fetch, name }: GonkaBrokerSettings): ProviderAccess {
  const facts = brokerFacts(baseURL === undefined ? { broker: broker ?? DEFAULT_BROKER } : { baseURL });
  return {
    baseURL: facts.baseURL,
    costUsd: facts.costUsd,
    connect: once(async () =>
      gonkaFetch({
        kind: "broker",
        baseURL: facts.baseURL,
        apiKey: isGiven(apiKey) ? apiKey : readEnvironmentKey(facts.keyVariables),
        ...(fetch === undefined ? {} : { fetch }),
        ...(name === undefined ? {} : { name }),
      }),
    ),
  };
}

/** Empty text is what `process.env.X ?? ""` makes of a variable that is not set. */
function isGiven(apiKey: string | Secret | undefined): apiKey is string | Secret {
  return apiKey !== undefined && Secret.from(apiKey).reveal().trim() !== "";
}

function connectionAccess(given: GonkaConnectionSettings["connection"]): ProviderAccess {
  const gonka = typeof given === "function" ? given : gonkaFetch(given);
  const { costUsd } = brokerFacts({ baseURL: gonka.baseURL });
  return { baseURL: gonka.baseURL, costUsd, connect: async () => gonka };
}

function nativeAccess(native: GonkaNativeSettings["native"]): ProviderAccess {
  return {
    baseURL: NATIVE_BASE_URL,
    costUsd: brokerFacts({ baseURL: NATIVE_BASE_URL }).costUsd,
    connect: once(async () => gonkaFetch({ ...native, kind: "native" })),
  };
}

/** Where a runtime may keep its environment; edge runtimes may have no `process` at all. */
interface RuntimeGlobals {
  readonly process?: { readonly env?: Readonly<Record<string, string | undefined>> };
}

/** The first of these variables that is set. Throws `secret_missing` naming them all; no value is ever shown. */
export function readEnvironmentKey(variables: readonly string[], runtime: RuntimeGlobals = globalThis): string {
  for (const name of variables) {
    const value = runtime.process?.env?.[name]?.trim();
    if (value !== undefined && value !== "") return value;
  }
  throw new ZephError("secret_missing", {
    detail: `no API key was given, and ${variables.join(", ")} ${variables.length === 1 ? "is" : "are"} not set`,
    hint: `Set ${variables[0] ?? "the key's variable"}, or call createGonka({ apiKey }).`,
  });
}

/** A question to the endpoint's model list. */
export type AskList = (modelId: string, signal: AbortSignal | undefined) => Promise<boolean>;

/** Is it listed as an embedding model? One that is, is remembered; others are looked for again. Throws what the list's request throws. */
export function isEmbeddingModel(access: ProviderAccess): AskList {
  const found = new Set<string>();
  return async (modelId, signal) => {
    if (found.has(modelId)) return true;
    const models = await listModels(await access.connect(), signal);
    const isListed = models.some(({ id, kind }) => id === modelId && kind === "embedding");
    if (isListed) found.add(modelId);
    return isListed;
  };
}

/**
 * Is it listed as a model without images? Asked once per model. A list that does not tell, or cannot be read, keeps
 * nothing from being sent. Native connections ask the network's list themselves, whoever sends through them.
 */
export function refusesImages(access: ProviderAccess): AskList {
  if (access.baseURL === NATIVE_BASE_URL) return async () => false;
  const known = new Map<string, boolean>();
  return async (modelId, signal) => {
    const remembered = known.get(modelId);
    if (remembered !== undefined) return remembered;
    const models = await access
      .connect()
      .then((gonka) => listModels(gonka, signal))
      .catch(() => {
        // The request itself will say what is wrong with the endpoint, in words that fit it.
        return undefined;
      });
    if (models === undefined) return false;
    const refuses = models.some(({ id, images }) => id === modelId && images === false);
    known.set(modelId, refuses);
    return refuses;
  };
}
