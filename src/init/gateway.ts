import type { Secret } from "../base/secret.ts";
import { type Broker, extractCostUsd, topUpPage } from "../brokers/records.ts";
import { brokerForKey, containsKey } from "../brokers/registry.ts";
import { bindKey, originOf } from "../config/trust.ts";
import { ZephError } from "../errors.ts";
import { gonkaFetch, listModels } from "../transport/gonka-fetch.ts";
import type { Model } from "../wire/models.ts";
import {
  accessTo,
  askBaseURL,
  chooseAccess,
  existingKey,
  type GatewayAccess,
  type GatewayChoice,
  givenKey,
  type JudgedKey,
  judgeKey,
  mayFollow,
} from "./access.ts";
import { type Ask, askOr, type BranchOutcome, type InitSession, type InitWorld, printable } from "./session.ts";
import { chooseModel, confirmDefault, passesTest, sendTestMessage, storeSecrets, withoutMoney } from "./steps.ts";

/** A broker, or any endpoint with an API key: address, key, model, one real message. */
export async function gatewayBranch(
  session: InitSession,
  start: { readonly choice: GatewayChoice; readonly pasted?: Secret | undefined },
): Promise<BranchOutcome> {
  const { brokers } = session.facts;
  // A key that was pasted in the other branch tells its broker, and goes to nobody else.
  const owner = start.pasted === undefined ? undefined : brokerForKey(start.pasted.reveal(), brokers);
  let access = owner === undefined ? await chooseAccess(session, start.choice) : await accessTo(session, owner);
  const fits = start.pasted !== undefined && judgeKey(start.pasted, access, brokers).kind === "usable";
  let pasted = fits ? start.pasted : undefined;
  let mode: "anew" | undefined;
  for (;;) {
    const outcome = await obtainKey(session, access, { pasted, mode });
    if (outcome.kind === "native") return { kind: "native", pasted: outcome.key };
    if (outcome.kind === "accepted") {
      const finished = await finishGateway(session, access, outcome);
      if (finished !== "another-key") return finished;
      pasted = undefined;
      mode = "anew";
      continue;
    }
    access =
      outcome.kind === "other-broker"
        ? await accessTo(session, outcome.broker)
        : await correctAddress(session, access, outcome.error);
    pasted = (await mayFollow(session, outcome.key, access)) ? outcome.key : undefined;
  }
}

/** Nobody knows the right address but the user. */
async function correctAddress(session: InitSession, access: GatewayAccess, error: ZephError): Promise<GatewayAccess> {
  if (session.ask === undefined) throw error;
  session.tell.fail(`${error.summary}: ${access.baseURL}\n${error.hint}`);
  return { ...access, baseURL: await askBaseURL(session, access.baseURL) };
}

async function finishGateway(
  session: InitSession,
  access: GatewayAccess,
  { key, models }: Extract<KeyOutcome, { kind: "accepted" }>,
): Promise<BranchOutcome | "another-key"> {
  const { world, facts } = session;
  const { name, baseURL, broker, keyNames } = access;
  const secrets = new Map([[keyNames.canonical, key]]);
  await storeSecrets(session, { entries: secrets, replacement: "confirmed" });
  if (session.secrets.backend === "age") {
    await bindKey(world, { name: keyNames.canonical, secret: key, origins: [originOf(baseURL)] });
  }

  const existing = facts.config?.providers.find((provider) => provider.name === name);
  const previous = (existing?.type === "compatible" ? existing.model : undefined) ?? variableModel(name, world);
  const model = await chooseModel(session, { models, previous });

  const { fetch, clock, random, signal } = world;
  const page = topUpPage(broker);
  const hints = page === undefined ? {} : { insufficient_quota: `Top up at ${page}, then try again.` };
  const gonka = gonkaFetch({ kind: "broker", baseURL, apiKey: key, name, fetch, clock, random, hints });
  const send = () => sendTestMessage(gonka, { model, clock, signal, costUsd: extractCostUsd });
  const reply = await passesTest(session, { model, send, keyIsReplaceable: true });
  if (reply === "another-key") return reply;

  const makeDefault = await confirmDefault(session, name);
  const answers = { path: "gateway", name, baseURL, model, secretName: keyNames.canonical, makeDefault } as const;
  return { kind: "ready", answers, secrets, reply };
}

/** GonkaGate's own tools keep the last good choice there. */
function variableModel(name: string, { env }: InitSession["world"]): string | undefined {
  const value = (env.GONKAGATE_MODEL ?? "").trim();
  return name === "gonkagate" && value !== "" && !containsKey(value) ? value : undefined;
}

/**
 * Gets a key that the endpoint accepts, and asks again in place until it has one. `pasted` is one that came earlier in
 * the conversation, `mode: "anew"` asks although there is one. Where nobody can be asked it throws what is wrong with it.
 */
