import { extractCostUsd } from "../brokers/cost.ts";
import { errorBehind } from "../client/error-response.ts";
import type { ProviderConfig } from "../config/provider.ts";
import { ZephError } from "../errors/zeph-error.ts";
import { plausibleTokens } from "../internal/plausible.ts";
import { readBoundedText } from "../internal/read-bounded.ts";
import { jsonFault, parseForeignJson, SMALL_ANSWER_LIMITS } from "../internal/scan-json.ts";
import { openProvider } from "../provider/open-provider.ts";
import type { Setup } from "../provider/setup.ts";
import type { Check } from "./check.ts";
import { failed, passed } from "./results.ts";

const MAX_REPLY_BYTES = 1024 * 1024;

/**
 * The paid probe: one completion of one token at one endpoint, sent the way a chat sends it. Only with `--smoke` (B15).
 * @param order what must have passed before a request leaves
 */
export function smokeCheck(
  setup: Setup,
  config: Exclude<ProviderConfig, { type: "other" }>,
  order: Pick<Check, "dependsOn" | "after">,
): Check {
  return {
    name: `llm.${config.name}.smoke`,
    ...order,
    provider: config.name,
    async run(facts, signal) {
      const { gonka } = await openProvider(setup, { name: config.name });
      const startedAtMs = facts.world.clock.nowMs();
      const body = { model: config.model, messages: [{ role: "user", content: "Hi" }], max_tokens: 1 };
      const response = await gonka(`${gonka.baseURL}/chat/completions`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
        signal,
      });
      const text = await readBoundedText(response.body, MAX_REPLY_BYTES);
      if (!response.ok)
        return failed(errorBehind(response) ?? new ZephError("bad_response", { status: response.status }));
      const elapsedMs = Math.max(0, facts.world.clock.nowMs() - startedAtMs);
      const { tokens, costUsd } = readUsage(text, response.headers);
      const words = [
        `replied after ${Math.round(elapsedMs)} ms`,
        ...(tokens === undefined ? [] : [`${tokens} tokens`]),
        costUsd === undefined ? "cost unknown" : `$${costUsd}`,
      ];
      const data = { latency_ms: Math.round(elapsedMs), tokens: tokens ?? null, cost_usd: costUsd ?? null };
      return passed(words.join(", "), { data });
    },
  };
}

function readUsage(text: string, headers: Headers) {
  let body: unknown;
  try {
    body = parseForeignJson(text, SMALL_ANSWER_LIMITS);
  } catch (cause) {
    throw new ZephError("bad_response", { detail: `the reply ${jsonFault(cause)}`, cause });
  }
  const usage = typeof body === "object" && body !== null ? Reflect.get(body, "usage") : undefined;
  const total: unknown = typeof usage === "object" && usage !== null ? Reflect.get(usage, "total_tokens") : undefined;
  return { tokens: plausibleTokens(total), costUsd: extractCostUsd(body, headers) };
}
