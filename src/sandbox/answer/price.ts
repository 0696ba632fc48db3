import type { EngineUsage, SandboxModel } from "../engine.ts";

/** GonkaGate's mark-up on the network price (its documentation, 2026). */
export const PLATFORM_FEE_RATE = 0.1;

const roundUsd = (usd: number) => Math.round(usd * 1e12) / 1e12;

/** Usage as it goes over the wire: OpenAI's fields, and GonkaGate's three cost fields in USD when `model` is priced. */
export function usageFields(usage: EngineUsage, model: SandboxModel, costs: "with-costs" | "no-costs"): object {
  const { promptTokens, completionTokens, cachedTokens, reasoningTokens } = usage;
  const base = (promptTokens * model.promptUsdPer1M + completionTokens * model.completionUsdPer1M) / 1e6;
  const fee = base * PLATFORM_FEE_RATE;
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    prompt_tokens_details: { cached_tokens: cachedTokens },
    ...(reasoningTokens === undefined ? {} : { completion_tokens_details: { reasoning_tokens: reasoningTokens } }),
    ...(costs === "no-costs"
      ? {}
      : { base_cost_usd: roundUsd(base), platform_fee_usd: roundUsd(fee), total_cost_usd: roundUsd(base + fee) }),
  };
}
