import { asObject, type JsonObject } from "../../base/json.ts";
import type { ChatCompletion, ChatUsage } from "../../wire/chat-shape.ts";
import {
  type AnswerEvents,
  type Ending,
  eventText,
  orderedParts,
  type Part,
  type Stamps,
  seal,
  textTokens,
  tokenCount,
  wholeAnswer,
} from "./dialect.ts";
import { type MessagesContext, messagesError } from "./messages.ts";

/** Callers send it back with the thoughts and must not find it empty; the thoughts themselves need no signature here. */
const SIGNATURE = "zeph";

/** A chat answer as the events of the Messages API, one block strictly after the other. */
export function messageEvents(context: MessagesContext, stamps: Stamps): AnswerEvents {
  const id = `msg_${stamps.newId()}`;
  const content: JsonObject[] = [];
  let outputTokens = 0;
  let hasBegun = false;
  let document = message(null, usageOf({ prompt_tokens: context.inputTokens }, 0));

  function message(stop: JsonObject | null, usage: JsonObject): JsonObject {
    return {
      id,
      type: "message",
      role: "assistant",
      model: context.model,
      content: [...content],
      stop_reason: null,
      stop_sequence: null,
      stop_details: null,
      container: null,
      diagnostics: null,
      ...stop,
      usage: { ...usage, cache_creation: null, inference_geo: null, service_tier: null, speed: null },
    };
  }

  const delta = (fields: JsonObject) =>
    eventText({ type: "content_block_delta", index: content.length, delta: fields });
  const isHidden = ({ kind }: Part) => kind === "reasoning" && context.thinking === "none";

  const parts = orderedParts({
    open(part) {
      if (isHidden(part)) return "";
      return eventText({ type: "content_block_start", index: content.length, content_block: block(part, "start") });
    },
    grow(part, piece) {
      outputTokens += textTokens(piece);
      if (isHidden(part)) return "";
      switch (part.kind) {
        case "reasoning":
          return context.thinking === "omitted" ? "" : delta({ type: "thinking_delta", thinking: piece });
        case "call":
          return delta({ type: "input_json_delta", partial_json: piece });
        default:
          return delta({ type: "text_delta", text: piece });
      }
    },
    close(part) {
      if (isHidden(part)) return "";
      const whole = block(part, "whole");
      const signed = part.kind === "reasoning" ? delta({ type: "signature_delta", signature: whole.signature }) : "";
      const stop = eventText({ type: "content_block_stop", index: content.length });
      content.push(whole);
      return signed + stop;
    },
  });

  function block({ kind, callId, name, text }: Part, moment: "start" | "whole"): JsonObject {
    const isWhole = moment === "whole";
    switch (kind) {
      case "reasoning": {
        const isOmitted = context.thinking === "omitted";
        const signature = isOmitted ? seal(text) : SIGNATURE;
        return { type: "thinking", thinking: isWhole && !isOmitted ? text : "", signature: isWhole ? signature : "" };
      }
      case "call":
        return { type: "tool_use", id: callId, name, input: isWhole ? inputOf(text) : {}, caller: { type: "direct" } };
      default:
        // No `citations`: Anthropic leaves the field out as well, and `@ai-sdk/anthropic` takes no null there.
        return { type: "text", text: isWhole ? text : "" };
    }
  }

  function begin(): string {
    if (hasBegun) return "";
    hasBegun = true;
    return eventText({ type: "message_start", message: document }) + PING;
  }

  return {
    begin,
    add: (chunk) => begin() + parts.add(chunk),
    end() {
      const events = begin() + parts.end();
      const ending = parts.ending();
      const stop = stopOf(ending, context.stopSequences);
      const usage = usageOf(ending.usage ?? { prompt_tokens: context.inputTokens }, outputTokens);
      document = message(stop, usage);
      return events + eventText({ type: "message_delta", delta: { ...stop, container: null }, usage }) + STOP;
    },
    fail: (error) => begin() + eventText(messagesError(error)),
    ping: () => PING,
    document: () => document,
  };
}

/** A whole chat answer as a message. */
export function messageFromWhole(completion: ChatCompletion, context: MessagesContext, stamps: Stamps): JsonObject {
  return wholeAnswer(messageEvents(context, stamps), completion);
}

const PING = eventText({ type: "ping" });
const STOP = eventText({ type: "message_stop" });

/** Why the model stopped, in Anthropic's words. */
function stopOf({ finishReason, stopSequence }: Ending, asked: readonly string[]): JsonObject {
  if (finishReason === "stop" && stopSequence !== undefined && asked.includes(stopSequence)) {
    return { stop_reason: "stop_sequence", stop_sequence: stopSequence, stop_details: null };
  }
  const reasons = {
    stop: "end_turn",
    length: "max_tokens",
    tool_calls: "tool_use",
    content_filter: "refusal",
  } as const;
  const details = finishReason === "content_filter" ? { type: "refusal", category: null, explanation: null } : null;
  return { stop_reason: reasons[finishReason], stop_sequence: null, stop_details: details };
}

/** Anthropic counts cached tokens apart from the others. @param estimatedOutput where the server counted nothing */
function usageOf(usage: ChatUsage, estimatedOutput: number): JsonObject {
  const cached = tokenCount(asObject(usage.prompt_tokens_details)?.cached_tokens);
  const thoughts = asObject(usage.completion_tokens_details)?.reasoning_tokens;
  return {
    input_tokens: Math.max(0, tokenCount(usage.prompt_tokens) - cached),
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: cached,
    output_tokens: usage.completion_tokens === undefined ? estimatedOutput : tokenCount(usage.completion_tokens),
    output_tokens_details: typeof thoughts === "number" ? { thinking_tokens: tokenCount(thoughts) } : null,
    server_tool_use: null,
  };
}

/** Arguments as an object; those that were cut off in the middle are none. */
function inputOf(argumentsText: string): JsonObject {
  try {
    return asObject(JSON.parse(argumentsText)) ?? {};
  } catch {
    // The answer met its limit inside the call; `stop_reason` says so.
    return {};
  }
}
