import { asObject, type JsonObject } from "../../base/json.ts";
import type { ZephError } from "../../errors.ts";
import type { ChatCompletion, ChatUsage } from "../../wire/chat-shape.ts";
import {
  type AnswerEvents,
  asChunk,
  asList,
  asText,
  customInput,
  type Ending,
  estimateTokens,
  eventText,
  given,
  orderedParts,
  type Part,
  refused,
  type Stamps,
  seal,
  type Translation,
  tokenCount,
  wholeAnswer,
} from "./dialect.ts";
import { type ResponsesContext, type ResponsesOptions, responsesToChat, SUMMARY_REQUEST } from "./responses.ts";

/** The end of every stream, as the Open Responses specification has it. */
const DONE = "data: [DONE]\n\n";

/**
 * A chat answer as the events of the Responses API, numbered from 0, items strictly one after the other. Thoughts go out
 * as the summary of a reasoning item: of the events for thoughts, those are the ones that Codex shows, that the AI SDK
 * reads, and that OpenAI's types and every edition of the Open Responses specification have in common.
 */
export function responseEvents(
  context: ResponsesContext,
  { memory, stamps }: Pick<ResponsesOptions, "memory" | "stamps">,
): AnswerEvents {
  const { request, toolNames } = context;
  const id = `resp_${stamps.newId()}`;
  const createdAt = seconds(stamps.nowMs());
  const isSealed = asList(request.include).includes("reasoning.encrypted_content");
  const output: JsonObject[] = [];
  let sequence = 0;
  let hasBegun = false;
  let itemId = "";
  let document = snapshot("in_progress");

  function event(type: string, fields: JsonObject): string {
    const text = eventText({ type, sequence_number: sequence, ...fields });
    sequence += 1;
    return text;
  }

  function snapshot(status: string, more: JsonObject = {}): JsonObject {
    return {
      ...repeated(context),
      id,
      object: "response",
      created_at: createdAt,
      status,
      output: [...output],
      ...more,
    };
  }

  const place = () => ({ item_id: itemId, output_index: output.length });

  const parts = orderedParts({
    open(part) {
      itemId = `${PREFIX[itemType(part)]}_${stamps.newId()}`;
      const added = event("response.output_item.added", {
        output_index: output.length,
        item: item(part, "in_progress"),
      });
      if (part.kind === "call" || isSummary(part)) return added;
      if (part.kind === "reasoning") {
        const empty = { type: "summary_text", text: "" };
        return added + event("response.reasoning_summary_part.added", { ...place(), summary_index: 0, part: empty });
      }
      return added + event("response.content_part.added", { ...place(), content_index: 0, part: content(part) });
    },
    grow(part, delta) {
      switch (itemType(part)) {
        case "reasoning":
          return event("response.reasoning_summary_text.delta", { ...place(), summary_index: 0, delta });
        case "function_call":
          return event("response.function_call_arguments.delta", { ...place(), delta });
        case "custom_tool_call":
        case "tool_search_call":
        case "compaction":
          // These have no deltas, or need the whole JSON to be read.
          return "";
        default:
          return part.kind === "refusal"
            ? event("response.refusal.delta", { ...place(), content_index: 0, delta })
            : event("response.output_text.delta", { ...place(), content_index: 0, delta, logprobs: [] });
      }
    },
    close(part) {
      const done = item(part, isCut(part) ? "incomplete" : "completed");
      const events = lastWords(part) + event("response.output_item.done", { output_index: output.length, item: done });
      output.push(done);
      return events;
    },
  });

  /** Only what is still open at the end of an answer that was cut is incomplete itself. */
  let isEnding = false;
  function isCut({ kind }: Part): boolean {
    return isEnding && kind !== "reasoning" && incompleteReason(parts.ending()) !== undefined;
  }

  function lastWords(part: Part): string {
    const { text } = part;
    switch (itemType(part)) {
      case "reasoning": {
        const whole = { type: "summary_text", text };
        return (
          event("response.reasoning_summary_text.done", { ...place(), summary_index: 0, text }) +
          event("response.reasoning_summary_part.done", { ...place(), summary_index: 0, part: whole })
        );
      }
      case "function_call":
        return event("response.function_call_arguments.done", { ...place(), name: names(part).name, arguments: text });
      case "tool_search_call":
      case "compaction":
        return "";
      case "custom_tool_call": {
        const input = customInput(text);
        return (
          event("response.custom_tool_call_input.delta", { ...place(), delta: input }) +
          event("response.custom_tool_call_input.done", { ...place(), input })
        );
      }
      default:
        return (
          (part.kind === "refusal"
            ? event("response.refusal.done", { ...place(), content_index: 0, refusal: text })
            : event("response.output_text.done", { ...place(), content_index: 0, text, logprobs: [] })) +
          event("response.content_part.done", { ...place(), content_index: 0, part: content(part) })
        );
    }
  }

  function item(part: Part, status: "in_progress" | "completed" | "incomplete"): JsonObject {
    const isNew = status === "in_progress";
    const { callId, text } = part;
    const type = itemType(part);
    switch (type) {
      case "reasoning": {
        if (isNew) return { id: itemId, type, summary: [] };
        return {
          id: itemId,
          type,
          summary: [{ type: "summary_text", text }],
          // Where `@ai-sdk/open-responses` looks in an answer that was not streamed.
          content: [{ type: "reasoning_text", text }],
          encrypted_content: isSealed ? seal(text) : undefined,
        };
      }
      case "function_call":
        return { id: itemId, type, status, call_id: callId, ...names(part), arguments: isNew ? "" : text };
      case "tool_search_call": {
        const input = isNew ? {} : parsedArguments(text);
        return { id: itemId, type, status, call_id: callId, execution: "client", arguments: input };
      }
      case "compaction":
        return { id: itemId, type, encrypted_content: isNew ? "" : seal(text.trim()) };
      case "custom_tool_call":
        return { id: itemId, type, status, call_id: callId, ...names(part), input: isNew ? "" : customInput(text) };
      default:
        return { id: itemId, type, status, role: "assistant", content: isNew ? [] : [content(part)] };
    }
  }

  const isSummary = ({ kind }: Part) => kind === "text" && context.isCompaction;

  function itemType(part: Part): keyof typeof PREFIX {
    if (part.kind === "reasoning") return "reasoning";
    if (part.kind !== "call") return isSummary(part) ? "compaction" : "message";
    const kinds = { function: "function_call", custom: "custom_tool_call", search: "tool_search_call" } as const;
    return kinds[toolNames.get(part.name)?.kind ?? "function"];
  }

  /** The caller's own names: namespace tools come back with their namespace. */
  function names(part: Part): JsonObject {
    const { name, namespace } = toolNames.get(part.name) ?? { name: part.name };
    return { name, namespace };
  }

  function begin(): string {
    if (hasBegun) return "";
    hasBegun = true;
    return event("response.created", { response: document }) + event("response.in_progress", { response: document });
  }

  return {
    begin,
    add: (chunk) => begin() + parts.add(chunk),
    end() {
      isEnding = true;
      const events = begin() + parts.end();
      const ending = parts.ending();
      const reason = incompleteReason(ending);
      const usage = ending.usage === undefined ? null : usageOf(ending.usage);
      document =
        reason === undefined
          ? snapshot("completed", { completed_at: seconds(stamps.nowMs()), usage })
          : snapshot("incomplete", { incomplete_details: { reason }, usage });
      if (request.store !== false) {
        const input = context.input.filter((each) => each.type !== "compaction_trigger");
        memory.keep({ id, input, document });
      }
      const type = reason === undefined ? "response.completed" : "response.incomplete";
      return events + event(type, { response: document }) + DONE;
    },
    fail(error) {
      const events = begin();
      document = snapshot("failed", { error: failure(error) });
      return events + event("response.failed", { response: document }) + DONE;
    },
    ping: () => ": still thinking\n\n",
    document: () => document,
  };
}

