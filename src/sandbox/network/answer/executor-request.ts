import type { ChatRequest } from "../../engine.ts";
import { CHAT_PATH, type IncomingCall } from "../request/incoming-call.ts";

/** What the executor makes of a body before it asks the model (shared reference 1.5). */
export interface ExecutorRequest {
  readonly chat: ChatRequest;
  readonly stream: boolean;
  readonly maxTokens: number;
  readonly promptText: string;
}

const DEFAULT_MAX_TOKENS = 5_000;

/** Parses the body, forces the node's fields on it, and turns a `/v1/completions` prompt into one user message. */
export function executorRequest(call: IncomingCall, seed: number): ExecutorRequest {
  const body = JSON.parse(call.body.toString("utf8")) as Readonly<Record<string, unknown>>;
  const maxTokens = Number(body.max_tokens || body.max_completion_tokens || DEFAULT_MAX_TOKENS);
  const messages = call.path === CHAT_PATH ? body.messages : [{ role: "user", content: promptOf(body.prompt) }];
  const stream = body.stream === true;
  const chat = {
    ...body,
    messages,
    logprobs: true,
    top_logprobs: 5,
    max_tokens: maxTokens,
    max_completion_tokens: maxTokens,
    skip_special_tokens: false,
    return_token_ids: true,
    seed: body.seed ?? seed,
    ...(stream ? { stream_options: { ...asFields(body.stream_options), include_usage: true } } : {}),
  } as unknown as ChatRequest;
  return { chat, stream, maxTokens, promptText: chat.messages.map((message) => textOf(message.content)).join("\n") };
}

function promptOf(prompt: unknown): unknown {
  return Array.isArray(prompt) ? prompt[0] : prompt;
}

function asFields(value: unknown): object {
  return typeof value === "object" && value !== null ? value : {};
}

function textOf(content: unknown): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return "";
  return content.map((part) => String(part?.text ?? "")).join("");
}
