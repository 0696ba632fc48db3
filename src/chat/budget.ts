import { ZephError } from "../errors/zeph-error.ts";
import type { Clock } from "../internal/clock.ts";
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

interface LedgerLine {
  readonly day: string;
  readonly usd: number;
}

/**
 * The daily budget. Days are those of the computer's time zone. Answers are appended, so that several running zephs
 * lose none of each other's; the first answer of a new day begins a new file. Lines nobody can read are skipped.
 */
export function openBudget({ maxDailyCents, file, clock }: BudgetOptions): Budget {
  const today = () => localDay(clock.nowMs());

  async function readLines(): Promise<LedgerLine[]> {
    return ((await file.read()) ?? "").split("\n").flatMap(parseLine);
  }
  async function spentTodayUsd(): Promise<number> {
    const day = today();
    return (await readLines()).reduce((sum, line) => sum + (line.day === day ? line.usd : 0), 0);
  }
  const isLimited = maxDailyCents > 0;
  return {
    isLimited,
    spentTodayUsd,
    async check() {
      if (!isLimited) return;
      const spentCents = (await spentTodayUsd()) * 100;
      if (spentCents < maxDailyCents) return;
      throw new ZephError("budget_reached", {
        detail: `${spentCents.toFixed(1)} of ${maxDailyCents} cents are spent today`,
      });
    },
    async add(costUsd) {
      const day = today();
      const text = `${JSON.stringify({ day, usd: costUsd })}\n`;
      const lines = await readLines();
      if (lines.some((line) => line.day !== day)) {
        const kept = lines.filter((line) => line.day === day).map((line) => `${JSON.stringify(line)}\n`);
        await file.replace(kept.join("") + text);
      } else await file.append(text);
    },
  };
}

function parseLine(text: string): LedgerLine[] {
  try {
    const line: unknown = JSON.parse(text);
    if (typeof line !== "object" || line === null || !("day" in line) || !("usd" in line)) return [];
    const { day, usd } = line;
    return typeof day === "string" && typeof usd === "number" && usd >= 0 ? [{ day, usd }] : [];
  } catch {
    // A torn line, of a computer that went down while writing: what it cost is lost, the other lines count.
    return [];
  }
}

/** `2026-11-22`, in the computer's time zone: "tomorrow" is the user's tomorrow. */
export function localDay(nowMs: number): string {
  const date = new Date(nowMs);
  const two = (value: number) => String(value).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}
