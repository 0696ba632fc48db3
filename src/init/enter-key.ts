import type { Secret } from "../internal/secret.ts";
import type { Ask } from "./ask.ts";
import type { GatewayAccess } from "./gateway-access.ts";
import { askOr, type InitSession } from "./init-session.ts";
import { type JudgedKey, judgeKey } from "./judge-key.ts";
import type { Detour } from "./key-outcome.ts";

type Entered = { readonly kind: "usable"; readonly key: Secret } | Detour;

/** Asks for a key until one was pasted that may be sent to this endpoint, or one that leads elsewhere. */
export async function enterKey(
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
