import { ZephError } from "../errors/zeph-error.ts";
import type { LocalGatewayOptions } from "./local-gateway-options.ts";
import type { JsonBody } from "./read-json-body.ts";

/** A chat request made ready to be sent. */
export interface PreparedChat {
  /** The body; the caller's own text when nothing had to be changed. */
  readonly text: string;
  readonly model: string;
  readonly stream: boolean;
  readonly removed: readonly string[];
  readonly changed: readonly string[];
}

export function prepareChat(
  { text, value }: JsonBody,
  { aliases = {}, defaultModel }: LocalGatewayOptions,
): PreparedChat {
  const model = chooseModel(value.model, aliases, defaultModel);
  return {
    text: model === value.model ? text : JSON.stringify({ ...value, model }),
    model,
    stream: value.stream === true,
    removed: [],
    changed: [],
  };
}

function chooseModel(
  given: unknown,
  aliases: Readonly<Record<string, string>>,
  defaultModel: string | undefined,
): string {
  const named = typeof given === "string" && given.trim() !== "" ? given : defaultModel;
  if (named === undefined) throw new ZephError("model_missing", { detail: "the request names none" });
  return Object.hasOwn(aliases, named) ? (aliases[named] ?? named) : named;
}
