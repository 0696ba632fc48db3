import { type Broker, topUpPage } from "../brokers/broker.ts";
import { ZephError } from "../errors/zeph-error.ts";
import { Secret } from "../internal/secret.ts";
import type { Model } from "../protocol/models.ts";
import { checkKey } from "./check-key.ts";
import type { GatewayAccess } from "./gateway-access.ts";
import { askOr, type InitSession } from "./init-session.ts";
import { judgeKey } from "./judge-key.ts";

/** A key was pasted that belongs elsewhere, and its owner wants to go there. It was sent nowhere. */
export type Detour =
  | { readonly kind: "native"; readonly key: Secret }
  | { readonly kind: "other-broker"; readonly broker: Broker; readonly key: Secret };

/** How the question for the key ended. */
export type KeyOutcome =
  | {
      readonly kind: "accepted";
      readonly key: Secret;
      /** The live list; `undefined` when it could not be read. */
      readonly models: readonly Model[] | undefined;
    }
  /** What is at this address does not speak the API. */
  | { readonly kind: "wrong-url"; readonly key: Secret; readonly error: ZephError }
  | Detour;

type Entered = { readonly kind: "usable"; readonly key: Secret } | Detour;

/**
 * Gets a key that the endpoint accepts, and asks again in place until it has one. `pasted` is one that came earlier in
 * the conversation. Where nobody can be asked it throws what is wrong with the key.
 */
export async function obtainKey(session: InitSession, access: GatewayAccess, pasted?: Secret): Promise<KeyOutcome> {
  let candidate = pasted ?? (await givenKey(session, access)) ?? (await existingKey(session, access));
  for (;;) {
    const entered: Entered =
      candidate === undefined ? await enterKey(session, access) : { kind: "usable", key: candidate };
    if (entered.kind !== "usable") return entered;
    const outcome = await tryKey(session, access, entered.key);
    if (outcome !== "ask-again") return outcome;
    candidate = undefined;
  }
}

/** The key that a flag says where to find. */
async function givenKey(
  { world, request, facts, tell }: InitSession,
  access: GatewayAccess,
): Promise<Secret | undefined> {
  const { key } = request;
  if (key === undefined) return undefined;
  const text = key.from === "stdin" ? await world.readStdinSecret() : fromVariable(world.env, key.variable);
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
      throw new ZephError("invalid_api_key", { detail: `what was given ${judged.reason}` });
  }
}

function fromVariable(env: InitSession["world"]["env"], variable: string): Secret {
  const value = (env[variable] ?? "").trim();
  if (value === "") throw new ZephError("missing_input", { detail: `--key-env ${variable}: this variable is not set` });
  return new Secret(value);
}

const ANOTHER = Symbol("another key");

/** A key in the vault or the environment, offered by name and source. */
async function existingKey(session: InitSession, access: GatewayAccess): Promise<Secret | undefined> {
  const seen = new Set<string>();
  const found = (await session.secrets.find(access.keyNames)).filter(({ secret }) => {
    const isNew = !seen.has(secret.reveal());
    seen.add(secret.reveal());
    return isNew && ["usable", "odd"].includes(judgeKey(secret, access, session.facts.brokers).kind);
  });
  const [first] = found;
  if (session.ask === undefined) {
    if (first !== undefined) return judgedKey(first.secret, access, session);
    throw new ZephError("missing_input", { detail: "--key-stdin or --key-env NAME" });
  }
  if (first === undefined) return undefined;
  const chosen = await session.ask.select<Secret | typeof ANOTHER>({
    message: `${access.broker.name} API key`,
    choices: [
      ...found.map(({ secret, name, source }) => ({
        value: secret,
        label: source === "vault" ? `Use the one in the vault` : `Use the one in the environment`,
        hint: name,
      })),
      { value: ANOTHER, label: "Paste another one" },
    ],
  });
  return chosen === ANOTHER ? undefined : judgedKey(chosen, access, session);
}

/** Without what people paste around a key into a variable. */
function judgedKey(secret: Secret, access: GatewayAccess, { facts }: InitSession): Secret {
  const judged = judgeKey(secret, access, facts.brokers);
  return "key" in judged ? judged.key : secret;
}

