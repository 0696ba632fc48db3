/**
 * What the Gonka network gateway does with each top-level field of a chat request, and the bounds it sets. A field that
 * is in none of these lists makes it refuse the whole request.
 *
 * Source: gonka-ai/gonka devshard/cmd/devshardctl/request_filters*.go, paramvalidators/, messagevalidators/ and
 * docs/chat-api/README.md, tree of 2026-07-23 (v0.2.14), read in the fork kaitakuai/gonka at ee730031. The list holds
 * 50 names; the one of 2026-06-19 (8a35022b) lacks `reasoning_split`. Later versions may know more.
 */

/** Passed on to the model, within the bounds of {@link NETWORK_LIMITS}. */
export const PASSED_PARAMETERS = [
  "model",
  "messages",
  "stream",
  "stream_options",
  "temperature",
  "top_p",
  "top_k",
  "min_p",
  "frequency_penalty",
  "presence_penalty",
  "repetition_penalty",
  "logit_bias",
  "max_tokens",
  "max_completion_tokens",
  "stop",
  "n",
  "seed",
  "response_format",
  "structured_outputs",
  "tools",
  "tool_choice",
  "parallel_tool_calls",
  "user",
  "metadata",
  "min_tokens",
  "bad_words",
  "stop_token_ids",
  "skip_special_tokens",
  "detokenize",
  "chat_template_kwargs",
  "thinking",
  "thinking_token_budget",
  "reasoning_split",
] as const;

/** Set by the network to values of its own, whatever the caller sent. */
export const FORCED_PARAMETERS = ["logprobs", "top_logprobs", "return_token_ids"] as const;

/** Accepted and thrown away. */
export const DROPPED_PARAMETERS = [
  "service_tier",
  "store",
  "provider",
  "plugins",
  "prompt_cache_key",
  "cache_key",
  "extra_headers",
  "thinking_config",
  "think",
  "safety_identifier",
] as const;

/** Turned into something else: lifted, validated and dropped, or moved into `chat_template_kwargs`. */
export const TRANSLATED_PARAMETERS = ["extra_body", "reasoning_effort", "reasoning", "enable_thinking"] as const;

const ACCEPTED: ReadonlySet<string> = new Set([
  ...PASSED_PARAMETERS,
  ...FORCED_PARAMETERS,
  ...DROPPED_PARAMETERS,
  ...TRANSLATED_PARAMETERS,
]);

/** The 50 names a request may have at its top level. */
export const ACCEPTED_PARAMETERS: ReadonlySet<string> = ACCEPTED;

/** Values `reasoning_effort` may have; anything else is refused, although the field itself is dropped. */
export const REASONING_EFFORTS = ["none", "minimal", "low", "medium", "high", "xhigh"] as const;

/** Roles a message may have. */
export const MESSAGE_ROLES = ["developer", "system", "user", "assistant", "tool", "function"] as const;

/** JSON Schema keywords that refer to another schema; the network resolves none of them. */
export const SCHEMA_REFERENCE_KEYWORDS = ["$ref", "$defs", "definitions"] as const;

/** Keys that `chat_template_kwargs` may not have, as they would take over the template itself. */
export const FORBIDDEN_TEMPLATE_KEYS = [
  "chat_template",
  "tokenize",
  "tools",
  "documents",
  "conversation",
  "continue_final_message",
  "padding",
  "truncation",
  "max_length",
  "return_tensors",
  "return_dict",
] as const;

/** Bounds of a JSON schema. The root is at depth 1; maps such as `properties` are not counted, their values are. */
export interface SchemaLimits {
  readonly maxDepth: number;
  readonly maxNodes: number;
  readonly maxArms: number;
  readonly maxEnumValues: number;
  readonly maxBytes: number;
  readonly maxPatternBytes: number;
}

const TOOL_SCHEMA: SchemaLimits = {
  maxDepth: 16,
  maxNodes: 256,
  maxArms: 16,
  maxEnumValues: 256,
  maxBytes: 16 * 1024,
  maxPatternBytes: 512,
};

/** Bounds of a chat request on the network. */
export const NETWORK_LIMITS = {
  maxBodyBytes: 10 * 1024 * 1024,
  maxJsonDepth: 32,
  maxMessages: 2048,
  maxStopSequences: 16,
  maxStopBytes: 256,
  maxLogitBiasEntries: 1024,
  maxUserBytes: 512,
  maxMetadataKeys: 16,
  maxMetadataKeyChars: 64,
  maxMetadataValueChars: 512,
  maxToolNameBytes: 64,
  maxTemplateDepth: 16,
  maxTemplateNodes: 128,
  maxTemplateBytes: 16 * 1024,
  toolSchema: TOOL_SCHEMA,
  responseSchema: { ...TOOL_SCHEMA, maxNodes: 128 } satisfies SchemaLimits,
} as const;

/** The network's words for a field it does not take. The documentation says "feature" instead of the first three words. */
export function parameterRejection(name: string): string {
  return `Chat completions parameter "${name}" is currently rejected by the Gonka network. Remove it and try again.`;
}
