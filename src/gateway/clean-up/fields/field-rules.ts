import {
  answerCount,
  clamped,
  type FieldRule,
  repetitionPenalty,
  seed,
  switchValue,
  topK,
  topP,
  wholeFrom,
} from "./numbers.ts";
import { badWords, logitBias, metadata, safetyIdentifier, stop, stopTokenIds, user } from "./texts.ts";
import { reasoning, reasoningEffort, templateArguments, thinking } from "./thinking.ts";

/**
 * Bounds per field: devshard/cmd/devshardctl/paramvalidators of gonka-ai/gonka v0.2.14, see
 * `protocol/network-parameters.ts`. Fields without a rule pass as they are; `tools`, `tool_choice`, `response_format`
 * and `messages` have files of their own.
 */
export const FIELD_RULES: ReadonlyMap<string, FieldRule> = new Map<string, FieldRule>([
  ["temperature", clamped(0, 2)],
  ["top_p", topP],
  ["top_k", topK],
  ["min_p", clamped(0, 1)],
  ["frequency_penalty", clamped(-2, 2)],
  ["presence_penalty", clamped(-2, 2)],
  ["repetition_penalty", repetitionPenalty],
  ["logit_bias", logitBias],
  ["max_tokens", wholeFrom(1)],
  ["max_completion_tokens", wholeFrom(1)],
  ["min_tokens", wholeFrom(0)],
  ["n", answerCount],
  ["seed", seed],
  ["stop", stop],
  ["stop_token_ids", stopTokenIds],
  ["bad_words", badWords],
  ["user", user],
  ["safety_identifier", safetyIdentifier],
  ["metadata", metadata],
  ["stream", switchValue],
  ["skip_special_tokens", switchValue],
  ["detokenize", switchValue],
  ["parallel_tool_calls", switchValue],
  ["enable_thinking", switchValue],
  ["reasoning_split", switchValue],
  ["reasoning_effort", reasoningEffort],
  ["reasoning", reasoning],
  ["thinking", thinking],
  ["thinking_token_budget", wholeFrom(0)],
  ["chat_template_kwargs", templateArguments],
]);