/** A whole chat answer as a response. */
export function responseFromWhole(
  completion: ChatCompletion,
  context: ResponsesContext,
  options: Pick<ResponsesOptions, "memory" | "stamps">,
): JsonObject {
  return wholeAnswer(responseEvents(context, options), completion);
}

const PREFIX = {
  message: "msg",
  reasoning: "rs",
  function_call: "fc",
  custom_tool_call: "ctc",
  tool_search_call: "tsc",
  compaction: "cmp",
} as const;

function content({ kind, text }: Part): JsonObject {
  return kind === "refusal"
    ? { type: "refusal", refusal: text }
    : { type: "output_text", text, annotations: [], logprobs: [] };
}

function parsedArguments(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The answer was cut off inside the call.
    return {};
  }
}

function incompleteReason({ finishReason }: Ending): string | undefined {
  if (finishReason === "length") return "max_output_tokens";
  return finishReason === "content_filter" ? "content_filter" : undefined;
}

/**
 * The error of a failed response. Codex takes `invalid_prompt` and `context_length_exceeded` for final, waits for
 * `rate_limit_exceeded` as long as the words say, and tries again after everything else
 * (codex-rs/codex-api/src/sse/responses.rs).
 */
function failure({ code, message, hint, retryable, httpStatus, retryAfterMs }: ZephError): JsonObject {
  const words = `${message}. ${hint}`;
  if (code === "context_length") return { code: "context_length_exceeded", message: words };
  if (!retryable) return { code: "invalid_prompt", message: words };
  if (httpStatus !== 429) return { code: "server_error", message: words };
  const wait = retryAfterMs === undefined ? "" : ` Please try again in ${Math.ceil(retryAfterMs / 1000)}s.`;
  return { code: "rate_limit_exceeded", message: `${words}${wait}` };
}

