import { ACCEPTED_PARAMETERS, parameterRejection } from "../../protocol/network-parameters.ts";
import type { ChatRequest } from "../engine.ts";

export type RuledRequest =
  | { readonly kind: "accepted"; readonly request: ChatRequest }
  | { readonly kind: "refused"; readonly message: string };

export function applyNetworkRules(body: unknown, rules: "network" | "none"): RuledRequest {
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    return { kind: "refused", message: "The body must be a JSON object." };
  }
  if (rules === "network") {
    const unknown = Object.keys(body).find((name) => !ACCEPTED_PARAMETERS.has(name));
    if (unknown !== undefined) return { kind: "refused", message: parameterRejection(unknown) };
  }
  return { kind: "accepted", request: body as ChatRequest };
}
