import { REASONING_EFFORTS } from "../protocol/network-parameters.ts";
import type { ChatSession } from "./session.ts";

export type ReasoningEffort = (typeof REASONING_EFFORTS)[number];

/** How much the model shall think, as the user said it. Absent: as the config says, else as the model likes. */
export interface Thinking {
  readonly effort?: ReasoningEffort;
  /** Most tokens; 0 switches thinking off. */
  readonly tokens?: number;
}

/** Names under which model lists tell that a model takes one. */
const EFFORT_NAMES = ["reasoning_effort", "reasoning"];
const TOKENS_NAMES = ["thinking_token_budget", "thinking_budget"];

/** Whether the model takes it; `unknown` where its list names no parameters, as most do. */
export type Support = "yes" | "no" | "unknown";

export function supportsEffort(session: Pick<ChatSession, "parameters">): Support {
  return supports(session, EFFORT_NAMES);
}

export function supportsThinkTokens(session: Pick<ChatSession, "parameters">): Support {
  return supports(session, TOKENS_NAMES);
}

function supports({ parameters }: Pick<ChatSession, "parameters">, names: readonly string[]): Support {
  if (parameters === undefined) return "unknown";
  return names.some((name) => parameters.includes(name)) ? "yes" : "no";
}

export function toReasoningEffort(text: string): ReasoningEffort | undefined {
  return REASONING_EFFORTS.find((effort) => effort === text.toLowerCase());
}

/** Options of the model under `gonka`. */
export type ThinkingOptions = {
  readonly reasoningEffort?: ReasoningEffort;
  readonly thinkingTokenBudget?: number;
  readonly thinking?: { readonly type: "disabled" };
};

/**
 * What is sent. The user's own word goes out unless the model is known not to take it; the config's only where it is
 * known to take it: an endpoint may refuse a request for a field it does not know.
 */
export function thinkingOptions(session: ChatSession, { effort, tokens }: Thinking): ThinkingOptions {
  const configured = supportsEffort(session) === "yes" ? toReasoningEffort(session.reasoningEffort ?? "") : undefined;
  const wanted = supportsEffort(session) === "no" ? undefined : (effort ?? configured);
  const budget = supportsThinkTokens(session) === "no" ? undefined : tokens;
  return {
    ...(wanted === undefined ? {} : { reasoningEffort: wanted }),
    ...(budget === undefined ? {} : { thinkingTokenBudget: budget }),
    // A budget alone does not switch thinking off: gonka-ai/gonka docs/chat-api/README.md (2026-07).
    ...(budget === 0 ? { thinking: { type: "disabled" } } : {}),
  };
}
