import type { ZephError } from "../../errors.ts";
import type { ExchangeRecord } from "../exchange.ts";

/** Where the page's facts come from; the ledger and the journal stay the one source. What is written here goes out as JSON. */
export interface PageSources {
  state(): Promise<PageState>;
  /** Asks and tells what happens; the last event is `end` or `error`. Throws `ZephError` before the first event. */
  chat(asked: ChatAsked, signal: AbortSignal): AsyncIterable<ChatEvent>;
  readonly chats: PageChats;
  /** What `zeph explain` tells, about one request. */
  story(record: ExchangeRecord, changes: readonly string[]): Promise<readonly StoryPart[]>;
  usage(query: UsageQuery): Promise<PageUsage>;
  /** The rows of the same question, for a spreadsheet. */
  usageCsv(query: UsageQuery): Promise<string>;
  network(signal: AbortSignal): Promise<PageNetwork>;
  /** Asks the nodes now, and measures how long they take. */
  probe(signal: AbortSignal): Promise<PageNetwork["nodes"]>;
  compare(asked: CompareAsked, signal: AbortSignal): AsyncIterable<CompareEvent>;
  /** A text without the user's secrets, and without what looks like one. */
  mask(text: string): string;
}

/** US dollars; `usd` is absent where there is no limit for a day. */
export interface PageLimit {
  readonly usd?: number | undefined;
  readonly usedUsd: number;
  readonly leftUsd?: number | undefined;
}

export interface PageState {
  readonly version: string;
  /** Who is asked where nothing is chosen. */
  readonly provider: string;
  readonly model: string | undefined;
  readonly models: readonly PageModel[];
  readonly providers: readonly PageProvider[];
  readonly limit: PageLimit | null;
  readonly demo: boolean;
}

export interface PageModel {
  readonly id: string;
  readonly provider: string;
  readonly contextTokens?: number | undefined;
  readonly inputUsdPerMillion?: number | undefined;
  readonly outputUsdPerMillion?: number | undefined;
  /** For each token, read or written. */
  readonly inputNgonkaPerToken?: number | undefined;
  readonly takesImages: boolean;
}

export interface PageProvider {
  readonly name: string;
  readonly label: string;
  readonly kind: "gateway" | "native" | "other";
  readonly isDefault: boolean;
}

export type ChatPart =
  | { readonly type: "text"; readonly text: string }
  /** `data:image/png;base64,…` */
  | { readonly type: "image"; readonly dataUrl: string };

export interface ChatAsked {
  readonly conversationId?: string | undefined;
  readonly provider?: string | undefined;
  readonly model?: string | undefined;
  readonly system?: string | undefined;
  readonly parts: readonly ChatPart[];
  /** This exchange and all after it give way to the new one. */
  readonly replaceFrom?: number | undefined;
}

export interface PageTokens {
  readonly inputTokens?: number | undefined;
  readonly outputTokens?: number | undefined;
  readonly reasoningTokens?: number | undefined;
}

export type ChatEvent =
  | { readonly type: "start"; readonly conversationId: string; readonly index: number; readonly title: string }
  | { readonly type: "reasoning" | "text" | "notice"; readonly text: string }
  | ({ readonly type: "end"; readonly conversationId: string; readonly index: number } & ChatEnd)
  | { readonly type: "error"; readonly error: ZephError; readonly partial: boolean };

interface ChatEnd {
  readonly usage: PageTokens;
  readonly costUsd?: number | undefined;
  readonly costGnk?: number | undefined;
  readonly firstWordMs?: number | undefined;
  readonly totalMs: number;
  readonly finishReason: string;
  readonly model: string;
  readonly provider: string;
}

/** The conversations that `zeph chats` lists. All throw `usage` for an id that there is not. */
export interface PageChats {
  list(words: string): Promise<readonly PageChatSummary[]>;
  get(id: string): Promise<PageChat>;
  rename(id: string, title: string): Promise<PageChatSummary>;
  remove(id: string): Promise<void>;
  export(id: string, format: "markdown" | "json"): Promise<string>;
}

