import { topUpPage } from "../brokers/broker.ts";
import { containsKey } from "../brokers/contains-key.ts";
import { extractCostUsd } from "../brokers/cost.ts";
import { brokerForKey } from "../brokers/registry.ts";
import { gonkaFetch } from "../client/gonka-fetch.ts";
import { bindKey, originOf } from "../config/key-origins.ts";
import type { ZephError } from "../errors/zeph-error.ts";
import type { Secret } from "../internal/secret.ts";
import type { BranchOutcome } from "./branch-outcome.ts";
import { chooseModel } from "./choose-model.ts";
import { confirmDefault } from "./confirm-default.ts";
import { accessTo, askBaseURL, chooseAccess, type GatewayAccess, type GatewayChoice } from "./gateway-access.ts";
import { obtainKey } from "./gateway-key.ts";
import { mayFollow } from "./given-key.ts";
import type { InitSession } from "./init-session.ts";
import { judgeKey } from "./judge-key.ts";
import type { KeyOutcome } from "./key-outcome.ts";
import { passesTest } from "./passes-test.ts";
import { storeSecrets } from "./store-secrets.ts";
import { sendTestMessage } from "./test-message.ts";

/** A broker, or any endpoint with an API key: address, key, model, one real message. */
export async function gatewayBranch(
  session: InitSession,
  start: { readonly choice: GatewayChoice; readonly pasted?: Secret },
): Promise<BranchOutcome> {
  let access = await startAccess(session, start);
  let pasted = start.pasted !== undefined && fits(start.pasted, access, session) ? start.pasted : undefined;
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

/** A key that was pasted in the other branch tells its broker. */
async function startAccess(
  session: InitSession,
  { choice, pasted }: { readonly choice: GatewayChoice; readonly pasted?: Secret },
): Promise<GatewayAccess> {
  const owner = pasted === undefined ? undefined : brokerForKey(pasted.reveal(), session.facts.brokers);
  return owner === undefined ? chooseAccess(session, choice) : accessTo(session, owner);
}

/** A key goes to nobody but its own broker, unless its owner insists where it is asked for. */
function fits(key: Secret, access: GatewayAccess, { facts }: InitSession): boolean {
  return judgeKey(key, access, facts.brokers).kind === "usable";
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
  const costUsd = (body: unknown, headers: Headers) => extractCostUsd(body, headers, broker.costRules);
  const send = () => sendTestMessage(gonka, { model, clock, signal, costUsd });
  const reply = await passesTest(session, { model, send, keyIsReplaceable: true });
  if (reply === "another-key") return reply;

  const makeDefault = await confirmDefault(session, name);
  const answers = { path: "gateway", name, baseURL, model, secretName: keyNames.canonical, makeDefault } as const;
  return { kind: "ready", answers, secrets, ...(reply === undefined ? {} : { reply }) };
}

/** GonkaGate's own tools keep the last good choice there. */
function variableModel(name: string, { env }: InitSession["world"]): string | undefined {
  const value = (env.GONKAGATE_MODEL ?? "").trim();
  return name === "gonkagate" && value !== "" && !containsKey(value) ? value : undefined;
}
