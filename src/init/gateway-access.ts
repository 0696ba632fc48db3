import type { Broker } from "../brokers/broker.ts";
import { looksLikeToken } from "../brokers/contains-key.ts";
import { brokerForBaseURL, findBroker } from "../brokers/registry.ts";
import { apiKeyNames, type SecretNames, secretNameFor } from "../config/secret-names.ts";
import { ZephError } from "../errors/zeph-error.ts";
import { isLoopback, normalizeBaseURL } from "../protocol/endpoint.ts";
import { nearest } from "../protocol/match-model.ts";
import type { Facts } from "./facts.ts";
import { askOr, type InitSession } from "./init-session.ts";
import { KEY_HERE } from "./refuse-keys.ts";

/** Where the requests of a record go, and what it is called. */
export interface GatewayAccess {
  readonly broker: Broker;
  /** Name of the provider record. */
  readonly name: string;
  /** Normalised, ends in `/v1`. */
  readonly baseURL: string;
  readonly keyNames: SecretNames;
}

/** What the menu was answered with. */
export type GatewayChoice = "gonkagate" | "another-broker" | "custom";

/**
 * Broker, address and name, from flags, defaults and questions in this order. Throws `usage` for an unknown broker,
 * `wrong_url`, `insecure_url`, `missing_input`.
 */
export async function chooseAccess(session: InitSession, choice: GatewayChoice): Promise<GatewayAccess> {
  const { baseURL, name } = session.request;
  return accessTo(session, await chooseBroker(session, choice), {
    ...(baseURL === undefined ? {} : { baseURL }),
    ...(name === undefined ? {} : { name }),
  });
}

/** Access to this broker. `given` goes before its own address and name. */
export async function accessTo(
  session: InitSession,
  broker: Broker,
  given: { readonly baseURL?: string; readonly name?: string } = {},
): Promise<GatewayAccess> {
  const { facts } = session;
  const address = given.baseURL ?? configuredBaseURL(given.name ?? broker.id, session) ?? broker.baseURL;
  const baseURL = address === undefined ? await askBaseURL(session) : secureBaseURL(address);
  const name = given.name ?? (broker.id === "custom" ? await askName(session, baseURL) : broker.id);
  const fault = nameFault(name, broker.id === "custom" ? baseURL : undefined, facts);
  if (fault !== undefined)
    throw new ZephError("usage", { detail: `the name "${name}" ${fault}`, hint: "Choose another with --name." });
  return { broker, name, baseURL, keyNames: keyNamesOf(name, broker, facts) };
}

/** What the user's own record says goes before the registry. */
function configuredBaseURL(name: string, { facts, tell }: InitSession): string | undefined {
  const existing = facts.config?.providers.find((provider) => provider.name === name);
  if (existing?.type !== "compatible") return undefined;
  tell.info(`${name} is set up already, for ${existing.baseURL}.`);
  return existing.baseURL;
}

async function chooseBroker({ request, facts, ...session }: InitSession, choice: GatewayChoice): Promise<Broker> {
  const { brokers } = facts;
  if (request.broker !== undefined) return requireBroker(request.broker, brokers);
  if (choice === "custom") {
    const known = request.baseURL === undefined ? undefined : brokerForBaseURL(request.baseURL, brokers);
    return known ?? requireBroker("custom", brokers);
  }
  if (choice === "gonkagate") return requireBroker("gonkagate", brokers);
  const others = brokers.filter((broker) => broker.id !== "gonkagate" && broker.baseURL !== undefined);
  return askOr(session, "--broker").select({
    message: "Which broker?",
    choices: others.map((broker) => ({ value: broker, label: broker.name, hint: broker.money })),
  });
}

/** The broker of this id. Throws `usage` with the nearest ids. */
export function requireBroker(id: string, brokers: readonly Broker[]): Broker {
  const broker = findBroker(id, brokers);
  if (broker !== undefined) return broker;
  const ids = brokers.map((broker) => broker.id);
  throw new ZephError("usage", {
    detail: `no broker is called "${id}"`,
    hint: `Did you mean ${nearest(id, ids, 3).join(", ")}? All: ${ids.join(", ")}. Or give --base-url.`,
  });
}

/** Asks for the address of an endpoint until one can be used. */
export async function askBaseURL(session: InitSession, initial?: string): Promise<string> {
  const typed = await askOr(session, "--base-url").text({
    message: "Base URL of the endpoint",
    placeholder: "https://host.example/v1",
    check: baseURLFault,
    ...(initial === undefined ? {} : { initial }),
  });
  return normalizeBaseURL(typed);
}

function baseURLFault(text: string): string | undefined {
  if (looksLikeToken(text)) return KEY_HERE;
  try {
    secureBaseURL(text);
    return undefined;
  } catch (error) {
    if (ZephError.is(error)) return error.code === "insecure_url" ? error.hint : error.message;
    throw error;
  }
}

/** The key would be readable on the way (B20), and the transport refuses it too. */
function secureBaseURL(text: string): string {
  const baseURL = normalizeBaseURL(text);
  if (baseURL.startsWith("http:") && !isLoopback(baseURL)) throw new ZephError("insecure_url", { detail: baseURL });
  return baseURL;
}

/** The user's name for an endpoint; where nobody can be asked, the one that would have been suggested. */
async function askName(session: InitSession, baseURL: string): Promise<string> {
  const suggestion = freeName(suggestName(baseURL), baseURL, session.facts);
  if (session.ask === undefined) return suggestion;
  return session.ask.text({
    message: "A name for it",
    initial: suggestion,
    check: (name) => {
      if (looksLikeToken(name)) return KEY_HERE;
      const fault = nameFault(name, baseURL, session.facts);
      return fault === undefined ? undefined : `This name ${fault}.`;
    },
  });
}

/** `api.example.com` becomes `example`, an address of this computer `local`. */
function suggestName(baseURL: string): string {
  if (isLoopback(baseURL)) return "local";
  const labels = new URL(baseURL).hostname.split(".");
  const name = /^\d+$/.test(labels.at(-1) ?? "") ? labels.join("-") : (labels.at(-2) ?? labels[0] ?? "custom");
  return name.replace(/[^a-z0-9-]/gi, "");
}

function freeName(name: string, baseURL: string, facts: Facts): string {
  for (let number = 1; ; number += 1) {
    const candidate = number === 1 ? name : `${name}-${number}`;
    if (nameFault(candidate, baseURL, facts) === undefined) return candidate;
  }
}

/**
 * A name gives the name of a secret, so no two may give the same one. The same endpoint may be set up again, and a known
 * broker may have moved: then there is no `baseURL` to compare.
 */
function nameFault(name: string, baseURL: string | undefined, { config }: Facts): string | undefined {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(name)) return "must be letters, digits, - _ and . only";
  for (const other of config?.providers ?? []) {
    if (other.name === name) {
      const isSame =
        other.type === "compatible" && (baseURL ?? normalizeBaseURL(other.baseURL)) === normalizeBaseURL(other.baseURL);
      if (isSame) continue;
      return "is used for another endpoint in your config";
    }
    if (other.type === "compatible" && other.apiKeyNames.canonical === secretNameFor(name)) {
      return `would share the secret ${secretNameFor(name)} with "${other.name}"`;
    }
  }
  return undefined;
}

function keyNamesOf(name: string, broker: Broker, { config }: Facts): SecretNames {
  const existing = config?.providers.find((provider) => provider.name === name);
  const configured = existing?.type === "compatible" ? existing.apiKeyNames.canonical : undefined;
  return apiKeyNames(name, { configured, brokerKeyEnv: broker.keyEnv });
}
