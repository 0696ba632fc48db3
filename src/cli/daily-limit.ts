import type { StateFile } from "../base/lock.ts";
import type { Clock } from "../base/time.ts";
import { dailyLimitError, localDay, openBudget, queueSpending, type Spent } from "../journal/journal.ts";

/** How long what was read in the ledger counts. */
const MAX_AGE_MS = 2_000;

/**
 * The daily limit of an endpoint that answers hundreds of requests a second. What this process spends counts at once, to
 * the cent. What other zephs spend counts as soon as they have written it down (within two seconds) and the ledger is
 * read again: at the next request, and at most every two seconds. What is still being answered counts when it ends.
 */
export function dailyLimit({
  maxDailyCents,
  file,
  clock,
}: {
  /** 0 means no limit. */
  readonly maxDailyCents: number;
  readonly file: StateFile;
  readonly clock: Pick<Clock, "nowMs" | "schedule">;
}) {
  const budget = openBudget({ maxDailyCents, file, clock });
  /** Both of this process, since it began. */
  let addedUsd = 0;
  let writtenUsd = 0;
  const ledger = queueSpending({ file, clock }, async (taken) => {
    for (const { usd = 0 } of taken) writtenUsd += usd;
    return taken;
  });
  /** What the ledger said, and how much of our own is in that. */
  let read:
    | { readonly usd: number; readonly writtenUsd: number; readonly atMs: number; readonly day: string }
    | undefined;
  let reading: Promise<void> | undefined;
  /** What this process had added when its day began: a ledger that cannot be written is no way around the limit. */
  let day = { is: localDay(clock.nowMs()), addedBeforeUsd: 0 };

  async function readAgain(): Promise<void> {
    await ledger.flush();
    for (;;) {
      const before = writtenUsd;
      const atMs = clock.nowMs();
      const usd = await budget.spentTodayUsd();
      // Some of our own went into the file meanwhile, or did not: only without that the sum is certain.
      if (before !== writtenUsd) await ledger.flush();
      else {
        read = { usd, writtenUsd: before, atMs, day: localDay(atMs) };
        return;
      }
    }
  }
  function isFresh(today: string, nowMs: number): boolean {
    if (read === undefined || read.day !== today) return false;
    const ageMs = nowMs - read.atMs;
    return ageMs >= 0 && ageMs < MAX_AGE_MS;
  }
  return {
    isLimited: budget.isLimited,
    flush: () => ledger.flush(),
    add(spent: Spent): void {
      addedUsd += spent.usd ?? 0;
      ledger.add(spent);
    },
    /** Throws `budget_reached`, and what reading the ledger throws. */
    async check(): Promise<void> {
      if (!budget.isLimited) return;
      const nowMs = clock.nowMs();
      const today = localDay(nowMs);
      if (day.is !== today) day = { is: today, addedBeforeUsd: addedUsd };
      if (!isFresh(today, nowMs)) {
        reading ??= readAgain().finally(() => {
          reading = undefined;
        });
        await reading;
      }
      const inLedgerUsd = (read?.usd ?? 0) + (addedUsd - (read?.writtenUsd ?? 0));
      const reached = dailyLimitError(Math.max(inLedgerUsd, addedUsd - day.addedBeforeUsd), maxDailyCents);
      if (reached !== undefined) throw reached;
    },
  };
}
