import { join } from "node:path";
import { ZephError } from "../errors/zeph-error.ts";
import { plausibleTokens, plausibleUsd } from "../internal/plausible.ts";
import { readRegularFile } from "../internal/regular-file.ts";

/** The ledger in zeph's state folder: one JSON line for each answer of today, and one for each model of an earlier day. */
export function spendingPath(stateFolder: string): string {
  return join(stateFolder, "spent.jsonl");
}

/** A day of 100,000 answers. */
const MAX_BYTES = 16 * 1024 * 1024;

/** The ledger's text; `undefined` when there is none. Throws `UnusableFile` for what is no file, or larger than 16 MiB. */
export async function readSpending(stateFolder: string): Promise<string | undefined> {
  return (await readRegularFile(spendingPath(stateFolder), { maxBytes: MAX_BYTES }))?.toString("utf8");
}

/** What answers of one day took: one answer, or all of a model put together. */
export interface SpendingLine {
  /** `2026-11-22`, see {@link localDay}. */
  readonly day: string;
  /** Absent in what zephs before December 2026 wrote. */
  readonly provider?: string | undefined;
  readonly model?: string | undefined;
  readonly answers: number;
  /** Tokens, as far as endpoints told. */
  readonly inputTokens?: number | undefined;
  readonly outputTokens?: number | undefined;
  /** US dollars; an estimate where `answersOfUnknownCost` says so. */
  readonly usd?: number | undefined;
  /** What signed requests cost, 10⁻⁹ GNK; never a part of `usd`. */
  readonly ngonka?: bigint | undefined;
  /** Answers whose cost nobody told. */
  readonly answersOfUnknownCost: number;
}

/** The lines of a ledger. Those that nobody can read are skipped. */
export function parseSpending(text: string | undefined): readonly SpendingLine[] {
  return (text ?? "").split("\n").flatMap(parseLine);
}

/** The form on the disk: short names, and nothing that says nothing. */
export function renderSpending(line: SpendingLine): string {
  const { day, provider, model, answers, inputTokens, outputTokens, usd, ngonka, answersOfUnknownCost } = line;
  const written = {
    day,
    usd,
    provider,
    model,
    in: inputTokens,
    out: outputTokens,
    ngonka: ngonka?.toString(),
    answers: answers === 1 ? undefined : answers,
    unknown: answersOfUnknownCost === 0 ? undefined : answersOfUnknownCost,
  };
  return `${JSON.stringify(written)}\n`;
}

/** Lines that agree in what `keyOf` gives become one; they keep the order of their first. */
export function sumSpending(
  lines: readonly SpendingLine[],
  keyOf: (line: SpendingLine) => Pick<SpendingLine, "day" | "provider" | "model">,
): readonly SpendingLine[] {
  const sums = new Map<string, SpendingLine>();
  for (const line of lines) {
    const key = keyOf(line);
    const name = JSON.stringify([key.day, key.provider, key.model]);
    const before = sums.get(name) ?? { ...key, answers: 0, answersOfUnknownCost: 0 };
    sums.set(name, {
      ...key,
      answers: before.answers + line.answers,
      inputTokens: addKnown(before.inputTokens, line.inputTokens),
      outputTokens: addKnown(before.outputTokens, line.outputTokens),
      usd: addKnown(before.usd, line.usd),
      ngonka: line.ngonka === undefined ? before.ngonka : (before.ngonka ?? 0n) + line.ngonka,
      answersOfUnknownCost: before.answersOfUnknownCost + line.answersOfUnknownCost,
    });
  }
  return [...sums.values()];
}

/** How long days are remembered: a year, and the month before it to compare with. */
const KEPT_DAYS = 400;

/** The ledger made short: one line for each day, provider and model, and none older than 400 days. */
export function compactSpending(lines: readonly SpendingLine[], nowMs: number): readonly SpendingLine[] {
  const oldest = dayBefore(nowMs, KEPT_DAYS);
  const kept = lines.filter(({ day }) => day >= oldest);
  return sumSpending(kept, ({ day, provider, model }) => ({ day, provider, model }));
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

/** `2026-11-22`, in the computer's time zone: "tomorrow" is the user's tomorrow. */
export function localDay(nowMs: number): string {
  return toDay(new Date(nowMs));
}

/** The day that is so many before the one of `nowMs`, also over a change of the clocks. */
export function dayBefore(nowMs: number, days: number): string {
  const date = new Date(nowMs);
  return toDay(new Date(date.getFullYear(), date.getMonth(), date.getDate() - days));
}

function toDay(date: Date): string {
  const two = (value: number) => String(value).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

const MOST_ANSWERS = 1_000_000_000;

function parseLine(text: string): SpendingLine[] {
  try {
    const line: unknown = JSON.parse(text);
    if (typeof line !== "object" || line === null || !("day" in line)) return [];
    const { day, usd, provider, model, in: input, out: output, ngonka, answers = 1, unknown = 0 } = line as Written;
    const isCount = (value: unknown) => Number.isInteger(value) && Number(value) <= MOST_ANSWERS;
    if (typeof day !== "string" || !/^\d{4}-\d\d-\d\d$/.test(day)) return [];
    if (!isCount(answers) || !isCount(unknown) || Number(answers) < 1 || Number(unknown) < 0) return [];
    // What one answer can cost or hold, many can cost or hold so many times over.
    const count = Number(answers);
    const spentUsd = typeof usd === "number" ? plausibleUsd(usd / count) : undefined;
    if (usd !== undefined && spentUsd === undefined) return [];
    const known = {
      day,
      provider: asText(provider),
      model: asText(model),
      answers: count,
      inputTokens: asTokens(input, count),
      outputTokens: asTokens(output, count),
      usd: spentUsd === undefined ? undefined : Number(usd),
      ngonka: typeof ngonka === "string" && /^\d{1,30}$/.test(ngonka) ? BigInt(ngonka) : undefined,
      answersOfUnknownCost: Number(unknown),
    };
    return [known];
  } catch {
    // A torn line, of a computer that went down while writing: what it cost is lost, the other lines count.
    return [];
  }
}

type Written = Readonly<
  Partial<Record<"day" | "usd" | "provider" | "model" | "in" | "out" | "ngonka" | "answers" | "unknown", unknown>>
>;

function asText(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value.slice(0, 256) : undefined;
}

function asTokens(value: unknown, answers: number): number | undefined {
  const isWhole = Number.isSafeInteger(value) && plausibleTokens(Math.floor(Number(value) / answers)) !== undefined;
  return isWhole ? Number(value) : undefined;
}

function addKnown(left: number | undefined, right: number | undefined): number | undefined {
  if (left === undefined) return right;
  return right === undefined ? left : left + right;
}