/** Fields of the request that every snapshot repeats, with the specification's defaults. */
function repeated({ request, tools }: ResponsesContext): JsonObject {
  const { effort = null, summary = null } = asObject(request.reasoning) ?? {};
  return {
    completed_at: null,
    error: null,
    incomplete_details: null,
    instructions: request.instructions ?? null,
    max_output_tokens: request.max_output_tokens ?? null,
    max_tool_calls: request.max_tool_calls ?? null,
    model: request.model ?? "",
    parallel_tool_calls: request.parallel_tool_calls ?? true,
    previous_response_id: request.previous_response_id ?? null,
    prompt_cache_key: request.prompt_cache_key ?? null,
    reasoning: { effort, summary },
    safety_identifier: request.safety_identifier ?? null,
    service_tier: "default",
    store: request.store ?? true,
    background: false,
    temperature: request.temperature ?? 1,
    top_p: request.top_p ?? 1,
    presence_penalty: request.presence_penalty ?? 0,
    frequency_penalty: request.frequency_penalty ?? 0,
    top_logprobs: 0,
    text: { format: asObject(asObject(request.text)?.format) ?? { type: "text" } },
    tool_choice: request.tool_choice ?? "auto",
    tools,
    truncation: "disabled",
    usage: null,
    metadata: request.metadata ?? {},
  };
}

/** Tokens as the Responses API counts them. */
function usageOf(usage: ChatUsage): JsonObject {
  const input = tokenCount(usage.prompt_tokens);
  const output = tokenCount(usage.completion_tokens);
  return {
    input_tokens: input,
    // openai 3 for Python requires the second, which no chat server counts.
    input_tokens_details: {
      cached_tokens: tokenCount(asObject(usage.prompt_tokens_details)?.cached_tokens),
      cache_write_tokens: 0,
    },
    output_tokens: output,
    output_tokens_details: {
      reasoning_tokens: tokenCount(asObject(usage.completion_tokens_details)?.reasoning_tokens),
    },
    total_tokens: tokenCount(usage.total_tokens) || input + output,
  };
}

function seconds(ms: number): number {
  return Math.floor(ms / 1000);
}

/*
 * POST /v1/responses/compact (Open Responses 2026-04-24): a long conversation as a short one that can be sent in its
 * place. The model writes a summary; the answer holds the user's latest own words and the summary as a `compaction` item,
 * which the next request hands back.
 */

interface CompactContext {
  /** Messages of the user that are kept as they are. */
  readonly kept: readonly JsonObject[];
}

/** The user's own words are kept up to this many tokens, the latest first. */
const MAX_KEPT_TOKENS = 8000;

/** A conversation as the request for its summary. Throws what {@link responsesToChat} throws. */
export function compactToChat(body: JsonObject, options: ResponsesOptions): Translation<CompactContext> {
  const { model, input, previous_response_id: previousId, instructions } = body;
  const { chat, dropped, context } = responsesToChat(
    given({ model, input, previous_response_id: previousId, instructions }),
    options,
  );
  const messages = [...(chat.messages as readonly JsonObject[]), { role: "user", content: SUMMARY_REQUEST }];
  return { chat: { ...chat, messages }, dropped, context: { kept: latestUserMessages(context.input, options.stamps) } };
}

/** The summary as a compacted conversation. Throws `invalid_request` when the model wrote none. */
export function compactFromWhole(completion: ChatCompletion, { kept }: CompactContext, stamps: Stamps): JsonObject {
  let summary = "";
  const parts = orderedParts({
    open: () => "",
    grow: () => "",
    close({ kind, text }) {
      if (kind === "text") summary += text;
      return "";
    },
  });
  parts.add(asChunk(completion));
  parts.end();
  if (summary.trim() === "") throw refused("input", "the model wrote no summary; try again, or with another model");
  const item = { id: `cmp_${stamps.newId()}`, type: "compaction", encrypted_content: seal(summary.trim()) };
  return {
    id: `resp_${stamps.newId()}`,
    object: "response.compaction",
    created_at: Math.floor(stamps.nowMs() / 1000),
    output: [...kept, item],
    usage: usageOf(completion.usage ?? {}),
  };
}

function latestUserMessages(items: readonly JsonObject[], stamps: Stamps): readonly JsonObject[] {
  const kept: JsonObject[] = [];
  let tokens = 0;
  for (const item of items.toReversed()) {
    if ((item.type ?? "message") !== "message" || item.role !== "user") continue;
    tokens += estimateTokens({ messages: [item] });
    if (tokens > MAX_KEPT_TOKENS) break;
    const { content } = item;
    const parts = typeof content === "string" ? [{ type: "input_text", text: content }] : content;
    kept.unshift({
      id: asText(item.id) ?? `msg_${stamps.newId()}`,
      type: "message",
      status: "completed",
      role: "user",
      content: parts,
    });
  }
  return kept;
}
