import { readPricing } from "../../client/read-pricing.ts";
import { ZephError } from "../../errors/zeph-error.ts";
import { redactUrl } from "../../internal/redact.ts";
import { formatGnk } from "../../protocol/accounts.ts";
import type { RunCommand } from "../context.ts";
import { type NetworkFlags, networkSource } from "../network-source.ts";
import { style } from "../render/style.ts";
import { renderTable } from "../render/table.ts";
import { writeResult } from "../write-result.ts";

/** `zeph gonka pricing`: what a token of each model costs on the network. Unknown prices are shown as unknown. */
export const runGonkaPricing: RunCommand<NetworkFlags> = async (context, flags) => {
  const { source, reading } = await networkSource(context, flags);
  const pricing = await readPricing(source, reading);
  if (pricing === undefined) {
    throw new ZephError("pricing_unavailable", { detail: `${new URL(source).host} offers no price list` });
  }
  const { dim } = style(context.color);
  const rows = pricing.models.map(({ id, pricePerTokenNgonka: price, utilization }) => [
    id,
    price === undefined ? dim("?") : `${price} ngonka`,
    price === undefined ? dim("?") : formatGnk(price * 1_000_000n),
    utilization === undefined ? dim("?") : `${Math.round(utilization * 100)} %`,
  ]);
  const kind = pricing.dynamicPricing ? "Prices follow demand." : "Prices are fixed by the network.";
  return writeResult(context, {
    data: { source: redactUrl(source), ...pricing },
    answer: renderTable([["model", "per token", "per 1M tokens", "in use"].map(dim), ...rows]),
    notice: `${kind}\n`,
  });
};
