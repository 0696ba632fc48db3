import { extractCostUsd, KNOWN_COST_RULES } from "../brokers/cost.ts";
import { BROKERS, brokerForBaseURL, findBroker } from "../brokers/registry.ts";
import { ZephError } from "../errors/zeph-error.ts";
import { normalizeBaseURL } from "../protocol/endpoint.ts";

/** What the registry knows about an endpoint, as far as an adapter needs it. */
export interface BrokerFacts {
  readonly baseURL: string;
  /** Environment variables that may hold a key for this endpoint, best first. */
  readonly keyVariables: readonly string[];
  /** What a request cost, by the broker's own rules; undefined means unknown, which is not 0. */
  costUsd(body: unknown, headers: Headers | undefined): number | undefined;
}

/**
 * Looks up a broker by its id, or by the address that is used. The key variable of one broker is never offered for
 * another: its key would leave the house for a stranger. Throws `config_invalid` for an id that is not in the registry,
 * `wrong_url` for an address that is none.
 */
export function brokerFacts(access: { readonly broker: string } | { readonly baseURL: string }): BrokerFacts {
  const isNamed = "broker" in access;
  const record = isNamed ? findBroker(access.broker) : brokerForBaseURL(access.baseURL);
  const address = isNamed ? record?.baseURL : access.baseURL;
  if (address === undefined) throw unknownBroker(isNamed ? access.broker : "");
  return {
    baseURL: normalizeBaseURL(address),
    keyVariables: [
      ...(record?.keyEnv === undefined ? [] : [record.keyEnv]),
      ...(record === undefined
        ? []
        : [`ZEPH_COMPATIBLE_${record.id.toUpperCase().replace(/[^A-Z0-9]/g, "_")}_API_KEY`]),
      "GONKA_API_KEY",
    ],
    costUsd: (body, headers) => extractCostUsd(body, headers, record?.costRules ?? KNOWN_COST_RULES),
  };
}

function unknownBroker(id: string): ZephError {
  const known = BROKERS.filter(({ baseURL }) => baseURL !== undefined).map((broker) => broker.id);
  return new ZephError("config_invalid", {
    detail: `"${id}" is not a known broker`,
    hint: `Use one of ${known.join(", ")}, or give baseURL instead.`,
  });
}
