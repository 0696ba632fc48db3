import type { ModelMessage } from "ai";
import type { TokenUsage } from "./usage.ts";

/** An image that goes with a question. */
export interface ImageAttachment {
  /** File name, for people. */
  readonly name: string;
  /** `image/png` … */
  readonly mediaType: string;
  readonly base64: string;
}

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
  /** What signed requests cost; another currency, never a part of `costUsd`. */
  readonly costNgonka?: bigint | undefined;
  /** When the answer ended. */
  readonly atMs?: number | undefined;
  /** What the question was asked about, besides its words. */
  readonly images?: readonly ImageAttachment[] | undefined;
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
    const question = toUserMessage(exchange.question, exchange.images);
    if (exchange.toolMessages !== undefined) return [question, ...exchange.toolMessages];
    if (exchange.answer === "") return [];
    const mark = exchange.state === "finished" ? "" : `\n\n${MARKS[exchange.state]}`;
    return [question, { role: "assistant", content: exchange.answer + mark }];
  });
}

/** Words alone, or words and images; images come first, as the models' own examples have it. */
export function toUserMessage(text: string, images: readonly ImageAttachment[] = []): ModelMessage {
  if (images.length === 0) return { role: "user", content: text };
  const parts = images.map(({ mediaType, base64 }) => ({ type: "image" as const, image: base64, mediaType }));
  return { role: "user", content: [...parts, { type: "text", text }] };
}

/** About a thousand tokens, whatever its size: models look at pieces of a smaller picture. */
const CHARACTERS_OF_AN_IMAGE = 4_000;

/** Characters the model has to read, for an estimate. */
export function countCharacters(messages: readonly ModelMessage[]): number {
  const partLength = (part: object & { readonly type: string }) =>
    part.type === "image" ? CHARACTERS_OF_AN_IMAGE : JSON.stringify(part).length;
  return messages.reduce((sum, { content }) => {
    if (typeof content === "string") return sum + content.length;
    return content.reduce((inner, part) => inner + partLength(part), sum);
  }, 0);
}
