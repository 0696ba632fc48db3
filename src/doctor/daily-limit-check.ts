import { readFile } from "node:fs/promises";
import { zephFolders } from "../config/paths.ts";
import { dailyLimitError, parseSpending, spendingPath, spentOnDayUsd } from "../journal/spending.ts";
import type { Setup } from "../provider/setup.ts";
import type { Check } from "./check.ts";
import { failed, passed } from "./results.ts";

/** Is there anything left of the day's limit? Nothing is checked where no limit is set. */
export function dailyLimitChecks({ world, loaded }: Setup): readonly Check[] {
  const { enabled, maxDailyCents } = loaded.config.cost;
  if (!enabled || maxDailyCents === 0) return [];
  return [
    {
      name: "cost.daily_limit",
      async run() {
        // As a chat reads it: a ledger that cannot be read counts as empty.
        const ledger = await readFile(spendingPath(zephFolders(world).state), "utf8").catch(() => undefined);
        const spentUsd = spentOnDayUsd(parseSpending(ledger), world.clock.nowMs());
        const data = { spent_cents: spentUsd * 100, max_daily_cents: maxDailyCents };
        const reached = dailyLimitError(spentUsd, maxDailyCents);
        if (reached !== undefined) return failed(reached, { data });
        return passed(`${(spentUsd * 100).toFixed(1)} of ${maxDailyCents} cents are spent today`, { data });
      },
    },
  ];
}
