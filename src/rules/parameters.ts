import { asObject } from "../base/json.ts";
import { ZephError } from "../errors.ts";

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

/** How many values a JSON value holds, itself included. Stops counting beyond `limit`. */
export function countValues(value: unknown, limit: number): number {
  if (typeof value !== "object" || value === null) return 1;
  let count = 1;
  for (const child of Object.values(value)) {
    if (count > limit) return count;
    count += countValues(child, limit - count);
  }
  return count;
}

/** A text of at most `maxBytes` of UTF-8, cut between characters. */
export function cutBytes(text: string, maxBytes: number): string {
  const bytes = new TextEncoder().encode(text);
  if (bytes.length <= maxBytes) return text;
  // A character that was cut in two decodes to U+FFFD.
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes.subarray(0, maxBytes)).replace(/\ufffd+$/, "");
}

/** What was done to a request: the names go into headers and the log. */
export interface ChangeLog {
  /** Names a field that is no longer sent. */
  removed(name: string): void;
  /** Names a field that is sent in another form. */
  changed(name: string): void;
  /** Something was changed that means nothing, such as a null taken out. */
  touched(): void;
  readonly summary: ChangeSummary;
}

export interface ChangeSummary {
  readonly removed: readonly string[];
  readonly changed: readonly string[];
  /** Nothing at all was changed: the caller's own bytes can be sent. */
  readonly isUntouched: boolean;
}

export function changeLog(): ChangeLog {
  const removed = new Set<string>();
  const changed = new Set<string>();
  let isUntouched = true;
  return {
    removed(name) {
      removed.add(name);
      isUntouched = false;
    },
    changed(name) {
      changed.add(name);
      isUntouched = false;
    },
    touched() {
      isUntouched = false;
    },
    get summary() {
      return { removed: [...removed], changed: [...changed], isUntouched };
    },
  };
}

export interface CleanUpOptions {
  /** `native` also keeps to the rules of nodes themselves. */
  readonly access: "broker" | "native";
  /** MiniMax' tool parser stumbles over types such as `["string","null"]`. */
  readonly nullUnions: "keep" | "avoid";
  /** Kinds of tools besides functions that the broker itself serves, before the network sees the request. */
  readonly keepToolType?: (type: string) => boolean;
}

/** The field's path stands first: the answer's `param` is taken from there. */
export function invalid(at: string, problem: string): ZephError {
  return new ZephError("invalid_request", { detail: `${at}: ${problem}` });
}

/** Tools of one request. Agents with many servers behind them send some hundreds. */
const MAX_TOOLS = 1024;

/** Calls of one turn: models make a handful at once. */
export const MAX_CALLS = 1024;

/** Most entries of the lists whose length is known before anything is parsed. */
export const MAX_ENTRIES = {
  messages: NETWORK_LIMITS.maxMessages,
  tools: MAX_TOOLS,
  functions: MAX_TOOLS,
} as const;

/** What is said about a list with more entries than that. */
export function tooMany(list: keyof typeof MAX_ENTRIES): ZephError {
  const limit = MAX_ENTRIES[list];
  if (list === "messages") return invalid(list, `the network takes ${limit} at most; shorten the conversation`);
  return new ZephError("request_too_large", {
    detail: `${list}: more than ${limit}`,
    hint: `Send at most ${limit}: those that this conversation needs.`,
  });
}

const MEDIA = /image|video|audio|file|document|media/i;

/** Whether a content part's `type` (`image_url`, `input_audio`, `file` …) means that it is not text. */
export function isMediaType(type: unknown): type is string {
  return typeof type === "string" && MEDIA.test(type);
}

/** `unsupported_capability` for a part that is not text. @param at path of the part in the request */
export function mediaRefused(at: string, type: string): ZephError {
  const kind = /^[a-z_]{1,32}$/.test(type) ? type : "this kind";
  return new ZephError("unsupported_capability", {
    detail: `${at}: ${kind} is not text, and the Gonka network takes text only`,
    hint: "Leave images, audio and files out of the messages; describe or transcribe them first.",
  });
}

/** A part of a message that is not text. */
interface MediaPart {
  /** Path in the request, such as `messages[0].content[1]`. */
  readonly at: string;
  readonly type: string;
  /** As model lists name it in `input_modalities`. */
  readonly modality: "image" | "audio" | "video" | "file";
}

/** Which model a chat request asks, and the parts of its messages that are not text. */
export function mediaParts(request: unknown): {
  readonly model: string | undefined;
  readonly parts: readonly MediaPart[];
} {
  const { model, messages } = asObject(request) ?? {};
  const parts = (Array.isArray(messages) ? messages : []).flatMap((message: unknown, index) => {
    const content = asObject(message)?.content;
    return (Array.isArray(content) ? content : []).flatMap((part: unknown, place): MediaPart[] => {
      const type = asObject(part)?.type;
      if (!isMediaType(type)) return [];
      const shown = /^[a-z_]{1,32}$/.test(type) ? type : "this kind";
      return [{ at: `messages[${index}].content[${place}]`, type: shown, modality: modalityOf(type) }];
    });
  });
  return { model: typeof model === "string" ? model : undefined, parts };
}

function modalityOf(type: string): MediaPart["modality"] {
  const kinds = ["image", "audio", "video"] as const;
  return kinds.find((kind) => type.toLowerCase().includes(kind)) ?? "file";
}
