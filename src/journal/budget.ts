import type { StateFile } from "../base/lock.ts";
import type { Clock } from "../base/time.ts";
import { ZephError } from "../errors.ts";
import {
  compactSpending,
  isDueToCompact,
  localDay,
  parseSpending,
  renderSpending,
  type SpendingLine,
  sumHours,
  timeOf,
  tookOf,
} from "./ledger.ts";

/** What one request took, for the ledger. */
export interface Spent
  extends Pick<SpendingLine, "provider" | "model" | "client" | "inputTokens" | "outputTokens" | "usd" | "ngonka"> {
  readonly answersOfUnknownCost: number;
  /** It failed, before or within its answer. */
  readonly hasFailed?: boolean | undefined;
  /** Until the last byte of the answer. */
  readonly elapsedMs?: number | undefined;
}

/** US dollars spent on the day of `nowMs`. */
export function spentOnDayUsd(lines: readonly SpendingLine[], nowMs: number): number {
  const day = localDay(nowMs);
  return lines.reduce((sum, line) => sum + (line.day === day ? (line.usd ?? 0) : 0), 0);
}

/** `budget_reached` when the day's limit is used up. */
export function dailyLimitError(spentUsd: number, maxDailyCents: number): ZephError | undefined {
  const spentCents = spentUsd * 100;
  if (spentCents < maxDailyCents) return undefined;
  const detail = `${spentCents.toFixed(1)} of ${maxDailyCents} cents are spent today`;
  return new ZephError("budget_reached", { detail });
}

/** Watches what is spent in a day. */
export interface Budget {
  /** Is there a limit at all? */
  readonly isLimited: boolean;
  /** Throws `budget_reached` when the day's limit is used up. To be called before a request leaves. */
  check(): Promise<void>;
  /** Writes down what a request took. */
  add(spent: Spent): Promise<void>;
  spentTodayUsd(): Promise<number>;
}

interface BudgetOptions {
  /** US cents for one day, `[cost] max_daily_cents`; 0 means no limit. */
  readonly maxDailyCents: number;
  /** The ledger, see `spendingPath`. */
  readonly file: StateFile;
  readonly clock: Pick<Clock, "nowMs">;
  /** Who asks, where a request does not say: a command of zeph. */
  readonly client?: string | undefined;
}

/**
 * The daily budget. Days are those of the computer's time zone. Answers are appended, so that several running zephs
 * lose none of each other's. Lines nobody can read are skipped.
 */
export function openBudget({ maxDailyCents, file, clock, client }: BudgetOptions): Budget {
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
    add: (spent) => addSpending(file, clock.nowMs(), [{ client, ...spent }]),
  };
}

/** Adds requests to the ledger, of now. Throws `file_unwritable`. */
export async function addSpending(file: StateFile, nowMs: number, spent: readonly Spent[]): Promise<void> {
  const lines = sumHours(spent.map((each) => toLine(each, nowMs)));
  await file.alone(async () => {
    const text = (await file.read()) ?? "";
    if (!isDueToCompact(text, nowMs)) return file.append(renderSpending(lines));
    return file.replace(renderSpending(compactSpending([...parseSpending(text), ...lines], nowMs)));
  });
}

export function toLine({ hasFailed = false, elapsedMs, ...spent }: Spent, nowMs: number): SpendingLine {
  const isTimed = elapsedMs !== undefined && !hasFailed;
  return {
    ...spent,
    ...timeOf(nowMs),
    answers: hasFailed ? 0 : 1,
    errors: hasFailed ? 1 : 0,
    took: isTimed ? tookOf(elapsedMs) : undefined,
  };
}

/** How long answers of `zeph serve` wait for each other before they are written. */
const GATHER_MS = 2_000;

/** Writes what a busy endpoint spends, many answers at a time. */
interface SpendingQueue {
  add(spent: Spent): void;
  /** Writes what is waiting. Never throws: a full disk must not end an endpoint. */
  flush(): Promise<void>;
}

/** Answers gather for two seconds and are then written together; one lock for hundreds of them. */
export function queueSpending({
  file,
  clock,
}: {
  readonly file: StateFile;
  readonly clock: Pick<Clock, "nowMs" | "schedule">;
}): SpendingQueue {
  let waiting: Spent[] = [];
  let cancel: (() => void) | undefined;
  let writing: Promise<void> = Promise.resolve();
  const flush = () => {
    cancel?.();
    cancel = undefined;
    const taken = waiting;
    waiting = [];
    if (taken.length > 0) {
      writing = writing.then(async () => {
        try {
          await addSpending(file, clock.nowMs(), taken);
        } catch {
          // The answers were given and are not taken back; only what they cost goes uncounted.
        }
      });
    }
    return writing;
  };
  return {
    add(spent) {
      waiting.push(spent);
      cancel ??= clock.schedule(GATHER_MS, () => void flush());
    },
    flush,
  };
}
