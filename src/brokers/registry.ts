import type { Broker } from "./broker.ts";
import { custom } from "./records/custom.ts";
import { dahl } from "./records/dahl.ts";
import { devshardctl } from "./records/devshardctl.ts";
import { gonkaApi } from "./records/gonka-api.ts";
import { gonkaProxy } from "./records/gonka-proxy.ts";
import { gonka24 } from "./records/gonka24.ts";
import { gonkabroker } from "./records/gonkabroker.ts";
import { gonkagate } from "./records/gonkagate.ts";
import { gonkarouter } from "./records/gonkarouter.ts";
import { hyperfusion } from "./records/hyperfusion.ts";
import { joingonka } from "./records/joingonka.ts";
import { mingles } from "./records/mingles.ts";
import { openbroker } from "./records/openbroker.ts";
import { opengonka } from "./records/opengonka.ts";

/** All known brokers in the order a picker shows them: GonkaGate first, then the directory's, the rest, and `custom`. */
export const BROKERS: readonly Broker[] = [
  gonkagate,
  gonkaProxy,
  joingonka,
  gonkarouter,
  gonka24,
  gonkabroker,
  mingles,
  gonkaApi,
  hyperfusion,
  dahl,
  openbroker,
  opengonka,
  devshardctl,
  custom,
];

/** The broker of this id, letter case aside. */
export function findBroker(id: string, brokers: readonly Broker[] = BROKERS): Broker | undefined {
  const wanted = id.trim().toLowerCase();
  return brokers.find((broker) => broker.id === wanted);
}

/**
 * The broker whose address this is. Host and port decide, because people write the path in many ways; of two brokers
 * on one host the longer path wins.
 */
export function brokerForBaseURL(url: string, brokers: readonly Broker[] = BROKERS): Broker | undefined {
  const target = parseURL(url);
  if (target === undefined) return undefined;
  const path = withoutVersion(target);
  const matches = brokers.flatMap((broker) =>
    addressesOf(broker)
      .map(parseURL)
      .filter((address) => address !== undefined && address.host === target.host)
      .map((address) => ({ broker, path: address === undefined ? "" : withoutVersion(address) }))
      .filter((match) => path === match.path || path.startsWith(`${match.path}/`)),
  );
  return matches.sort((a, b) => b.path.length - a.path.length)[0]?.broker;
}

/**
 * The one broker whose keys look like this, or `undefined` when none or several do (`sk-` is everybody's). Management
 * keys count as their broker's.
 */
export function brokerForKey(key: string, brokers: readonly Broker[] = BROKERS): Broker | undefined {
  const matches = brokers.flatMap((broker) => {
    const prefixes = [...(broker.keyPrefixes ?? []), ...(broker.managementKeyPrefixes ?? [])];
    return prefixes.filter((prefix) => key.startsWith(prefix)).map((prefix) => ({ broker, length: prefix.length }));
  });
  const longest = Math.max(0, ...matches.map((match) => match.length));
  const best = new Set(matches.filter((match) => match.length === longest).map((match) => match.broker));
  return best.size === 1 ? [...best][0] : undefined;
}

function addressesOf(broker: Broker): readonly string[] {
  return [...(broker.baseURL === undefined ? [] : [broker.baseURL]), ...(broker.otherBaseURLs ?? [])];
}

function withoutVersion(url: URL): string {
  return url.pathname.replace(/\/+$/, "").replace(/(?:\/v1)+$/, "");
}

function parseURL(text: string): URL | undefined {
  try {
    return new URL(/^[a-z][a-z0-9+.-]*:\/\//i.test(text.trim()) ? text.trim() : `https://${text.trim()}`);
  } catch {
    // Not a URL, so nobody's address.
    return undefined;
  }
}
