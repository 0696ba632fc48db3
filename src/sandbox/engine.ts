import { randomBytes } from "node:crypto";

/** What produces the sandbox's answers: the built-in deterministic engine, or one of your own. */
export interface Engine {
  models(): Promise<readonly SandboxModel[]>;
  /** The answer as events. The caller turns them into JSON or SSE; an aborted signal ends the iteration. */
  complete(request: ChatRequest, signal: AbortSignal): AsyncIterable<EngineEvent>;
  /** One vector per input; absent when the engine has no embedding model. */
  embed?(input: readonly string[], model: string): Promise<readonly (readonly number[])[]>;
}

export interface SandboxModel {
  readonly id: string;
  readonly contextLengthTokens: number;
  readonly maxOutputTokens: number;
  readonly promptUsdPer1M: number;
  readonly completionUsdPer1M: number;
  readonly kind: "chat" | "embedding";
  /** How the model's thinking travels; absent for a model that does not think. */
  readonly reasoning?: ReasoningForm;
}

/** The three ways models of the network send their thinking: two field names, and tags inside the content. */
export type ReasoningForm = "reasoning" | "reasoning_content" | "think-tags";

/** The parsed body of a chat request, as an OpenAI client sends it. Unknown fields stay. */
export interface ChatRequest {
  readonly model: string;
  readonly messages: readonly ChatMessage[];
  readonly stream?: boolean;
  readonly tools?: readonly ChatTool[];
  readonly [field: string]: unknown;
}

export interface ChatTool {
  readonly type: "function";
  readonly function: { readonly name: string; readonly description?: string; readonly parameters?: unknown };
}

export interface ChatMessage {
  readonly role: string;
  readonly content?: unknown;
  readonly [field: string]: unknown;
}

export interface EngineUsage {
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly cachedTokens: number;
  /** Part of `completionTokens`. */
  readonly reasoningTokens?: number;
}

export type EngineEvent =
  | { readonly type: "reasoning"; readonly text: string }
  | { readonly type: "text"; readonly text: string }
  /** `argumentsJson` may come in several pieces with the same index; `id` and `name` with the first. */
  | {
      readonly type: "tool-call";
      readonly index: number;
      readonly id?: string;
      readonly name?: string;
      readonly argumentsJson: string;
    }
  | { readonly type: "finish"; readonly reason: "stop" | "length" | "tool_calls"; readonly usage: EngineUsage };

/** The text of a message: a plain string, or the text parts joined. */
export function messageText(message: ChatMessage | undefined): string {
  const content = message?.content;
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return "";
  return content
    .map((part: unknown) =>
      typeof part === "object" && part !== null && "text" in part && typeof part.text === "string" ? part.text : "",
    )
    .join("");
}

/** Cuts text into what the sandbox calls tokens: up to eight letters with the space before them. Joined, they are the text. */
export function splitTokens(text: string): readonly string[] {
  return text.match(/\s*\S{1,8}|\s+/gu) ?? [];
}

export function countTokens(text: string): number {
  return splitTokens(text).length;
}

/** What a chat template adds around each message. */
const TOKENS_PER_MESSAGE = 4;

/** Size of a request's prompt: messages, tool calls in them, and tool definitions. */
export function countPromptTokens(request: Pick<ChatRequest, "messages" | "tools">): number {
  const messages = request.messages.reduce((sum, message) => {
    const calls = message.tool_calls === undefined ? "" : JSON.stringify(message.tool_calls);
    return sum + TOKENS_PER_MESSAGE + countTokens(messageText(message)) + countTokens(calls);
  }, 0);
  return messages + (request.tools === undefined ? 0 : countTokens(JSON.stringify(request.tools)));
}

/** Puts a model's thinking into the content between `<think>` and `</think>`, as MiniMax models send it. */
interface ThinkTagger {
  /** The content to send for a piece of thinking or text. */
  write(event: Extract<EngineEvent, { type: "reasoning" | "text" }>): string;
  /** What ends the thinking when something other than text follows; empty when it has ended. */
  close(): string;
}

export function thinkTagger(): ThinkTagger {
  let isInside = false;
  const close = () => {
    const closing = isInside ? "\n</think>\n\n" : "";
    isInside = false;
    return closing;
  };
  return {
    write(event) {
      if (event.type === "text") return close() + event.text;
      const opening = isInside ? "" : "<think>\n";
      isInside = true;
      return opening + event.text;
    },
    close,
  };
}

/** GonkaGate's mark-up on the network price (its documentation, 2026). */
export const PLATFORM_FEE_RATE = 0.1;

const roundUsd = (usd: number) => Math.round(usd * 1e12) / 1e12;

/** Usage as it goes over the wire: OpenAI's fields, and GonkaGate's three cost fields in USD when `model` is priced. */
export function usageFields(usage: EngineUsage, model: SandboxModel, costs: "with-costs" | "no-costs"): object {
  const { promptTokens, completionTokens, cachedTokens, reasoningTokens } = usage;
  const base = (promptTokens * model.promptUsdPer1M + completionTokens * model.completionUsdPer1M) / 1e6;
  const fee = base * PLATFORM_FEE_RATE;
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    prompt_tokens_details: { cached_tokens: cachedTokens },
    ...(reasoningTokens === undefined ? {} : { completion_tokens_details: { reasoning_tokens: reasoningTokens } }),
    ...(costs === "no-costs"
      ? {}
      : { base_cost_usd: roundUsd(base), platform_fee_usd: roundUsd(fee), total_cost_usd: roundUsd(base + fee) }),
  };
}

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/** Letters and digits drawn with `random`. */
export function randomText(random: () => number, length: number): string {
  return Array.from({ length }, () => ALPHABET[Math.floor(random() * ALPHABET.length)]).join("");
}

/** The default chance of the sandbox: 0 <= value < 1, from the system's source. */
export function systemRandom(): number {
  return randomBytes(4).readUInt32BE() / 2 ** 32;
}
