import type { ModelMessage } from "ai";
import type { TokenUsage } from "./usage.ts";

/** One question and what came of it. */
export interface Exchange {
  readonly question: string;
  readonly answer: string;
  readonly reasoning: string;
  readonly state: "finished" | "cancelled" | "failed";
  readonly providerName: string;
  readonly modelId: string;
  readonly usage: TokenUsage;
  readonly costUsd: number | undefined;
  /** The answer as the model's own messages; present when tools were used. */
  readonly toolMessages?: readonly ModelMessage[];
}

/** Tells the model why its earlier answer has no end. */
const MARKS = {
  cancelled: "[The user stopped this answer here.]",
  failed: "[The connection broke off here.]",
} as const;

/**
 * The conversation as the model gets it. An answer that was cut keeps its text and is marked; a question that got no
 * text at all is left out, so that two user messages never follow each other (many chat templates refuse that).
 */
export function toModelMessages(exchanges: readonly Exchange[]): ModelMessage[] {
  return exchanges.flatMap((exchange): ModelMessage[] => {
    if (exchange.toolMessages !== undefined) {
      return [{ role: "user", content: exchange.question }, ...exchange.toolMessages];
    }
    if (exchange.answer === "") return [];
    const mark = exchange.state === "finished" ? "" : `\n\n${MARKS[exchange.state]}`;
    return [
      { role: "user", content: exchange.question },
      { role: "assistant", content: exchange.answer + mark },
    ];
  });
}

/** Characters the model has to read, for an estimate. */
export function countCharacters(messages: readonly ModelMessage[]): number {
  return messages.reduce(
    (sum, { content }) => sum + (typeof content === "string" ? content.length : JSON.stringify(content).length),
    0,
  );
}
