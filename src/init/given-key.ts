import { ZephError } from "../errors/zeph-error.ts";
import { Secret } from "../internal/secret.ts";
import type { GatewayAccess } from "./gateway-access.ts";
import type { InitRequest } from "./init-request.ts";
import type { InitSession } from "./init-session.ts";
import type { InitWorld } from "./init-world.ts";
import { judgeKey } from "./judge-key.ts";

/** The key that a flag says where to find. */
export async function givenKey(
  { world, request, facts, tell }: InitSession,
  access: GatewayAccess,
): Promise<Secret | undefined> {
  const { key } = request;
  if (key === undefined) return undefined;
  const text = await readGivenKey(world, key);
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
