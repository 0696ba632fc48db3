import { type BrokerFacts, brokerFacts } from "../client/broker-facts.ts";
import { type GonkaFetch, gonkaFetch } from "../client/gonka-fetch.ts";
import { NATIVE_BASE_URL } from "../client/native-options.ts";
import { once } from "../internal/once.ts";
import { Secret } from "../internal/secret.ts";
import { readEnvironmentKey } from "./environment-key.ts";
import type {
  GonkaBrokerSettings,
  GonkaConnectionSettings,
  GonkaNativeSettings,
  GonkaProviderSettings,
} from "./provider-settings.ts";

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
