import { readBoundedText } from "../../internal/read-bounded.ts";
import { parseForeignJson } from "../../internal/scan-json.ts";
import { normalizeBaseURL } from "../../protocol/endpoint.ts";
import type { Check } from "../check.ts";
import type { DoctorFacts } from "../facts.ts";
import { passed, warned } from "../results.ts";
import { type BrokerSighting, brokerCheckNames } from "./broker-sighting.ts";
import { readPublicPrices } from "./public-prices.ts";

const MAX_PRICES_BYTES = 4 * 1024 * 1024;

/** What a million tokens of the configured model cost, where anybody tells. Unknown is not 0, and no failure. */
export function priceCheck(sighting: BrokerSighting): Check {
  const { config, setup } = sighting;
  const names = brokerCheckNames(config.name);
  return {
    name: names.price,
    dependsOn: [names.model],
    provider: config.name,
    async run(facts, signal) {
      const listed = sighting.models?.find(({ id }) => id === config.model);
      const given = config.pricing ?? listed;
      const [prompt, completion] = [given?.promptUsdPer1M, given?.completionUsdPer1M];
      if (prompt !== undefined && completion !== undefined) {
        const data = { prompt_usd_per_1m: prompt, completion_usd_per_1m: completion };
        return passed(`$${round(prompt)} in, $${round(completion)} out per 1M tokens`, { data });
      }
      const total = await publicPrice(sighting, facts, signal);
      if (total !== undefined) return passed(`$${round(total)} per 1M tokens`, { data: { usd_per_1m: total } });
      const { cost } = setup.loaded.config;
      if (cost.enabled && cost.maxDailyCents > 0) {
        return warned("the price is unknown, so max_daily_cents cannot count it", {
          code: "pricing_unavailable",
          hint: `Set pricing = { prompt_usd_per_1m = …, completion_usd_per_1m = … } for ${config.name}.`,
        });
      }
      return passed("not published; costs are shown as unknown");
    },
  };
}

async function publicPrice(
  { config, broker }: BrokerSighting,
  { world }: DoctorFacts,
  signal: AbortSignal,
): Promise<number | undefined> {
  if (broker?.pricingPath === undefined || config.model === undefined) return undefined;
  const url = new URL(broker.pricingPath, normalizeBaseURL(config.baseURL)).href;
  try {
    const response = await world.fetch(url, { redirect: "manual", signal });
    const text = await readBoundedText(response.body, MAX_PRICES_BYTES);
    return response.ok ? readPublicPrices(parseForeignJson(text)).get(config.model) : undefined;
  } catch (thrown) {
    if (signal.aborted) throw thrown;
    // A price list is an addition; without it the price is unknown.
    return undefined;
  }
}

function round(usd: number): string {
  return String(Number(usd.toPrecision(4)));
}
