import type { Secret } from "../base/secret.ts";
import { type Broker, extractCostUsd, topUpPage } from "../brokers/records.ts";
import { brokerForKey, containsKey } from "../brokers/registry.ts";
import { bindKey, originOf } from "../config/trust.ts";
import { ZephError, type ZephErrorCode } from "../errors.ts";
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
import { type Ask, askOr, type BranchOutcome, type InitSession, printable } from "./session.ts";
import {
  chooseModel,
  confirmDefault,
  KEY_FAULTS,
  passesTest,
  sendTestMessage,
  storeSecrets,
  withoutMoney,
} from "./steps.ts";

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
        ? await enterKey(session, access, isFirst)
        : ({ kind: "usable", key: candidate } as const);
    if (entered.kind !== "usable") return entered;
    const outcome = await tryKey(session, access, entered.key);
    if (outcome !== "ask-again") return outcome;
    candidate = undefined;
  }
}

type Tried = Exclude<KeyOutcome, Detour> | "ask-again";

/** Asks `GET /models` with the key: free, and the models are wanted next anyway. */
async function tryKey(session: InitSession, access: GatewayAccess, key: Secret): Promise<Tried> {
  const { world, tell, ask, request } = session;
  const { baseURL, broker } = access;
  const { fetch, clock, random, signal } = world;
  const unchecked = { kind: "accepted", key, models: undefined } as const;
  const common = { fetch, clock, random, maxAttempts: 2, deadlines: DEADLINES } as const;
  const gonka = gonkaFetch({ kind: "broker", baseURL, apiKey: key, ...common });
  try {
    const models = await tell.work("Checking the key", () => listModels(gonka, signal));
    tell.done(`Key accepted by ${new URL(baseURL).host}.`);
    return { kind: "accepted", key, models };
  } catch (error) {
    if (!ZephError.is(error) || error.code === "insecure_url") throw error;
    if (WRONG_ADDRESS.has(error.code)) return { kind: "wrong-url", key, error };
    if (error.code === "insufficient_quota") {
      tell.warn(`The key is good, but the account has no credit. Top up: ${topUpPage(broker) ?? "at the broker"}`);
      const next = ask === undefined ? "keep" : await ask.select(withoutMoney({ keyIsReplaceable: true }));
      if (next === "again") return tryKey(session, access, key);
      return next === "keep" ? unchecked : "ask-again";
    }
    if (KEY_FAULTS.has(error.code)) {
      if (ask === undefined) throw error;
      tell.fail(`${inWords(error)}\n${afterRefusal(access, error)}`);
      return "ask-again";
    }
    // The network, or a server, kept us from learning anything about the key.
    if (ask === undefined && request.test) throw error;
    const words = `The key could not be checked. ${inWords(error)}`;
    if (ask === undefined) {
      tell.warn(words);
      return unchecked;
    }
    tell.fail(words);
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
}

/** A person waits for the answer. */
const DEADLINES = { headersMs: 15_000, idleMs: 15_000, totalMs: 30_000 };

/** Nothing at this address speaks the API. */
const WRONG_ADDRESS: ReadonlySet<ZephErrorCode> = new Set([
  "wrong_url",
  "model_not_found",
  "endpoint_moved",
  "endpoint_gone",
]);

/** What to do about a refused key. Copying it again helps against a slip in copying only. */
function afterRefusal({ broker, name }: GatewayAccess, error: ZephError): string {
  const source = broker.signupUrl ?? `where ${name} shows it`;
  if (error.code === "invalid_api_key") return `Copy it again from ${source}, and try once more.`;
  if (error.code === "management_key") return `Create an ordinary API key (${source}) and try once more with that one.`;
  return `${error.hint}\nThen try once more, with the same key or another one.`;
}

function inWords({ summary, detail, retryAfterMs }: ZephError): string {
  const wait = retryAfterMs === undefined ? "" : ` It asks to wait ${Math.ceil(retryAfterMs / 1000)} s.`;
  return `${detail === undefined ? `${summary}.` : `${summary}: ${printable(detail)}`}${wait}`;
}

/** Asks for a key until one was pasted that may be sent to this endpoint, or one that leads elsewhere. */
async function enterKey(
  session: InitSession,
  access: GatewayAccess,
  isFirst: boolean,
): Promise<{ readonly kind: "usable"; readonly key: Secret } | Detour> {
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
