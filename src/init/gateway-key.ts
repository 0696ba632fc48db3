import { topUpPage } from "../brokers/broker.ts";
import { ZephError } from "../errors/zeph-error.ts";
import type { Secret } from "../internal/secret.ts";
import { checkKey } from "./check-key.ts";
import { enterKey } from "./enter-key.ts";
import type { GatewayAccess } from "./gateway-access.ts";
import { existingKey, givenKey } from "./given-key.ts";
import type { InitSession } from "./init-session.ts";
import type { Detour, KeyOutcome } from "./key-outcome.ts";
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
      return withoutCredit(session, access, key, check.error);
    case "refused":
      if (session.ask === undefined) throw check.error;
      tell.fail(
        `${inWords(check.error)}\nCopy it again from ${access.broker.signupUrl ?? `where ${access.name} shows it`}, and try once more.`,
      );
      return "ask-again";
    case "unclear":
      return withoutCheck(session, access, key, check.error);
  }
}

async function withoutCredit(
  session: InitSession,
  access: GatewayAccess,
  key: Secret,
  error: ZephError,
): Promise<Tried> {
  const { tell, ask } = session;
  tell.warn(`The key is good, but the account has no credit. Top up: ${topUpPage(access.broker) ?? "at the broker"}`);
  const goesOn = ask === undefined || (await ask.confirm({ message: "Go on all the same?", initial: true }));
  if (!goesOn) throw new ZephError("cancelled", { cause: error });
  return { kind: "accepted", key, models: undefined };
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

function inWords({ summary, detail }: ZephError): string {
  return detail === undefined ? `${summary}.` : `${summary}: ${printable(detail)}`;
}
