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
