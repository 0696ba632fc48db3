import { thinkTagger } from "../../answer/think-tags.ts";
import type { EngineEvent, EngineUsage, ReasoningForm } from "../../engine.ts";
import { CHAT_PATH, type IncomingCall } from "../request/incoming-call.ts";
import { logprobsOf, tokenId, tokenize } from "./tokens.ts";

/** What every object of one answer has in common. */
export interface AnswerFrame {
  readonly path: IncomingCall["path"];
  /** The Authorization string of the request: the inference id on chain and the id of every object. */
  readonly id: string;
  readonly model: string;
  readonly createdSeconds: number;
  readonly promptText: string;
  /** How the model's thinking travels. Default `reasoning_content`. */
  readonly reasoning?: ReasoningForm | undefined;
}

interface ToolCall {
  readonly index: number;
  readonly id: string;
  readonly type: "function";
  readonly function: { readonly name: string; readonly arguments: string };
}

/** Collects the whole answer into one JSON object, as the executor sends it for `stream: false`. */
export async function wholeAnswer(
  frame: AnswerFrame,
  events: AsyncIterable<EngineEvent>,
): Promise<{ readonly body: unknown; readonly usage: EngineUsage }> {
  let text = "";
  let reasoning = "";
  let finishReason = "stop";
  let usage: EngineUsage = { promptTokens: 0, completionTokens: 0, cachedTokens: 0 };
  const calls = new Map<number, ToolCall>();
  for await (const event of inForm(frame.reasoning, events)) {
    if (event.type === "text") text += event.text;
    else if (event.type === "reasoning") reasoning += event.text;
    else if (event.type === "tool-call") calls.set(event.index, joinCall(calls.get(event.index), event));
    else {
      finishReason = event.reason;
      usage = event.usage;
    }
  }
  const tokens = tokenize(text);
  const shared = {
    index: 0,
    finish_reason: finishReason,
    stop_reason: null,
    logprobs: logprobsOf(tokens),
    token_ids: tokens.map(tokenId),
  };
  const message = {
    role: "assistant",
    content: calls.size > 0 && text === "" ? null : text,
    ...(reasoning === "" ? {} : { [reasoningField(frame)]: reasoning }),
    ...(calls.size === 0 ? {} : { tool_calls: [...calls.values()].map(({ index: _, ...call }) => call) }),
  };
  const choice = frame.path === CHAT_PATH ? { ...shared, message } : { ...shared, text };
  const body = {
    ...objectHead(frame, frame.path === CHAT_PATH ? "chat.completion" : "text_completion"),
    choices: [choice],
    usage: wireUsage(usage),
    prompt_token_ids: tokenize(frame.promptText).map(tokenId),
    service_tier: null,
  };
  return { body, usage };
}

/** The chunks of a streamed answer, in order; the last has no choices and holds the usage. */
export async function* answerChunks(frame: AnswerFrame, events: AsyncIterable<EngineEvent>): AsyncIterable<unknown> {
  const chat = frame.path === CHAT_PATH;
  const head = objectHead(frame, chat ? "chat.completion.chunk" : "text_completion");
  const chunk = (choice: object) => ({
    ...head,
    choices: [{ index: 0, finish_reason: null, logprobs: null, ...choice }],
  });
  const first = chat ? { delta: { role: "assistant", content: "" } } : { text: "" };
  yield { ...chunk(first), prompt_token_ids: tokenize(frame.promptText).map(tokenId) };
  for await (const event of inForm(frame.reasoning, events)) {
    if (event.type === "text") {
      const tokens = tokenize(event.text);
      const content = chat ? { delta: { content: event.text } } : { text: event.text };
      yield chunk({ ...content, logprobs: logprobsOf(tokens), token_ids: tokens.map(tokenId) });
    } else if (event.type === "reasoning") {
      if (chat) yield chunk({ delta: { [reasoningField(frame)]: event.text } });
    } else if (event.type === "tool-call") {
      if (chat) yield chunk({ delta: { tool_calls: [callDelta(event)] } });
    } else {
      yield chunk({ ...(chat ? { delta: {} } : { text: "" }), finish_reason: event.reason, stop_reason: null });
      yield { ...head, choices: [], usage: wireUsage(event.usage) };
    }
  }
}

function reasoningField(frame: AnswerFrame): string {
  return frame.reasoning === "reasoning" ? "reasoning" : "reasoning_content";
}

/** Turns thinking into tagged text for a model that sends it so. */
async function* inForm(
  form: ReasoningForm | undefined,
  events: AsyncIterable<EngineEvent>,
): AsyncIterable<EngineEvent> {
  if (form !== "think-tags") return yield* events;
  const tagger = thinkTagger();
  for await (const event of events) {
    if (event.type === "text" || event.type === "reasoning") {
      yield { type: "text", text: tagger.write(event) };
      continue;
    }
    const closing = tagger.close();
    if (closing !== "") yield { type: "text", text: closing };
    yield event;
  }
}

function objectHead(frame: AnswerFrame, object: string): object {
  return { id: frame.id, object, created: frame.createdSeconds, model: frame.model };
}

function wireUsage(usage: EngineUsage): object {
  return {
    prompt_tokens: usage.promptTokens,
    completion_tokens: usage.completionTokens,
    total_tokens: usage.promptTokens + usage.completionTokens,
    prompt_tokens_details: usage.cachedTokens > 0 ? { cached_tokens: usage.cachedTokens } : null,
  };
}

type ToolCallEvent = Extract<EngineEvent, { type: "tool-call" }>;

function joinCall(known: ToolCall | undefined, event: ToolCallEvent): ToolCall {
  return {
    index: event.index,
    id: known?.id ?? event.id ?? `call_${event.index}`,
    type: "function",
    function: {
      name: known?.function.name ?? event.name ?? "",
      arguments: (known?.function.arguments ?? "") + event.argumentsJson,
    },
  };
}

function callDelta(event: ToolCallEvent): object {
  return {
    index: event.index,
    ...(event.id === undefined ? {} : { id: event.id, type: "function" }),
    function: { ...(event.name === undefined ? {} : { name: event.name }), arguments: event.argumentsJson },
  };
}
