import type { LanguageModelV3Usage } from "@ai-sdk/provider";
import { plausibleTokens, plausibleUsd } from "../internal/plausible.ts";
import type { Pricing } from "./session.ts";

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
    input: plausibleTokens(inputTokens.total),
    output: plausibleTokens(outputTokens.total),
    cached: plausibleTokens(inputTokens.cacheRead),
    reasoning: plausibleTokens(outputTokens.reasoning),
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

export function addKnown(left: number | undefined, right: number | undefined): number | undefined {
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
