import type { Clock } from "../internal/clock.ts";
import {
  compactSpending,
  dailyLimitError,
  localDay,
  parseSpending,
  renderSpending,
  type SpendingLine,
  spentOnDayUsd,
} from "../journal/spending.ts";
import type { StateFile } from "./state-file.ts";

/** What one answer took, for the ledger. */
export type Spent = Omit<SpendingLine, "day" | "answers">;

/** Watches what is spent in a day. */
export interface Budget {
  /** Is there a limit at all? */
  readonly isLimited: boolean;
  /** Throws `budget_reached` when the day's limit is used up. To be called before a request leaves. */
  check(): Promise<void>;
  /** Writes down what an answer took. */
  add(spent: Spent): Promise<void>;
  spentTodayUsd(): Promise<number>;
}

export interface BudgetOptions {
  /** US cents for one day, `[cost] max_daily_cents`; 0 means no limit. */
  readonly maxDailyCents: number;
  /** The ledger, see `spendingPath`. */
  readonly file: StateFile;
  readonly clock: Pick<Clock, "nowMs">;
}

/**
 * The daily budget. Days are those of the computer's time zone. Answers are appended, so that several running zephs
 * lose none of each other's. Lines nobody can read are skipped.
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
    add: (spent) => addSpending(file, clock.nowMs(), [spent]),
  };
}

/** Until here the ledger only grows; then, and with each new day, it is put together to a line for each day and model. */
const COMPACT_ABOVE_CHARS = 512 * 1024;

/** Adds answers to the ledger, of now. For `zeph serve`, which brings many at a time. Throws `file_unwritable`. */
export async function addSpending(file: StateFile, nowMs: number, spent: readonly Spent[]): Promise<void> {
  const day = localDay(nowMs);
  const lines = spent.map((each) => ({ ...each, day, answers: 1 }));
  await file.alone(async () => {
    const text = await file.read();
    const before = parseSpending(text);
    const isNewDay = before.length > 0 && before.at(-1)?.day !== day;
    if (!isNewDay && (text ?? "").length < COMPACT_ABOVE_CHARS) return file.append(lines.map(renderSpending).join(""));
    return file.replace(
      compactSpending([...before, ...lines], nowMs)
        .map(renderSpending)
        .join(""),
    );
  });
}

/** How long answers of `zeph serve` wait for each other before they are written. */
const GATHER_MS = 2_000;

/** Writes what a busy endpoint spends, many answers at a time. */
export interface SpendingQueue {
  add(spent: Spent): void;
  /** Writes what is waiting. Never throws: a full disk must not end an endpoint. */
  flush(): Promise<void>;
}

/** Answers gather for two seconds and are then written together; one lock for hundreds of them. */
export function queueSpending(
  { file, clock }: { readonly file: StateFile; readonly clock: Pick<Clock, "nowMs" | "schedule"> },
  price: (spent: readonly Spent[]) => Promise<readonly Spent[]> = async (spent) => spent,
): SpendingQueue {
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
          await addSpending(file, clock.nowMs(), await price(taken));
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