async function obtainKey(
  session: InitSession,
  access: GatewayAccess,
  { pasted, mode }: { readonly pasted?: Secret | undefined; readonly mode?: "anew" | undefined } = {},
): Promise<KeyOutcome> {
  let candidate = pasted;
  if (mode !== "anew") candidate ??= (await givenKey(session, access)) ?? (await existingKey(session, access));
  for (let isFirst = true; ; isFirst = false) {
    const entered =
      candidate === undefined
        ? await enterKey(session, access, { isFirst })
        : ({ kind: "usable", key: candidate } as const);
    if (entered.kind !== "usable") return entered;
    const outcome = await tryKey(session, access, entered.key);
    if (outcome !== "ask-again") return outcome;
    candidate = undefined;
  }
}

type Tried = Exclude<KeyOutcome, Detour> | "ask-again";

async function tryKey(session: InitSession, access: GatewayAccess, key: Secret): Promise<Tried> {
  const { world, tell } = session;
  const { baseURL } = access;
  const check = await tell.work("Checking the key", () => checkKey(world, { baseURL, apiKey: key }));
  switch (check.kind) {
    case "good":
      tell.done(`Key accepted by ${new URL(baseURL).host}.`);
      return { kind: "accepted", key, models: check.models };
    case "wrong-url":
      return { kind: "wrong-url", key, error: check.error };
    case "no-credit":
      return withoutCredit(session, access, key);
    case "refused":
      if (session.ask === undefined) throw check.error;
      tell.fail(`${inWords(check.error)}\n${afterRefusal(access, check.error)}`);
      return "ask-again";
    case "unclear":
      return withoutCheck(session, access, key, check.error);
  }
}

/** What to do about a refused key. Copying it again helps against a slip in copying only. */
function afterRefusal({ broker, name }: GatewayAccess, error: ZephError): string {
  const source = broker.signupUrl ?? `where ${name} shows it`;
  if (error.code === "invalid_api_key") return `Copy it again from ${source}, and try once more.`;
  if (error.code === "management_key") return `Create an ordinary API key (${source}) and try once more with that one.`;
  return `${error.hint}\nThen try once more, with the same key or another one.`;
}

async function withoutCredit(session: InitSession, access: GatewayAccess, key: Secret): Promise<Tried> {
  const { tell, ask } = session;
  tell.warn(`The key is good, but the account has no credit. Top up: ${topUpPage(access.broker) ?? "at the broker"}`);
  const next = ask === undefined ? "keep" : await ask.select(withoutMoney({ keyIsReplaceable: true }));
  if (next === "again") return tryKey(session, access, key);
  return next === "keep" ? { kind: "accepted", key, models: undefined } : "ask-again";
}

/** The network, or a server, kept us from learning anything about the key. */
async function withoutCheck(
  session: InitSession,
  access: GatewayAccess,
  key: Secret,
  error: ZephError,
): Promise<Tried> {
  const { tell, ask, request } = session;
  const unchecked = { kind: "accepted", key, models: undefined } as const;
  if (ask === undefined) {
    if (request.test) throw error;
    tell.warn(`The key could not be checked. ${inWords(error)}`);
    return unchecked;
  }
  tell.fail(`The key could not be checked. ${inWords(error)}`);
  const next = await ask.select({
    message: "What now?",
    choices: [
      { value: "retry", label: "Try again" },
      { value: "offline", label: "Go on without a check", hint: "you type the model's id yourself" },
      { value: "another", label: "Paste another key" },
    ],
  });
  if (next === "retry") return tryKey(session, access, key);
  return next === "offline" ? unchecked : "ask-again";
}

function inWords({ summary, detail, retryAfterMs }: ZephError): string {
  const wait = retryAfterMs === undefined ? "" : ` It asks to wait ${Math.ceil(retryAfterMs / 1000)} s.`;
  return `${detail === undefined ? `${summary}.` : `${summary}: ${printable(detail)}`}${wait}`;
}

/** What an endpoint thinks of a key. */
type KeyCheck =
  | { readonly kind: "good"; readonly models: readonly Model[] }
  /** The key is right and the account is empty. */
  | { readonly kind: "no-credit"; readonly error: ZephError }
  | { readonly kind: "refused"; readonly error: ZephError }
  | { readonly kind: "wrong-url"; readonly error: ZephError }
  /** Nothing was learned about the key: no network, a failing server, too many requests. */
  | { readonly kind: "unclear"; readonly error: ZephError };

/** A person waits for the answer. */
const DEADLINES = { headersMs: 15_000, idleMs: 15_000, totalMs: 30_000 };

