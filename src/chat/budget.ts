import type { Clock } from "../internal/clock.ts";
import { dailyLimitError, localDay, parseSpending, spentOnDayUsd } from "../journal/spending.ts";
import type { StateFile } from "./state-file.ts";

/** Watches what is spent in a day. */
export interface Budget {
  /** Is there a limit at all? */
  readonly isLimited: boolean;
  /** Throws `budget_reached` when the day's limit is used up. To be called before a request leaves. */
  check(): Promise<void>;
  /** Writes down what an answer cost. */
  add(costUsd: number): Promise<void>;
  spentTodayUsd(): Promise<number>;
}

export interface BudgetOptions {
  /** US cents for one day, `[cost] max_daily_cents`; 0 means no limit. */
  readonly maxDailyCents: number;
  /** The ledger: one JSON line for each answer of the day. */
  readonly file: StateFile;
  readonly clock: Pick<Clock, "nowMs">;
}

/**
 * The daily budget. Days are those of the computer's time zone. Answers are appended, so that several running zephs
 * lose none of each other's; the first answer of a new day begins a new file. Lines nobody can read are skipped.
 */
export function openBudget({ maxDailyCents, file, clock }: BudgetOptions): Budget {
  const spentTodayUsd = async () => spentOnDayUsd(parseSpending(await file.read()), clock.nowMs());
  const isLimited = maxDailyCents > 0;
  return {
    isLimited,
    spentTodayUsd,
    async check() {
      if (!isLimited) return;
      const reached = dailyLimitError(await spentTodayUsd(), maxDailyCents);
      if (reached !== undefined) throw reached;
    },
    async add(costUsd) {
      const day = localDay(clock.nowMs());
      const text = `${JSON.stringify({ day, usd: costUsd })}\n`;
      await file.alone(async () => {
        const lines = parseSpending(await file.read());
        if (lines.some((line) => line.day !== day)) {
          const kept = lines.filter((line) => line.day === day).map((line) => `${JSON.stringify(line)}\n`);
          await file.replace(kept.join("") + text);
        } else await file.append(text);
      });
    },
  };
}
