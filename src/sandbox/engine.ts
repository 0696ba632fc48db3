/** What produces the sandbox's answers: the built-in deterministic engine, or a real server behind `--engine URL`. */
export interface Engine {
  models(): Promise<readonly SandboxModel[]>;
  /** The answer as events. The caller turns them into JSON or SSE; an aborted signal ends the iteration. */
  complete(request: ChatRequest, signal: AbortSignal): AsyncIterable<EngineEvent>;
  /** One vector per input; absent when the engine has no embedding model. */
  embed?(input: readonly string[]): Promise<readonly (readonly number[])[]>;
}

export interface SandboxModel {
  readonly id: string;
  readonly contextLengthTokens: number;
  readonly maxOutputTokens: number;
  readonly promptUsdPer1M: number;
  readonly completionUsdPer1M: number;
  readonly kind: "chat" | "embedding";
}

/** The parsed body of a chat request, as an OpenAI client sends it. Unknown fields stay. */
export interface ChatRequest {
  readonly model: string;
  readonly messages: readonly ChatMessage[];
  readonly stream?: boolean;
  readonly tools?: readonly {
    readonly type: "function";
    readonly function: { readonly name: string; readonly parameters?: unknown };
  }[];
  readonly [field: string]: unknown;
}

export interface ChatMessage {
  readonly role: string;
  readonly content?: unknown;
  readonly [field: string]: unknown;
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
  | {
      readonly type: "finish";
      readonly reason: "stop" | "length" | "tool_calls";
      readonly usage: {
        readonly promptTokens: number;
        readonly completionTokens: number;
        readonly cachedTokens: number;
      };
    };
