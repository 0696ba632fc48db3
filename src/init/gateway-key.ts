import { topUpPage } from "../brokers/broker.ts";
import type { ZephError } from "../errors/zeph-error.ts";
import type { Secret } from "../internal/secret.ts";
import { checkKey } from "./check-key.ts";
import { enterKey } from "./enter-key.ts";
import type { GatewayAccess } from "./gateway-access.ts";
import { existingKey, givenKey } from "./given-key.ts";
import type { InitSession } from "./init-session.ts";
import type { Detour, KeyOutcome } from "./key-outcome.ts";
import { withoutMoney } from "./passes-test.ts";
import { printable } from "./printable.ts";

/**
 * Gets a key that the endpoint accepts, and asks again in place until it has one. `pasted` is one that came earlier in
 * the conversation, `mode: "anew"` asks although there is one. Where nobody can be asked it throws what is wrong with it.
 */
export async function obtainKey(
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
