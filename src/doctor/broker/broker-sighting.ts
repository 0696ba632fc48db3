import type { Broker } from "../../brokers/broker.ts";
import type { CompatibleProvider } from "../../config/provider.ts";
import type { Secret } from "../../internal/secret.ts";
import type { Model } from "../../protocol/models.ts";
import type { OpenedProvider } from "../../provider/open-provider.ts";
import type { Setup } from "../../provider/setup.ts";

/**
 * What the checks of one broker have seen so far. Each writes what a later one reads; `dependsOn` and `after` keep the
 * order.
 */
export interface BrokerSighting {
  /** Asks every endpoint once only. */
  readonly setup: Setup;
  readonly config: CompatibleProvider;
  /** What the registry and the user's `[[brokers]]` know of this address. */
  readonly broker: Broker | undefined;
  key?: Secret;
  opened?: OpenedProvider;
  /** The answer to the authenticated `GET /models`, whatever its status. */
  answer?: { readonly response: Response; readonly text: string; readonly latencyMs: number };
  models?: readonly Model[];
}

/** Names of one broker's checks. */
export function brokerCheckNames(provider: string) {
  const list = `llm.${provider}`;
  return {
    key: `${list}.key`,
    reach: `${list}.reach`,
    list,
    model: `${list}.model`,
    price: `${list}.price`,
    credit: `${list}.credit`,
    facts: `${list}.facts`,
    smoke: `${list}.smoke`,
  };
}
