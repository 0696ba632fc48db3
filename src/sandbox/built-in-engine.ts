import { type Clock, systemClock } from "../internal/clock.ts";
import { chooseTools, type PlannedCall } from "./built-in/choose-tools.ts";
import { embedText } from "./built-in/embed-text.ts";
import { fillSchema } from "./built-in/fill-schema.ts";
import { BUILT_IN_MODELS } from "./built-in/models.ts";
import { gist, replyText } from "./built-in/reply-text.ts";
import { countPromptTokens, countTokens, splitTokens } from "./built-in/tokens.ts";
import { lastQuestion, speaks, userWords } from "./built-in/user-words.ts";
import { type ChatMessage, type ChatRequest, type Engine, type EngineEvent, messageText } from "./engine.ts";

export interface BuiltInEngineOptions {
  /** How fast words come. Default 0: without any wait. */
  readonly tokensPerSecond?: number;
  readonly clock?: Clock;
}

/**
 * The engine that needs nothing: readable answers, the same for the same conversation. It can count ("count to 5"),
 * say what it is told ("say hello"), write a long text ("write 500 words"), show Markdown, fill a JSON schema, and call
 * the tools it is given.
 */
export function builtInEngine(options: BuiltInEngineOptions = {}): Engine {
  const { tokensPerSecond = 0, clock = systemClock } = options;
  return {
    models: async () => BUILT_IN_MODELS,
    embed: async (input) => input.map(embedText),
    async *complete(request, signal) {
      for (const event of answerEvents(request)) {
        signal.throwIfAborted();
        if (tokensPerSecond > 0 && event.type !== "finish") await clock.sleep(1000 / tokensPerSecond, signal);
        yield event;
      }
    },
  };
}

function* answerEvents(request: ChatRequest): Generator<EngineEvent> {
  const limit = tokenLimit(request);
  const calls = chooseTools(request);
  const thinking = splitTokens(thinkingText(request, calls));
  const text = splitTokens(calls.length > 0 ? "" : answerText(request));
  const callPieces = calls.flatMap(callEvents);
  let completionTokens = 0;
  for (const token of thinking.slice(0, limit)) {
    completionTokens += 1;
    yield { type: "reasoning", text: token };
  }
  const reasoningTokens = completionTokens;
  for (const token of text.slice(0, limit - completionTokens)) {
    completionTokens += 1;
    yield { type: "text", text: token };
  }
  for (const piece of callPieces.slice(0, limit - completionTokens)) {
    completionTokens += 1;
    yield piece;
  }
  const isComplete = thinking.length + text.length + callPieces.length <= limit;
  yield {
    type: "finish",
    reason: !isComplete ? "length" : calls.length > 0 ? "tool_calls" : "stop",
    usage: {
      promptTokens: countPromptTokens(request),
      completionTokens,
      cachedTokens: cachedTokens(request),
      ...(thinking.length === 0 ? {} : { reasoningTokens }),
    },
  };
}

/** The smaller of the two names for the same limit; a model's own cap was put there by the network's rules. */
function tokenLimit(request: ChatRequest): number {
  const limits = [request.max_tokens, request.max_completion_tokens].filter((limit) => typeof limit === "number");
  const cap = BUILT_IN_MODELS.find((model) => model.id === request.model)?.maxOutputTokens;
  return Math.min(...limits, cap ?? Number.POSITIVE_INFINITY);
}

/** Thinking models think unless told not to with `thinking: {type: "disabled"}`. */
function thinkingText(request: ChatRequest, calls: readonly PlannedCall[]): string {
  const model = BUILT_IN_MODELS.find((known) => known.id === request.model);
  if (model?.reasoning === undefined || (request.thinking as { type?: unknown } | undefined)?.type === "disabled") {
    return "";
  }
  const question = gist(userWords(lastQuestion(request.messages)).join(" "), 60);
  const plan =
    calls.length > 0 ? `I should call ${calls.map((call) => call.name).join(" and ")}` : "I can answer at once";
  return `The user wrote "${question}". ${plan}.`;
}

function answerText(request: ChatRequest): string {
  const results = trailingToolResults(request.messages).map(messageText).join("; ");
  const schema = wantedSchema(request.response_format);
  if (schema !== undefined) {
    const question = userWords(lastQuestion(request.messages)).join("\n");
    return JSON.stringify(fillSchema(schema, results === "" ? question : results));
  }
  return cutAtStop(results === "" ? replyText(request.messages) : `The tool answered: ${results}`, request.stop);
}

function trailingToolResults(messages: readonly ChatMessage[]): readonly ChatMessage[] {
  const said = messages.filter(speaks);
  const isResult = (message: ChatMessage) => message.role === "tool" || message.role === "function";
  return said.slice(said.findLastIndex((message) => !isResult(message)) + 1);
}

/** The schema of `response_format`; for `json_object` one with a single text field. */
function wantedSchema(format: unknown): unknown {
  if (typeof format !== "object" || format === null || !("type" in format)) return undefined;
  if (format.type === "json_object") return { type: "object", properties: { reply: { type: "string" } } };
  const wrapper = "json_schema" in format ? format.json_schema : undefined;
  return typeof wrapper === "object" && wrapper !== null && "schema" in wrapper ? wrapper.schema : undefined;
}

function cutAtStop(text: string, stop: unknown): string {
  const stops = (Array.isArray(stop) ? stop : [stop]).filter((entry) => typeof entry === "string" && entry !== "");
  const places = stops.map((entry) => text.indexOf(entry)).filter((place) => place >= 0);
  return places.length === 0 ? text : text.slice(0, Math.min(...places));
}

/** A call in pieces: id and name first, then the arguments a few characters at a time. */
function callEvents(call: PlannedCall, index: number): readonly EngineEvent[] {
  const pieces = call.argumentsJson.match(/.{1,6}/gsu) ?? [];
  return [
    { type: "tool-call", index, id: call.id, name: call.name, argumentsJson: "" },
    ...pieces.map((argumentsJson): EngineEvent => ({ type: "tool-call", index, argumentsJson })),
  ];
}

/** From the second turn on, everything before the last message counts as cached. */
function cachedTokens(request: ChatRequest): number {
  const hasHistory = request.messages.some((message) => message.role === "assistant");
  return hasHistory ? request.messages.slice(0, -1).reduce((sum, one) => sum + countTokens(messageText(one)), 0) : 0;
}
