import type { ZephError } from "../errors/zeph-error.ts";
import type { TokenUsage } from "./usage.ts";

/** What happens while a question is answered, in order. The last one is `finished`, `failed` or `cancelled`. */
export type ConversationEvent =
  /** Something the user should know; one sentence. */
  | { readonly type: "notice"; readonly text: string }
  /** The request leaves now. */
  | { readonly type: "waiting"; readonly promptTokensEstimate: number }
  /** The first piece of content is here, this long after the request left. */
  | { readonly type: "first-byte"; readonly elapsedMs: number }
  | { readonly type: "reasoning"; readonly text: string }
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "tool-call"; readonly toolName: string; readonly input: unknown }
  | { readonly type: "tool-result"; readonly toolName: string; readonly output: unknown }
  | { readonly type: "tool-failed"; readonly toolName: string; readonly error: unknown }
  | FinishedEvent
  | { readonly type: "failed"; readonly error: ZephError; readonly partialText: string; readonly elapsedMs: number }
  | { readonly type: "cancelled"; readonly partialText: string; readonly elapsedMs: number };

export interface FinishedEvent {
  readonly type: "finished";
  readonly text: string;
  readonly reasoning: string;
  /** Who answered; another than the one that was asked where a fallback stood in. */
  readonly providerName: string;
  readonly modelId: string;
  readonly usage: TokenUsage;
  /** `undefined` means unknown, which is not 0. */
  readonly costUsd: number | undefined;
  /** What signed requests cost by the network's price; `undefined` means unknown. Never a part of `costUsd`. */
  readonly costNgonka?: bigint | undefined;
  readonly elapsedMs: number;
  readonly firstByteMs: number | undefined;
  /** `stop`, `length`, `tool-calls`, `content-filter`, `error` or `other`. */
  readonly finishReason: string;
}

export type OutcomeEvent = Extract<ConversationEvent, { type: "finished" | "failed" | "cancelled" }>;

export function isOutcome(event: ConversationEvent): event is OutcomeEvent {
  return event.type === "finished" || event.type === "failed" || event.type === "cancelled";
}
