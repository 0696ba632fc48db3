import {
  ACCEPTED_PARAMETERS,
  DROPPED_PARAMETERS,
  FORCED_PARAMETERS,
  NETWORK_LIMITS,
  parameterRejection,
  REASONING_EFFORTS,
} from "../../protocol/network-parameters.ts";
import type { ChatRequest } from "../engine.ts";
import { asObject, type JsonObject, jsonDepth } from "./as-object.ts";
import { checkMessages } from "./check-messages.ts";
import { checkParameters } from "./check-parameters.ts";
import { checkTools } from "./check-tools.ts";
import { cleanMessages } from "./clean-messages.ts";
import { cleanParameters } from "./clean-parameters.ts";

export type RuledRequest =
  | { readonly kind: "accepted"; readonly request: ChatRequest }
  | { readonly kind: "refused"; readonly message: string };

/**
 * What the network gateway makes of a chat request: refused with a text that names the field, or accepted and cleaned
 * up. With `none` only what an engine needs to work at all is checked. Source: see `protocol/network-parameters.ts`.
 */
export function applyNetworkRules(body: unknown, rules: "network" | "none"): RuledRequest {
  const given = asObject(body);
  if (given === undefined) return { kind: "refused", message: "The body must be a JSON object." };
  const lifted = rules === "network" ? liftExtraBody(given) : given;
  const message = rules === "network" ? checkAll(lifted) : checkBasics(lifted);
  if (message !== undefined) return { kind: "refused", message };
  return { kind: "accepted", request: (rules === "network" ? cleanAll(lifted) : lifted) as ChatRequest };
}

/** Moves the fields of `extra_body` to the top level, where those that are there already win. */
function liftExtraBody(body: JsonObject): JsonObject {
  const { extra_body: extra, ...rest } = body;
  const { extra_body: _, ...inner } = asObject(extra) ?? {};
  return { ...inner, ...rest };
}

function checkAll(body: JsonObject): string | undefined {
  const unknown = Object.keys(body).find((name) => !ACCEPTED_PARAMETERS.has(name));
  if (unknown !== undefined) return parameterRejection(unknown);
  if (jsonDepth(body, NETWORK_LIMITS.maxJsonDepth + 1) > NETWORK_LIMITS.maxJsonDepth) {
    return `request body: nesting depth exceeded: limit ${NETWORK_LIMITS.maxJsonDepth}`;
  }
  return (
    checkBasics(body) ??
    checkMessages(body.messages as readonly unknown[]) ??
    checkEffort(body) ??
    checkParameters(body) ??
    checkTools(body.tools)
  );
}

function checkBasics(body: JsonObject): string | undefined {
  if (typeof body.model !== "string" || body.model === "") return "model: must be a non-empty string";
  const { messages } = body;
  if (!Array.isArray(messages) || messages.length === 0) return "messages: must be a non-empty array";
  if (!messages.every((message) => asObject(message) !== undefined)) return "messages: must be objects";
  return undefined;
}

function checkEffort(body: JsonObject): string | undefined {
  const effort = body.reasoning_effort ?? asObject(body.reasoning)?.effort;
  if (effort === undefined || effort === null) return undefined;
  return REASONING_EFFORTS.some((known) => known === effort)
    ? undefined
    : `reasoning_effort: must be one of ${REASONING_EFFORTS.join(", ")}`;
}

/** Forced fields go too: the gateway asks the model for log probabilities and takes them out of the answer again. */
const LEFT_OUT: ReadonlySet<string> = new Set([
  ...DROPPED_PARAMETERS,
  ...FORCED_PARAMETERS,
  "reasoning_effort",
  "reasoning",
]);

function cleanAll(body: JsonObject): JsonObject {
  const kept = Object.fromEntries(Object.entries(body).filter(([name]) => !LEFT_OUT.has(name)));
  return { ...cleanParameters(kept), messages: cleanMessages(body.messages as readonly JsonObject[]) };
}