async function enterKey(session: InitSession, access: GatewayAccess): Promise<Entered> {
  const ask = askOr(session, "--key-stdin or --key-env NAME");
  const { tell, facts } = session;
  let oddBefore: string | undefined;
  for (;;) {
    const text = await ask.hidden({
      message: keyQuestion(access),
      check: (value) => {
        const judged = judgeKey(value, access, facts.brokers);
        return judged.kind === "refused" ? `This ${judged.reason}.` : undefined;
      },
    });
    const judged = judgeKey(text, access, facts.brokers);
    if (judged.kind === "usable") return judged;
    if (judged.kind === "private-key") {
      tell.warn("This looks like a private key. It was not sent anywhere, and no broker needs it.");
      if (await ask.confirm({ message: "Set up signed requests (native) with it instead?" })) {
        return { kind: "native", key: judged.key };
      }
    }
    if (judged.kind === "other-broker") {
      tell.warn(`This looks like a key of ${judged.broker.name}. It was not sent to ${new URL(access.baseURL).host}.`);
      if (await ask.confirm({ message: `Set up ${judged.broker.name} instead?`, initial: true })) return judged;
    }
    if (judged.kind === "odd" || judged.kind === "other-broker") {
      const isRepeated = oddBefore === judged.key.reveal();
      if (isRepeated && (await ask.confirm({ message: `Use it for ${access.name} all the same?` }))) {
        return { kind: "usable", key: judged.key };
      }
      oddBefore = judged.key.reveal();
      const reason = judged.kind === "odd" ? `This ${judged.reason}. ` : "";
      tell.warn(`${reason}Paste it once more if it is right all the same.`);
    }
  }
}

function keyQuestion({ broker, name }: GatewayAccess): string {
  if (broker.id === "custom") return `API key for ${name}`;
  const prefixes = broker.keyPrefixes ?? [];
  const looks = prefixes.length === 0 ? "" : ` (starts with ${prefixes.map((prefix) => `${prefix}…`).join(" or ")})`;
  const page = broker.signupUrl === undefined ? "" : `\nNo key yet? ${broker.signupUrl}`;
  return `${broker.name} API key${looks}${page}`;
}

async function tryKey(
  session: InitSession,
  access: GatewayAccess,
  key: Secret,
): Promise<Exclude<KeyOutcome, Detour> | "ask-again"> {
  const { world, tell, ask, request } = session;
  const { baseURL, broker } = access;
  const check = await tell.work("Checking the key", () => checkKey(world, { baseURL, apiKey: key }));
  if (check.kind === "good") {
    tell.done(`Key accepted by ${new URL(baseURL).host}.`);
    return { kind: "accepted", key, models: check.models };
  }
  const { error } = check;
  if (check.kind === "wrong-url") return { kind: "wrong-url", key, error };
  if (check.kind === "no-credit") {
    tell.warn(`The key is good, but the account has no credit. Top up: ${topUpPage(broker) ?? "at the broker"}`);
    if (ask !== undefined && !(await ask.confirm({ message: "Go on all the same?", initial: true }))) throw error;
    return { kind: "accepted", key, models: undefined };
  }
  const words = error.detail === undefined ? error.summary : `${error.summary}: ${error.detail}`;
  if (check.kind === "refused") {
    if (ask === undefined) throw error;
    tell.fail(
      `${words}\n${access.broker.signupUrl === undefined ? "" : "A key of one broker is refused by another. "}Try again.`,
    );
    return "ask-again";
  }
  if (ask === undefined) {
    if (request.test) throw error;
    tell.warn(`The key could not be checked: ${words}`);
    return { kind: "accepted", key, models: undefined };
  }
  tell.fail(`The key could not be checked. ${words}`);
  const next = await ask.select({
    message: "What now?",
    choices: [
      { value: "retry", label: "Try again" },
      { value: "offline", label: "Go on without a check", hint: "you type the model's id yourself" },
      { value: "another", label: "Paste another key" },
    ],
  });
  if (next === "retry") return tryKey(session, access, key);
  return next === "offline" ? { kind: "accepted", key, models: undefined } : "ask-again";
}
