import { ZephError } from "../errors/zeph-error.ts";
import { cleanChatSteps } from "./clean-up/clean-chat-request.ts";
import type { LocalGatewayOptions } from "./local-gateway-options.ts";
import { type JsonBody, type JsonObject, takeTurns } from "./read-json-body.ts";

/** A chat request made ready to be sent. */
export interface PreparedChat {
  /** The body; the caller's own text when nothing had to be changed. */
  readonly text: string;
  readonly request: JsonObject;
  readonly model: string;
  readonly stream: boolean;
  readonly removed: readonly string[];
  readonly changed: readonly string[];
}

/**
 * Chooses the model and cleans the request up. Throws `model_missing`, `invalid_request`, `unsupported_capability`.
 * @param keepToolType kinds of tools that the broker itself serves
 */
export async function prepareChat(
  { text, value }: JsonBody,
  options: LocalGatewayOptions,
  keepToolType: (type: string) => boolean,
): Promise<PreparedChat> {
  const model = chooseModel(value.model, options);
  const named = model === value.model ? value : { ...value, model };
  const { request, removed, changed } =
    options.cleanUp === "none"
      ? { request: named, removed: [], changed: [] }
      : await inTurns(cleanChatSteps(named, { access: options.access ?? "broker", keepToolType }), text);
  await takeTurns(text);
  return {
    text: request === value ? text : JSON.stringify(request),
    request,
    model,
    stream: request.stream === true,
    removed,
    changed,
  };
}

/** Does the steps of a large request's work in turns with everything else. */
async function inTurns<Result>(steps: Generator<undefined, Result>, text: string): Promise<Result> {
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
    await takeTurns(text);
  }
}

function chooseModel(given: unknown, { aliases, defaultModel }: LocalGatewayOptions): string {
  const named = typeof given === "string" && given.trim() !== "" ? given : defaultModel;
  if (named === undefined) throw new ZephError("model_missing", { detail: "the request names none" });
  return meantModel(named, aliases);
}

/** What a caller's name for a model stands for: by an alias of just this name, else by the longest `prefix*` it begins with. */
export function meantModel(named: string, aliases: LocalGatewayOptions["aliases"] = {}): string {
  if (Object.hasOwn(aliases, named)) return aliases[named] ?? named;
  const prefixes = Object.keys(aliases).filter((alias) => alias.endsWith("*") && named.startsWith(alias.slice(0, -1)));
  const longest = prefixes.sort((a, b) => b.length - a.length)[0];
  return longest === undefined ? named : (aliases[longest] ?? named);
}
