import type { SharedV3Warning } from "@ai-sdk/provider";
import { withFittedSchemas } from "./with-fitted-schemas.ts";

/**
 * `providerOptions.gonka`. Everything is optional; what a model does not know it ignores. Names of the wire
 * (`min_p`) are passed on as they are, too. Bounds: gonka-ai/gonka docs/chat-api/README.md (2026-07).
 */
export interface GonkaLanguageModelOptions {
  /** Your own id for the end user, at most 512 bytes. */
  readonly user?: string;
  /** Accepted by the network and then left out: no model of it reads this today. */
  readonly reasoningEffort?: "none" | "minimal" | "low" | "medium" | "high" | "xhigh";
  /** Default true: the answer must fit the schema exactly. */
  readonly strictJsonSchema?: boolean;
  /** Switches thinking on or off where the model can (Kimi). To switch it off for good, also set the budget to 0. */
  readonly thinking?: { readonly type: "enabled" | "disabled" };
  /** Most tokens spent on thinking (Kimi). */
  readonly thinkingTokenBudget?: number;
  /** MiniMax: thinking comes apart from the answer instead of inside it. */
  readonly reasoningSplit?: boolean;
  /** 0 to 1. */
  readonly minP?: number;
  /** Above 0, at most 2. */
  readonly repetitionPenalty?: number;
  readonly minTokens?: number;
  /** At most 64 ids. */
  readonly stopTokenIds?: readonly number[];
  /** At most 64 words. */
  readonly badWords?: readonly string[];
  /** Token id to a value from -100 to 100. */
  readonly logitBias?: Readonly<Record<string, number>>;
  /** False: at most one tool call in an answer. */
  readonly parallelToolCalls?: boolean;
  readonly chatTemplateKwargs?: Readonly<Record<string, unknown>>;
  /** At most 16 entries; names of 64 and values of 512 characters. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** GonkaGate's plugins: `web`, `file-parser`, `response-healing`, `privacy-sanitization`. */
  readonly plugins?: readonly Readonly<Record<string, unknown>>[];
}

/** Options whose name differs on the wire. */
const WIRE_NAMES: Readonly<Record<string, string>> = {
  badWords: "bad_words",
  chatTemplateKwargs: "chat_template_kwargs",
  logitBias: "logit_bias",
  minP: "min_p",
  minTokens: "min_tokens",
  parallelToolCalls: "parallel_tool_calls",
  reasoningSplit: "reasoning_split",
  repetitionPenalty: "repetition_penalty",
  stopTokenIds: "stop_token_ids",
  thinkingTokenBudget: "thinking_token_budget",
};

/** The request's body with the wire's names, without what the network would refuse; warnings say what was changed. */
export function toWireBody(
  body: Readonly<Record<string, unknown>>,
  warnings: SharedV3Warning[] = [],
): Record<string, unknown> {
  const { verbosity, ...rest } = body;
  if (verbosity !== undefined) {
    warnings.push({ type: "unsupported", feature: "textVerbosity", details: "The Gonka network refuses it." });
  }
  if (rest.tool_choice === "required") {
    const details = "The Gonka network reads it as auto: the model may answer without calling a tool.";
    warnings.push({ type: "compatibility", feature: "toolChoice required", details });
  }
  const fitted = withFittedSchemas(rest, warnings);
  return Object.fromEntries(Object.entries(fitted).map(([name, value]) => [WIRE_NAMES[name] ?? name, value]));
}
