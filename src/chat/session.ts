import type { LanguageModelV3, LanguageModelV3Usage } from "@ai-sdk/provider";
import type { ToolSet } from "ai";
import { plausibleTokens, plausibleUsd } from "../base/json.ts";
import type { ZephError } from "../errors.ts";
import { REASONING_EFFORTS } from "../rules/parameters.ts";
import type { TransportEvent } from "../transport/policy.ts";

/** A model of the AI SDK's provider spec V3; never a bare id, which would go to a hosted service that is not ours. */
export type ChatModel = LanguageModelV3;

/** US dollars for one million tokens. */
export interface Pricing {
  readonly promptUsdPer1M: number;
  readonly completionUsdPer1M: number;
}

/** One line of an endpoint's live model list. What the endpoint does not tell is absent. */
export interface ChatModelListing {
  readonly id: string;
  readonly promptUsdPer1M?: number | undefined;
  readonly completionUsdPer1M?: number | undefined;
  readonly pricePerTokenNgonka?: bigint | undefined;
  readonly contextLengthTokens?: number | undefined;
  readonly tools?: boolean | undefined;
  /** Does it take images? */
  readonly images?: boolean | undefined;
  readonly parameters?: readonly string[] | undefined;
}

/** Another provider, which answers in the place of the one that was asked. */
export interface StandIn {
  readonly providerName: string;
  readonly modelId: string;
  /** Its own prices. Absent means unknown, which is not 0. */
  readonly pricing?: Pricing | undefined;
  readonly pricePerTokenNgonka?: bigint | undefined;
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
  readonly contextLengthTokens?: number | undefined;
  /** Longest answer to ask for, tokens, when the user names none. */
  readonly maxOutputTokens?: number | undefined;
  /** Used where the endpoint does not tell what an answer cost. Absent means unknown, which is not 0. */
  readonly pricing?: Pricing | undefined;
  /** The network's own price for each token, read or written, where signed requests pay it. */
  readonly pricePerTokenNgonka?: bigint | undefined;
  /** Fields the model list says this model takes; absent where the list does not tell. */
  readonly parameters?: readonly string[] | undefined;
  /** `reasoning_effort` of the config. */
  readonly reasoningEffort?: string | undefined;
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

/** The session with what the live list tells about its model, where the session does not know it already. */
export function withListing(session: ChatSession, models: readonly ChatModelListing[]): ChatSession {
  const listing = models.find(({ id }) => id === session.modelId);
  if (listing === undefined) return session;
  const { contextLengthTokens, promptUsdPer1M, completionUsdPer1M, pricePerTokenNgonka, parameters } = listing;
  return {
    ...session,
    ...(session.contextLengthTokens !== undefined || contextLengthTokens === undefined ? {} : { contextLengthTokens }),
    ...(session.pricing !== undefined || promptUsdPer1M === undefined || completionUsdPer1M === undefined
      ? {}
      : { pricing: { promptUsdPer1M, completionUsdPer1M } }),
    ...(pricePerTokenNgonka === undefined ? {} : { pricePerTokenNgonka }),
    ...(parameters === undefined ? {} : { parameters }),
  };
}

/** Opens a session; what is left out comes from the config. Throws `ZephError` (config, vault, model missing). */
export type OpenChatSession = (choice: {
  readonly provider?: string | undefined;
  readonly model?: string | undefined;
}) => Promise<ChatSession>;

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

/** Tokens of one answer or of several. `undefined` means that the endpoint did not tell, which is not 0. */
export interface TokenUsage {
  readonly input: number | undefined;
  readonly output: number | undefined;
  /** Part of `input` that was read from a cache. */
  readonly cached: number | undefined;
  /** Part of `output` that was spent on reasoning. */
  readonly reasoning: number | undefined;
}

export const UNKNOWN_USAGE: TokenUsage = {
  input: undefined,
  output: undefined,
  cached: undefined,
  reasoning: undefined,
};

/** Numbers that cannot be true are unknown ones. */
export function toTokenUsage({ inputTokens, outputTokens }: LanguageModelV3Usage): TokenUsage {
  return {
    input: plausibleTokens(inputTokens?.total),
    output: plausibleTokens(outputTokens?.total),
    cached: plausibleTokens(inputTokens?.cacheRead),
    reasoning: plausibleTokens(outputTokens?.reasoning),
  };
}

/** Adds what is known; a sum of nothing known stays unknown. */
export function addUsage(left: TokenUsage, right: TokenUsage): TokenUsage {
  return {
    input: addKnown(left.input, right.input),
    output: addKnown(left.output, right.output),
    cached: addKnown(left.cached, right.cached),
    reasoning: addKnown(left.reasoning, right.reasoning),
  };
}

function addKnown(left: number | undefined, right: number | undefined): number | undefined {
  if (left === undefined) return right;
  return right === undefined ? left : left + right;
}

/** The sum of a conversation. */
export interface UsageTotal {
  readonly answers: number;
  readonly usage: TokenUsage;
  /** Sum of the known costs. */
  readonly costUsd: number | undefined;
  /** Sum of what signed requests cost; another currency, never added to the dollars. */
  readonly costNgonka?: bigint | undefined;
  /** Answers whose cost nobody told: the true sum is higher. */
  readonly answersOfUnknownCost: number;
}

export const EMPTY_TOTAL: UsageTotal = {
  answers: 0,
  usage: UNKNOWN_USAGE,
  costUsd: undefined,
  answersOfUnknownCost: 0,
};

export function addToTotal(
  total: UsageTotal,
  { usage, costUsd, costNgonka }: Pick<UsageTotal, "usage" | "costUsd" | "costNgonka">,
): UsageTotal {
  const isUnknown = costUsd === undefined && costNgonka === undefined;
  return {
    answers: total.answers + 1,
    usage: addUsage(total.usage, usage),
    costUsd: addKnown(total.costUsd, costUsd),
    costNgonka: costNgonka === undefined ? total.costNgonka : (total.costNgonka ?? 0n) + costNgonka,
    answersOfUnknownCost: total.answersOfUnknownCost + (isUnknown ? 1 : 0),
  };
}

/** What the endpoint says the answer cost, in whichever provider's namespace it stands. */
export function toldCostUsd(metadata: Readonly<Record<string, unknown>> | undefined): number | undefined {
  for (const namespace of Object.values(metadata ?? {})) {
    if (typeof namespace !== "object" || namespace === null || !("costUsd" in namespace)) continue;
    const cost = plausibleUsd(namespace.costUsd);
    if (cost !== undefined) return cost;
  }
  return undefined;
}

/** Cost by the configured price; unknown unless price and both token counts are known. */
export function pricedCostUsd(usage: TokenUsage, pricing: Pricing | undefined): number | undefined {
  if (pricing === undefined || usage.input === undefined || usage.output === undefined) return undefined;
  return plausibleUsd((usage.input * pricing.promptUsdPer1M + usage.output * pricing.completionUsdPer1M) / 1_000_000);
}

/** Cost by the network's price, exact; unknown unless price and both token counts are known. */
export function pricedCostNgonka({ input, output }: TokenUsage, pricePerTokenNgonka: bigint | undefined) {
  if (pricePerTokenNgonka === undefined || input === undefined || output === undefined) return undefined;
  return (BigInt(input) + BigInt(output)) * pricePerTokenNgonka;
}

/** A rough count, four characters to a token: good enough to warn, not to bill. */
export function estimateTokens(characters: number): number {
  return Math.ceil(characters / 4);
}

type ReasoningEffort = (typeof REASONING_EFFORTS)[number];

/** How much the model shall think, as the user said it. Absent: as the config says, else as the model likes. */
export interface Thinking {
  readonly effort?: ReasoningEffort | undefined;
  /** Most tokens; 0 switches thinking off. */
  readonly tokens?: number | undefined;
}

/** Names under which model lists tell that a model takes one. */
const EFFORT_NAMES = ["reasoning_effort", "reasoning"];
const TOKENS_NAMES = ["thinking_token_budget", "thinking_budget"];

/** Whether the model takes it; `unknown` where its list names no parameters, as most do. */
export type Support = "yes" | "no" | "unknown";

export function supportsEffort(session: Pick<ChatSession, "parameters">): Support {
  return supports(session, EFFORT_NAMES);
}

export function supportsThinkTokens(session: Pick<ChatSession, "parameters">): Support {
  return supports(session, TOKENS_NAMES);
}

function supports({ parameters }: Pick<ChatSession, "parameters">, names: readonly string[]): Support {
  if (parameters === undefined) return "unknown";
  return names.some((name) => parameters.includes(name)) ? "yes" : "no";
}

export function toReasoningEffort(text: string): ReasoningEffort | undefined {
  return REASONING_EFFORTS.find((effort) => effort === text.toLowerCase());
}

/** Options of the model under `gonka`. */
type ThinkingOptions = {
  readonly reasoningEffort?: ReasoningEffort | undefined;
  readonly thinkingTokenBudget?: number | undefined;
  readonly thinking?: { readonly type: "disabled" };
};

/**
 * What is sent. The user's own word goes out unless the model is known not to take it; the config's only where it is
 * known to take it: an endpoint may refuse a request for a field it does not know.
 */
export function thinkingOptions(session: ChatSession, { effort, tokens }: Thinking): ThinkingOptions {
  const configured = supportsEffort(session) === "yes" ? toReasoningEffort(session.reasoningEffort ?? "") : undefined;
  const wanted = supportsEffort(session) === "no" ? undefined : (effort ?? configured);
  const budget = supportsThinkTokens(session) === "no" ? undefined : tokens;
  return {
    ...(wanted === undefined ? {} : { reasoningEffort: wanted }),
    ...(budget === undefined ? {} : { thinkingTokenBudget: budget }),
    // A budget alone does not switch thinking off: gonka-ai/gonka docs/chat-api/README.md (2026-07).
    ...(budget === 0 ? { thinking: { type: "disabled" } } : {}),
  };
}

/** What a user may say about every answer of a conversation. */
export interface AnswerSettings {
  readonly system?: string | undefined;
  readonly maxOutputTokens?: number | undefined;
  readonly temperature?: number | undefined;
  readonly topP?: number | undefined;
  readonly frequencyPenalty?: number | undefined;
  readonly presencePenalty?: number | undefined;
  readonly tools?: ToolSet | undefined;
  /** Most rounds of tool calls in one answer. Default 8. */
  readonly maxSteps?: number | undefined;
}

/** The settings that are the same for every question. Absent ones stay absent: the endpoint's defaults hold then. */
export function settingsOf(
  { system, maxOutputTokens: asked, tools, maxSteps, ...options }: AnswerSettings,
  session: ChatSession,
  thinking: Thinking,
) {
  const { temperature, topP, frequencyPenalty, presencePenalty } = options;
  const maxOutputTokens = asked ?? session.maxOutputTokens;
  return {
    maxSteps: maxSteps ?? 8,
    providerOptions: { gonka: thinkingOptions(session, thinking) },
    ...(system === undefined ? {} : { system }),
    ...(maxOutputTokens === undefined ? {} : { maxOutputTokens }),
    ...(temperature === undefined ? {} : { temperature }),
    ...(topP === undefined ? {} : { topP }),
    ...(frequencyPenalty === undefined ? {} : { frequencyPenalty }),
    ...(presencePenalty === undefined ? {} : { presencePenalty }),
    ...(tools === undefined ? {} : { tools }),
  };
}
