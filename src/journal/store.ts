import type { KeptTexts } from "../base/kept-texts.ts";
import type { StateFile } from "../base/lock.ts";
import type { Clock } from "../base/time.ts";
import { ZephError } from "../errors.ts";
import { dailyLimitError, queueSpending, type Spent, spentOnDayUsd } from "./budget.ts";
import { localDay, parseSpending, type SpendingLine } from "./ledger.ts";

/**
 * What the copies of an endpoint share: the ledger, the daily limit and the answers that can be referred to. Its default
 * is the private file; its shared form a server (`redis-store.ts`).
 */
export interface EndpointStore {
  /** Is there a daily limit at all? */
  readonly isLimited: boolean;
  /**
   * Holds a part of the day's limit for a request before it leaves, so that all requests under way together stay within
   * it. A second call for the same request changes nothing. Throws `budget_reached`, and `service_unavailable` where the
   * store is lost and nothing passes without it.
   */
  reserve(requestId: string, cost: ExpectedCost): Promise<void>;
  /** Gives back what was held for the request, and notes what it took, where it took anything. Never throws. */
  settle(requestId: string, spent: Spent | undefined): void;
  /** Absent: answers stay in the memory of the process that gave them. */
  readonly responses?: KeptTexts | undefined;
  /** The ledger: what all copies noted. */
  lines(): Promise<readonly SpendingLine[]>;
  /** Writes what is waiting to be written. Never throws. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

/** What a request may cost. */
export interface ExpectedCost {
  /** US dollars. */
  readonly usd: number;
  /** No price is known. A guess that does not fit passes while nothing else is under way and the limit is not reached. */
  readonly isGuess: boolean;
}

/** Money in whole parts of 10⁻⁹ US dollars, rounded up, so that sums are exact. */
export function toNanoUsd(usd: number): number {
  return Math.max(0, Math.ceil(usd * 1e9 - 1e-6));
}

/** `budget_reached` for a request that does not fit any more. Amounts in 10⁻⁹ US dollars. */
export function reservationError(
  { spent, held, wanted }: { readonly spent: number; readonly held: number; readonly wanted: number },
  maxDailyCents: number,
): ZephError {
  const reached = dailyLimitError(spent / 1e9, maxDailyCents);
  if (reached !== undefined) return reached;
  const cents = (nano: number) => (nano / 1e7).toFixed(1);
  const detail = `${cents(spent)} of ${maxDailyCents} cents are spent today, ${cents(held)} are held for requests under way, and this one may cost ${cents(wanted)}`;
  return new ZephError("budget_reached", {
    detail,
    hint: "Ask for fewer tokens (max_tokens), or raise max_daily_cents.",
  });
}

/** Does a request fit into what is left of the day's limit? Amounts in 10⁻⁹ US dollars. */
export function fitsLimit(
  { spent, held, wanted }: { readonly spent: number; readonly held: number; readonly wanted: number },
  { limit, isGuess }: { readonly limit: number; readonly isGuess: boolean },
): boolean {
  if (spent >= limit) return false;
  return spent + held + wanted <= limit || (isGuess && held === 0);
}

/** The private file: reservations are in this process, what is spent in the ledger that all zephs of the user share. */
export function fileStore({
  maxDailyCents,
  file,
  clock,
}: {
  /** US cents for one day; 0 means no limit. */
  readonly maxDailyCents: number;
  readonly file: StateFile;
  readonly clock: Pick<Clock, "nowMs" | "schedule">;
}): EndpointStore {
  const queue = queueSpending({ file, clock });
  const limit = maxDailyCents * 1e7;
  const heldFor = new Map<string, number>();
  let held = 0;
  let known: { readonly stamp: string; usd: number } | undefined;
  /** Since the start; what comes while the file is read is not in what is read. */
  let settledUsd = 0;
  let reading: Promise<void> | undefined;

  /** What is in the file, and what has been settled since. Others write to the file, too. */
  async function lookAtFile(): Promise<void> {
    const day = localDay(clock.nowMs());
    if (known?.stamp === `${day} ${await file.stamp()}`) return;
    const beforeUsd = settledUsd;
    await queue.flush();
    const stamp = `${day} ${await file.stamp()}`;
    const readUsd = spentOnDayUsd(parseSpending(await file.read()), clock.nowMs());
    known = { stamp, usd: readUsd + settledUsd - beforeUsd };
  }
  return {
    isLimited: maxDailyCents > 0,
    async reserve(requestId, { usd, isGuess }) {
      if (maxDailyCents <= 0 || heldFor.has(requestId)) return;
      reading ??= lookAtFile().finally(() => {
        reading = undefined;
      });
      await reading;
      const amounts = { spent: toNanoUsd(known?.usd ?? 0), held, wanted: toNanoUsd(usd) };
      if (!fitsLimit(amounts, { limit, isGuess })) throw reservationError(amounts, maxDailyCents);
      heldFor.set(requestId, amounts.wanted);
      held += amounts.wanted;
    },
    settle(requestId, spent) {
      held -= heldFor.get(requestId) ?? 0;
      heldFor.delete(requestId);
      if (spent === undefined) return;
      settledUsd += spent.usd ?? 0;
      if (known !== undefined) known.usd += spent.usd ?? 0;
      queue.add(spent);
    },
    async lines() {
      await queue.flush();
      return parseSpending(await file.read());
    },
    flush: () => queue.flush(),
    close: () => queue.flush(),
  };
}
