import { NETWORK_LIMITS } from "../../protocol/network-parameters.ts";
import { nullUnionsFor } from "../../protocol/schema/fit-request-schemas.ts";
import { type ChangeSummary, changeLog } from "./change-log.ts";
import { cleanFields } from "./clean-fields.ts";
import { cleanResponseFormat } from "./clean-response-format.ts";
import { cleanTools } from "./clean-tools.ts";
import type { CleanUpOptions } from "./clean-up-options.ts";
import { invalid } from "./invalid.ts";
import { type JsonObject, jsonDepth } from "./json.ts";
import { liftExtraBody } from "./lift-extra-body.ts";
import { cleanMessages } from "./messages/clean-messages.ts";
import { translateLegacy } from "./translate-legacy.ts";

export interface CleanedChat extends ChangeSummary {
  /** The given object itself when nothing was changed. */
  readonly request: JsonObject;
}

/**
 * Makes a chat request fit the rules that the network publishes (see `protocol/network-parameters.ts`): unknown fields
 * go, values come within their bounds, schemas lose their references, tool calls get ids of their own. What cannot be
 * mended is thrown: `invalid_request`, or `unsupported_capability` for images.
 *
 * One step is work of a few milliseconds at most; between two steps others may have their turn.
 *
 * @example
 * cleanChatSteps({ model: "m", messages, tags: ["x"], temperature: 3 }, options)
 * // in the end: request { model: "m", messages, temperature: 2 }, removed ["tags"], changed ["temperature"]
 */
export function* cleanChatSteps(
  body: JsonObject,
  options: Pick<CleanUpOptions, "access" | "keepToolType">,
): Generator<undefined, CleanedChat> {
  const log = changeLog();
  const request = cleanFields(translateLegacy(liftExtraBody(body, log), log), log);
  const { model } = request;
  if (typeof model !== "string" || model === "") throw invalid("model", "must be a text");
  if (request.messages === undefined && "input" in body) {
    throw invalid(
      "messages",
      "is missing; this looks like a request of the Responses API, whose path is /v1/responses",
    );
  }
  yield;
  yield* cleanTools(request, log, { ...options, nullUnions: nullUnionsFor(model) });
  cleanResponseFormat(request, log, model);
  yield;
  const messages = yield* cleanMessages(request.messages, log, { ...options, nullUnions: "keep" });
  yield;
  const { summary } = log;
  const cleaned = summary.isUntouched ? body : { ...request, messages };
  if (jsonDepth(cleaned, NETWORK_LIMITS.maxJsonDepth + 1) > NETWORK_LIMITS.maxJsonDepth) {
    throw invalid("tools", `the request is nested deeper than ${NETWORK_LIMITS.maxJsonDepth} levels`);
  }
  return { ...summary, request: cleaned };
}
