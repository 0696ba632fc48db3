import { originOf } from "../config/key-origins.ts";
import { ZephError } from "../errors/zeph-error.ts";
import { Secret } from "../internal/secret.ts";
import { judgeKeyUse, refuseKeyUse } from "../provider/key-guard.ts";
import type { GatewayAccess } from "./gateway-access.ts";
import type { InitRequest } from "./init-request.ts";
import type { InitSession } from "./init-session.ts";
import type { InitWorld } from "./init-world.ts";
import { judgeKey } from "./judge-key.ts";
import type { FoundSecret } from "./secret-store.ts";

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
  return chosen === ANOTHER ? undefined : judgedKey(chosen, access, session);
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
  const fact = refusal.detail ?? refusal.message;
  // Names both addresses; who presses Enter without reading has said no.
  return session.ask.confirm({ message: `${fact}. Send it there from now on, and nowhere else?`, initial: false });
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
