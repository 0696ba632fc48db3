import { join } from "node:path";
import { ZephError } from "../errors/zeph-error.ts";
import { plausibleUsd } from "../internal/plausible.ts";
import { readRegularFile } from "../internal/regular-file.ts";

/** The day's ledger in zeph's state folder: one JSON line for each answer that cost something. */
export function spendingPath(stateFolder: string): string {
  return join(stateFolder, "spent.jsonl");
}

/** A day of 300,000 answers. */
const MAX_BYTES = 16 * 1024 * 1024;

/** The ledger's text; `undefined` when there is none. Throws `UnusableFile` for what is no file, or larger than 16 MiB. */
export async function readSpending(stateFolder: string): Promise<string | undefined> {
  return (await readRegularFile(spendingPath(stateFolder), { maxBytes: MAX_BYTES }))?.toString("utf8");
}

/** What one answer cost. */
export interface SpendingLine {
  readonly day: string;
  readonly usd: number;
}

/** The lines of a ledger. Those that nobody can read are skipped. */
export function parseSpending(text: string | undefined): readonly SpendingLine[] {
  return (text ?? "").split("\n").flatMap(parseLine);
}

/** US dollars spent on the day of `nowMs`. */
export function spentOnDayUsd(lines: readonly SpendingLine[], nowMs: number): number {
  const day = localDay(nowMs);
  return lines.reduce((sum, line) => sum + (line.day === day ? line.usd : 0), 0);
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
  const date = new Date(nowMs);
  const two = (value: number) => String(value).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

function parseLine(text: string): SpendingLine[] {
  try {
    const line: unknown = JSON.parse(text);
    if (typeof line !== "object" || line === null || !("day" in line) || !("usd" in line)) return [];
    const { day, usd } = line;
    const told = plausibleUsd(usd);
    return typeof day === "string" && told !== undefined ? [{ day, usd: told }] : [];
  } catch {
    // A torn line, of a computer that went down while writing: what it cost is lost, the other lines count.
    return [];
  }
}
