import {
  type CallWarning,
  type LanguageModelUsage,
  type ModelMessage,
  simulateStreamingMiddleware,
  stepCountIs,
  streamText,
  type ToolSet,
  wrapLanguageModel,
} from "ai";
import type { ConversationEvent } from "./conversation-event.ts";
import type { ChatModel } from "./session.ts";

type ProviderOptions = NonNullable<Parameters<typeof streamText>[0]["providerOptions"]>;

export interface AnswerRequest {
  readonly model: ChatModel;
  readonly messages: readonly ModelMessage[];
  readonly signal: AbortSignal;
  /** False: one whole answer instead of a stream. */
  readonly stream: boolean;
  readonly system?: string;
  readonly maxOutputTokens?: number;
  readonly temperature?: number;
  readonly topP?: number;
  readonly frequencyPenalty?: number;
  readonly presencePenalty?: number;
  readonly providerOptions?: ProviderOptions;
  readonly tools?: ToolSet;
  /** Most rounds of tool calls in one answer. */
  readonly maxSteps: number;
}

/** What one call of the model brings. `step` closes a round; there are several only when tools are used. */
export type AnswerPart =
  | Extract<ConversationEvent, { type: "notice" | "reasoning" | "text" | "tool-call" | "tool-result" | "tool-failed" }>
  | {
      readonly type: "step";
      readonly usage: LanguageModelUsage;
      readonly metadata: Readonly<Record<string, unknown>> | undefined;
      readonly finishReason: string;
      /** The endpoint's own word; absent when it sent none. */
      readonly rawFinishReason: string | undefined;
    }
  | { readonly type: "tool-messages"; readonly messages: readonly ModelMessage[] };

/** Asks the model once. Throws whatever the model throws, also in the middle of the stream. Retries are not made here. */
export async function* streamAnswer(request: AnswerRequest): AsyncGenerator<AnswerPart> {
  // The AI SDK prints warnings to the console by itself, on stdout, where only the answer may stand.
  globalThis.AI_SDK_LOG_WARNINGS = false;
  const { model, messages, signal, stream, maxSteps, ...settings } = request;
  const result = streamText({
    ...settings,
    model: stream ? model : wrapLanguageModel({ model, middleware: simulateStreamingMiddleware() }),
    messages: [...messages],
    abortSignal: signal,
    maxRetries: 0,
    stopWhen: stepCountIs(maxSteps),
    // Without this the SDK prints the error; it arrives as a part of the stream all the same.
    onError: () => {},
  });
  let toolsUsed = false;
  let begun = false;
  let textPiece: string;
  for await (const part of result.fullStream) {
    switch (part.type) {
      case "text-delta":
        // Thinking models send blank lines between their thoughts and the answer.
        textPiece = begun ? part.text : part.text.replace(/^[\r\n]+/, "");
        begun ||= textPiece !== "";
        if (textPiece !== "") yield { type: "text", text: textPiece };
        break;
      case "reasoning-delta":
        if (part.text !== "") yield { type: "reasoning", text: part.text };
        break;
      case "tool-call":
        toolsUsed = true;
        yield { type: "tool-call", toolName: part.toolName, input: part.input };
        break;
      case "tool-result":
        yield { type: "tool-result", toolName: part.toolName, output: part.output };
        break;
      case "tool-error":
        yield { type: "tool-failed", toolName: part.toolName, error: part.error };
        break;
      case "start-step":
        begun = false;
        for (const warning of part.warnings) yield { type: "notice", text: describeWarning(warning) };
        break;
      case "finish-step":
        yield {
          type: "step",
          usage: part.usage,
          metadata: part.providerMetadata,
          finishReason: part.finishReason,
          rawFinishReason: part.rawFinishReason,
        };
        break;
      case "error":
        throw part.error;
    }
  }
  if (toolsUsed && !signal.aborted) yield { type: "tool-messages", messages: (await result.response).messages };
}

function describeWarning(warning: CallWarning): string {
  if (warning.type === "other") return warning.message;
  return `${warning.feature} is ${warning.type === "unsupported" ? "not supported here and was left out" : "supported in part only"}${warning.details === undefined ? "" : `: ${warning.details}`}`;
}
