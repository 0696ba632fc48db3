import { zephFolders } from "../config/paths.ts";
import { UnusableFile } from "../internal/regular-file.ts";
import { dailyLimitError, parseSpending, readSpending, spentOnDayUsd } from "../journal/spending.ts";
import type { Setup } from "../provider/setup.ts";
import type { Check } from "./check.ts";
import { failed, passed, warned } from "./results.ts";

/** Is there anything left of the day's limit? Nothing is checked where no limit is set. */
export function dailyLimitChecks({ world, loaded }: Setup): readonly Check[] {
  const { enabled, maxDailyCents } = loaded.config.cost;
  if (!enabled || maxDailyCents === 0) return [];
  return [
    {
      name: "cost.daily_limit",
      async run() {
        const ledger = await readSpending(zephFolders(world).state).catch((error: unknown) => error);
        if (ledger instanceof UnusableFile) {
          const detail = `${ledger.message}: what is spent is not counted, and nothing keeps to max_daily_cents`;
          return warned(detail, { hint: "Move it away; the next answer begins a new one." });
        }
        const spentUsd = spentOnDayUsd(
          parseSpending(typeof ledger === "string" ? ledger : undefined),
          world.clock.nowMs(),
        );
        const data = { spent_cents: spentUsd * 100, max_daily_cents: maxDailyCents };
        const reached = dailyLimitError(spentUsd, maxDailyCents);
        if (reached !== undefined) return failed(reached, { data });
        return passed(`${(spentUsd * 100).toFixed(1)} of ${maxDailyCents} cents are spent today`, { data });
      },
    },
  ];
}
