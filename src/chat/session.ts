import type { LanguageModelV3 } from "@ai-sdk/provider";
import type { ZephError } from "../errors/zeph-error.ts";
import type { TransportEvent } from "../transport/events.ts";

/** A model of the AI SDK's provider spec V3; never a bare id, which would go to a hosted service that is not ours. */
export type ChatModel = LanguageModelV3;

/** US dollars for one million tokens. */
export interface Pricing {
  readonly promptUsdPer1M: number;
  readonly completionUsdPer1M: number;
}

/** One line of an endpoint's live model list. What the endpoint does not tell is absent. */
export interface ChatModelListing extends Partial<Pricing> {
  readonly id: string;
  readonly pricePerTokenNgonka?: bigint;
  readonly contextLengthTokens?: number;
  readonly tools?: boolean;
  /** Does it take images? */
  readonly images?: boolean | undefined;
  readonly parameters?: readonly string[];
}

/** Another provider, which answers in the place of the one that was asked. */
export interface StandIn {
  readonly providerName: string;
  readonly modelId: string;
  /** Its own prices. Absent means unknown, which is not 0. */
  readonly pricing?: Pricing;
  readonly pricePerTokenNgonka?: bigint;
}

/** What goes on below the model: attempts and waits, and sentences for the user that cannot wait for the answer. */
export type SessionEvent =
  | Exclude<TransportEvent, { readonly type: "notice" }>
  /** With `standIn`, that one is asked from here on, until the request is over. */
  | { readonly type: "notice"; readonly text: string; readonly standIn?: StandIn };

export type OnSessionEvent = (event: SessionEvent) => void;

/** A provider and a model, opened and ready. How it is reached (broker key or signed requests) does not show here. */
export interface ChatSession {
  /** Name of the record in the config. */
  readonly providerName: string;
  readonly modelId: string;
  readonly model: ChatModel;
  readonly contextLengthTokens?: number;
  /** Longest answer to ask for, tokens, when the user names none. */
  readonly maxOutputTokens?: number;
  /** Used where the endpoint does not tell what an answer cost. Absent means unknown, which is not 0. */
  readonly pricing?: Pricing;
  /** The network's own price for each token, read or written, where signed requests pay it. */
  readonly pricePerTokenNgonka?: bigint;
  /** Fields the model list says this model takes; absent where the list does not tell. */
  readonly parameters?: readonly string[];
  /** `reasoning_effort` of the config. */
  readonly reasoningEffort?: string;
  /** A text without secrets of the user's own and without what looks like one: for what is kept. Absent: as it is. */
  readonly mask?: ((text: string) => string) | undefined;
  /** Names any failure of the model: cause, hint, exit code. */
  toZephError(error: unknown): ZephError;
  /** Follows what goes on below the model; the returned function ends it. */
  subscribe(onEvent: OnSessionEvent): () => void;
  listModels(signal?: AbortSignal): Promise<readonly ChatModelListing[]>;
  /** The same provider with another model. */
  withModel(id: string): ChatSession;
}

/** Opens a session; what is left out comes from the config. Throws `ZephError` (config, vault, model missing). */
export type OpenChatSession = (choice: { readonly provider?: string; readonly model?: string }) => Promise<ChatSession>;
