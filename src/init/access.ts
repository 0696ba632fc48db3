import { Secret } from "../base/secret.ts";
import type { Broker } from "../brokers/records.ts";
import { brokerForBaseURL, findBroker, looksLikeToken, recognizeKey } from "../brokers/registry.ts";
import { apiKeyNames, type SecretNames, secretNameFor } from "../config/secrets.ts";
import { originOf } from "../config/trust.ts";
import { ZephError } from "../errors.ts";
import { judgeKeyUse, refuseKeyUse } from "../provider/setup.ts";
import { isLoopback, normalizeBaseURL } from "../wire/endpoint.ts";
import { nearest } from "../wire/models.ts";
import {
  type Ask,
  askOr,
  type Facts,
  type FoundSecret,
  type InitRequest,
  type InitSession,
  type InitWorld,
  KEY_HERE,
} from "./session.ts";

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
  return accessTo(session, await chooseBroker(session, choice), { baseURL, name });
}

/** Access to this broker. `given` goes before its own address and name. */
export async function accessTo(
  session: InitSession,
  broker: Broker,
  given: { readonly baseURL?: string | undefined; readonly name?: string | undefined } = {},
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
    initial,
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

/** The key that a flag says where to find. */
export async function givenKey(
  { world, request, facts, tell }: InitSession,
  access: GatewayAccess,
): Promise<Secret | undefined> {
  const { key } = request;
  if (key === undefined) return undefined;
  const text = await readGivenKey(world, key);
  if (key.from === "env") {
    const refusal = await refusalOf(world, access, { secret: text, name: key.variable, source: "environment" });
    if (refusal?.code === "key_for_another_origin") throw refusal;
  }
  const judged = judgeKey(text, access, facts.brokers);
  switch (judged.kind) {
    case "usable":
      return judged.key;
    case "odd":
      tell.warn(`The key ${judged.reason}; it is tried all the same.`);
      return judged.key;
    case "private-key":
      throw new ZephError("invalid_api_key", {
        detail: "what was given looks like a private key; it was not sent anywhere",
        hint: "Give the broker's API key, or set up signed requests with --path native.",
      });
    case "other-broker":
      throw new ZephError("invalid_api_key", {
        detail: `the key is one of ${judged.broker.name}; it was not sent to ${access.broker.name}`,
        hint: `Give --broker ${judged.broker.id}.`,
      });
    case "refused":
      throw new ZephError("invalid_api_key", {
        detail: `what was given ${judged.reason}`,
        hint: `Give the API key of ${access.broker.name} and nothing else. Nothing was sent or stored.`,
      });
  }
}

/** Reads what a flag points to, as it is. Throws `missing_input`, and `usage` for what is no name of a variable. */
export async function readGivenKey(world: InitWorld, key: NonNullable<InitRequest["key"]>): Promise<Secret> {
  if (key.from === "stdin") return world.readStdinSecret();
  const { variable } = key;
  // Not repeated: it may be the key itself.
  if (!/^[A-Za-z_]\w*$/.test(variable))
    throw new ZephError("usage", { detail: "--key-env takes the name of a variable" });
  const value = (world.env[variable] ?? "").trim();
  if (value === "") throw new ZephError("missing_input", { detail: `--key-env ${variable}: this variable is not set` });
  return new Secret(value);
}

const ANOTHER = Symbol("another key");

/** A key in the vault or the environment, offered by name and source. */
export async function existingKey(session: InitSession, access: GatewayAccess): Promise<Secret | undefined> {
  const seen = new Set<string>();
  const found = (await session.secrets.find(access.keyNames)).filter(({ secret }) => {
    const isNew = !seen.has(secret.reveal());
    seen.add(secret.reveal());
    return isNew && ["usable", "odd"].includes(judgeKey(secret, access, session.facts.brokers).kind);
  });
  const judged = await Promise.all(
    found.map(async (each) => ({ ...each, refusal: await refusalOf(session.world, access, each) })),
  );
  const fitting = judged.filter(({ refusal }) => refusal === undefined);
  const foreign = judged.filter(({ refusal }) => refusal !== undefined);
  const [first] = judged;
  if (session.ask === undefined) {
    const [best] = fitting;
    if (best !== undefined) return judgedKey(best.secret, access, session);
    if (first?.refusal !== undefined) throw first.refusal;
    throw new ZephError("missing_input", { detail: "--key-stdin or --key-env NAME" });
  }
  if (first === undefined) return undefined;
  // A menu shows the words beside a choice only while it is pointed at.
  for (const { refusal } of foreign) session.tell.warn(`${refusal?.detail ?? ""}. Choose it only if you mean that.`);
  const chosen = await session.ask.select<Secret | typeof ANOTHER>({
    message: `${access.broker.name} API key`,
    choices: [
      ...fitting.map(({ secret, name, source }) => ({ value: secret, label: labelOf(source), hint: name })),
      { value: ANOTHER, label: "Paste another one" },
      // Last, and never what plain Enter takes: whoever chooses it has read where it goes.
      ...foreign.map(({ secret, name, source, refusal }) => ({
        value: secret,
        label: labelOf(source),
        hint: `${refusal?.detail ?? name}; choose it only if you mean just that`,
      })),
    ],
  });
  if (chosen === ANOTHER) return undefined;
  const refusal = foreign.find(({ secret }) => secret === chosen)?.refusal;
  if (refusal !== undefined && !(await isMeant(session.ask, refusal))) return undefined;
  return judgedKey(chosen, access, session);
}

/** Names both addresses; who presses Enter without reading has said no. */
function isMeant(ask: Ask, { detail, message }: ZephError): Promise<boolean> {
  return ask.confirm({ message: `${detail ?? message}. Send it there from now on, and nowhere else?`, initial: false });
}

/**
 * May a key that was tried at one address be tried at another that was typed in its place? One that was just pasted may; a
 * stored one is for where it was stored for, unless its owner says otherwise.
 */
export async function mayFollow(session: InitSession, key: Secret, access: GatewayAccess): Promise<boolean> {
  const stored = await session.secrets.find(access.keyNames);
  const same = stored.find(({ secret }) => judgedKey(secret, access, session).reveal() === key.reveal());
  const refusal = same === undefined ? undefined : await refusalOf(session.world, access, same);
  if (refusal === undefined) return true;
  if (session.ask === undefined) throw refusal;
  return isMeant(session.ask, refusal);
}

function labelOf(source: FoundSecret["source"]): string {
  return source === "vault" ? "Use the one in the vault" : "Use the one in the environment";
}

/** What speaks against sending a key that is there already to this address. */
async function refusalOf(
  world: InitWorld,
  { baseURL, name: providerName }: GatewayAccess,
  { secret, name, source }: FoundSecret,
): Promise<ZephError | undefined> {
  const origin = originOf(baseURL);
  const key = { secret, name, source: source === "vault" ? "vault" : "env" } as const;
  const verdict = await judgeKeyUse(world, key, { origin, providerName });
  const mend = `If the key is for ${origin}, give it anew with --key-stdin, or run: zeph vault bind ${name} ${origin}`;
  return verdict.kind === "allowed" ? undefined : refuseKeyUse(key, verdict, { origin, wantedBy: "`zeph init`", mend });
}

/** Without what people paste around a key into a variable. */
function judgedKey(secret: Secret, access: GatewayAccess, { facts }: InitSession): Secret {
  const judged = judgeKey(secret, access, facts.brokers);
  return "key" in judged ? judged.key : secret;
}

/** What was pasted into the key field, seen from the broker it was asked for. */
export type JudgedKey =
  | { readonly kind: "usable"; readonly key: Secret }
  /** Perhaps right all the same: prefixes change. */
  | { readonly kind: "odd"; readonly key: Secret; readonly reason: string }
  | { readonly kind: "other-broker"; readonly key: Secret; readonly broker: Broker }
  /** Opens an account of the network: it must not be sent to anybody. */
  | { readonly kind: "private-key"; readonly key: Secret }
  | { readonly kind: "refused"; readonly reason: string };

interface KeyDestination {
  readonly broker: Broker;
  readonly baseURL: string;
}

/** Judges by shape alone, before anything is sent. `reason` continues "This …" and never repeats the key. */
export function judgeKey(text: Secret, { broker, baseURL }: KeyDestination, brokers: readonly Broker[]): JudgedKey {
  const { kind, broker: owner, cleaned: key } = recognizeKey(text.reveal(), brokers);
  if (kind === "empty") return { kind: "refused", reason: "is empty" };
  if (kind === "private-key") return { kind: "private-key", key };
  if (kind === "mnemonic") {
    return { kind: "refused", reason: "looks like the recovery words of a wallet; zeph never needs them" };
  }
  if (kind === "management-key") {
    return { kind: "refused", reason: "is a management key, which cannot be used for chat; paste an ordinary one" };
  }
  if (/[^\x21-\x7e]/.test(key.reveal())) {
    return { kind: "refused", reason: "has a space or a character in it that no key has" };
  }
  const isExpected = (broker.keyPrefixes ?? []).some((prefix) => key.reveal().startsWith(prefix));
  const staysHere = broker.keyPrefixes === undefined && isLoopback(baseURL);
  if (isExpected || staysHere) return { kind: "usable", key };
  if (owner !== undefined && owner.id !== broker.id) return { kind: "other-broker", key, broker: owner };
  if (broker.keyPrefixes === undefined) return { kind: "usable", key };
  return { kind: "odd", key, reason: `does not begin with ${broker.keyPrefixes.join(" or ")}` };
}