/** Asks `GET /models` with the key: free, and the models are wanted next anyway. Throws `insecure_url` and the abort. */
async function checkKey(
  world: Pick<InitWorld, "fetch" | "clock" | "random" | "signal">,
  access: { readonly baseURL: string; readonly apiKey: Secret },
): Promise<KeyCheck> {
  const { fetch, clock, random, signal } = world;
  const gonka = gonkaFetch({ kind: "broker", ...access, fetch, clock, random, maxAttempts: 2, deadlines: DEADLINES });
  try {
    return { kind: "good", models: await listModels(gonka, signal) };
  } catch (error) {
    if (!ZephError.is(error) || error.code === "insecure_url") throw error;
    return { kind: kindOf(error), error };
  }
}

function kindOf({ code }: ZephError): Exclude<KeyCheck["kind"], "good"> {
  switch (code) {
    case "invalid_api_key":
    case "management_key":
    case "account_not_ready":
    case "forbidden":
      return "refused";
    case "insufficient_quota":
      return "no-credit";
    case "wrong_url":
    case "model_not_found":
    case "endpoint_moved":
    case "endpoint_gone":
      return "wrong-url";
    default:
      return "unclear";
  }
}

type Entered = { readonly kind: "usable"; readonly key: Secret } | Detour;

/** Asks for a key until one was pasted that may be sent to this endpoint, or one that leads elsewhere. */
async function enterKey(
  session: InitSession,
  access: GatewayAccess,
  { isFirst }: { readonly isFirst: boolean },
): Promise<Entered> {
  const { facts, tell } = session;
  const ask = askOr(session, "--key-stdin or --key-env NAME");
  const judge = (text: Secret) => judgeKey(text, access, facts.brokers);
  let message = isFirst ? firstQuestion(access) : question(access);
  if (isFirst && access.broker.signupUrl !== undefined) tell.info(`No key yet? ${access.broker.signupUrl}`);
  let before: Secret | undefined;
  for (;;) {
    const check = (text: Secret) => {
      const judged = judge(text);
      return judged.kind === "refused" ? `This ${judged.reason}.` : undefined;
    };
    const judged = judge(await ask.hidden({ message, check }));
    message = question(access);
    if (judged.kind === "usable") return judged;
    if (judged.kind === "refused") continue;
    const detour = await offerDetour(ask, tell, judged, access);
    if (detour !== undefined) return detour;
    if (judged.kind === "private-key") continue;
    if (before?.reveal() === judged.key.reveal()) {
      // Prefixes may change: whoever pastes the same twice and says yes knows better than this program.
      const isMeant = await ask.confirm({ message: `Use it for ${access.name} all the same?` });
      if (isMeant) return { kind: "usable", key: judged.key };
    }
    before = judged.key;
    tell.warn(
      `${judged.kind === "odd" ? `This ${judged.reason}. ` : ""}If it is right all the same, paste it once more.`,
    );
  }
}

function question({ broker, name }: GatewayAccess): string {
  return broker.id === "custom" ? `API key for ${name}` : `${broker.name} API key`;
}

function firstQuestion(access: GatewayAccess): string {
  const { keyPrefixes = [] } = access.broker;
  if (keyPrefixes.length === 0) return question(access);
  return `${question(access)} (starts with ${keyPrefixes.map((prefix) => `${prefix}…`).join(" or ")})`;
}

/** A key of somebody else's. It has been sent nowhere. */
async function offerDetour(
  ask: Ask,
  tell: InitSession["tell"],
  judged: JudgedKey,
  { baseURL }: GatewayAccess,
): Promise<Detour | undefined> {
  if (judged.kind === "private-key") {
    tell.warn("This looks like a private key. It was not sent anywhere; no broker needs it.");
    const wantsNative = await ask.confirm({ message: "Set up signed requests (native) with it instead?" });
    return wantsNative ? { kind: "native", key: judged.key } : undefined;
  }
  if (judged.kind !== "other-broker") return undefined;
  tell.warn(`This looks like a key of ${judged.broker.name}. It was not sent to ${new URL(baseURL).host}.`);
  return (await ask.confirm({ message: `Set up ${judged.broker.name} instead?`, initial: true })) ? judged : undefined;
}

/** A key was pasted that belongs elsewhere, and its owner wants to go there. It was sent nowhere. */
type Detour =
  | { readonly kind: "native"; readonly key: Secret }
  | { readonly kind: "other-broker"; readonly broker: Broker; readonly key: Secret };

/** How the question for the key ended. */
type KeyOutcome =
  | {
      readonly kind: "accepted";
      readonly key: Secret;
      /** The live list; `undefined` when it could not be read. */
      readonly models: readonly Model[] | undefined;
    }
  /** What is at this address does not speak the API. */
  | { readonly kind: "wrong-url"; readonly key: Secret; readonly error: ZephError }
  | Detour;