export interface PageChatSummary {
  readonly id: string;
  readonly title: string;
  readonly model: string;
  readonly provider: string;
  readonly updatedAt: number;
  readonly exchangeCount: number;
}

interface PageChat extends PageChatSummary {
  readonly system?: string | undefined;
  readonly exchanges: readonly PageExchange[];
}

interface PageExchange {
  readonly parts: readonly ChatPart[];
  readonly answer: string;
  readonly reasoning?: string | undefined;
  readonly usage: PageTokens;
  readonly costUsd?: number | undefined;
  readonly costGnk?: number | undefined;
  readonly model: string;
  readonly provider: string;
  readonly atMs?: number | undefined;
  readonly firstWordMs?: number | undefined;
  readonly totalMs?: number | undefined;
  readonly interrupted?: "stopped" | "failed" | undefined;
}

export interface Settled {
  readonly provider: string;
  readonly costUsd?: number | undefined;
  readonly costGnk?: number | undefined;
}

export interface StoryPart {
  readonly title: string;
  readonly text: string;
}

export interface UsageQuery {
  readonly by: "hour" | "day" | "month";
  /** How many hours, days or months, the running one included. */
  readonly steps: number;
  readonly split: "none" | "provider" | "model" | "client";
}

interface UsageNumbers {
  readonly requests: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly usd: number;
  readonly gnk: number;
  readonly errors: number;
  readonly p50Ms?: number | undefined;
  readonly p95Ms?: number | undefined;
}

interface UsageBucket extends UsageNumbers {
  /** Milliseconds since the epoch at which the hour, day or month begins here. */
  readonly start: number;
  /** What `split` names; empty for `none`. */
  readonly key: string;
}

export interface PageUsage {
  /** Every step, also empty ones, oldest first. */
  readonly starts: readonly number[];
  readonly buckets: readonly UsageBucket[];
  readonly totals: readonly (UsageNumbers & { readonly key: string })[];
  readonly limit: PageLimit | null;
}

export interface PageNetwork {
  readonly models: readonly { readonly id: string; readonly offers: readonly PageOffer[] }[];
  readonly brokers: readonly PageBroker[];
  readonly nodes: readonly PageNode[];
  readonly escrows: readonly PageEscrow[];
}

export interface PageOffer {
  readonly provider: string;
  readonly label: string;
  readonly inputUsdPerMillion?: number | undefined;
  readonly outputUsdPerMillion?: number | undefined;
  readonly ngonkaPerToken?: number | undefined;
  readonly contextTokens?: number | undefined;
  readonly asOf?: string | undefined;
}

export interface PageBroker {
  readonly name: string;
  readonly label: string;
  readonly baseUrl: string;
  readonly keyStored: boolean;
  readonly facts: readonly { readonly text: string; readonly asOf: string }[];
}

export interface PageNode {
  readonly address: string | null;
  readonly host: string;
  readonly latencyMs?: number | undefined;
  /** In words. */
  readonly proof: string;
  readonly models: readonly string[];
  readonly error?: string | undefined;
}

export interface PageEscrow {
  readonly id: string;
  readonly model: string;
  readonly balanceGnk?: number | undefined;
  readonly nonce?: number | undefined;
  /** Milliseconds since the epoch by which it has to be settled. */
  readonly deadline?: number | undefined;
  readonly state: string;
}

export interface CompareAsked {
  readonly question: string;
  readonly entries: readonly { readonly provider: string; readonly model: string }[];
}

type Ability = "yes" | "no" | "error";

export type CompareEvent =
  | { readonly type: "first"; readonly index: number; readonly ms: number }
  | { readonly type: "text"; readonly index: number; readonly text: string }
  | {
      readonly type: "end";
      readonly index: number;
      readonly firstWordMs?: number | undefined;
      readonly totalMs: number;
      readonly tokensPerSecond?: number | undefined;
      readonly outputTokens?: number | undefined;
      readonly costUsd?: number | undefined;
      readonly costGnk?: number | undefined;
      readonly toolCall: Ability;
      readonly jsonMode: Ability;
    }
  | { readonly type: "error"; readonly index: number; readonly error: ZephError }
  | { readonly type: "done" };
