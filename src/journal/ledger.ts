import { join } from "node:path";
import { readRegularFile } from "../base/files.ts";
import { plausibleTokens, plausibleUsd } from "../base/json.ts";

/*
 * The ledger: what answers took, for `zeph usage`, the page and the daily limit. A file of JSON lines that all zephs of a
 * user append to. Lines of one hour, provider, model and client are put together from time to time; the hours of the last
 * two weeks are kept apart, then days, for 400 of them.
 */

/** The ledger in zeph's state folder. */
export function spendingPath(stateFolder: string): string {
  return join(stateFolder, "spent.jsonl");
}

const MAX_LEDGER_BYTES = 16 * 1024 * 1024;

/** The ledger's text; `undefined` when there is none. Throws `UnusableFile` for what is no file, or larger than 16 MiB. */
export async function readSpending(stateFolder: string): Promise<string | undefined> {
  return (await readRegularFile(spendingPath(stateFolder), { maxBytes: MAX_LEDGER_BYTES }))?.toString("utf8");
}

/** Numbers of one request, or of many put together. */
interface Tally {
  /** Requests that were answered. */
  readonly answers: number;
  /** Requests that failed, before or within their answer. */
  readonly errors: number;
  /** Tokens, as far as endpoints told. */
  readonly inputTokens?: number | undefined;
  readonly outputTokens?: number | undefined;
  /** US dollars; an estimate where `answersOfUnknownCost` says so. */
  readonly usd?: number | undefined;
  /** What signed requests cost, 10⁻⁹ GNK; never a part of `usd`. */
  readonly ngonka?: bigint | undefined;
  /** Answers whose cost nobody told. */
  readonly answersOfUnknownCost: number;
  /** How long answers took, see {@link tookOf}. Absent where nobody measured. */
  readonly took?: Took | undefined;
}

/** What requests of one hour or day took. */
export interface SpendingLine extends Tally {
  /** `2026-11-22`, see {@link localDay}. */
  readonly day: string;
  /** Of that day, 0 to 23. Absent where hours are not kept, and in what zephs before December 2026 wrote. */
  readonly hour?: number | undefined;
  readonly provider?: string | undefined;
  readonly model?: string | undefined;
  /** Who asked: the family of a user agent, or a command of zeph. */
  readonly client?: string | undefined;
}

/** The lines of a ledger. Those that nobody can read are skipped. */
export function parseSpending(text: string | undefined): readonly SpendingLine[] {
  return (text ?? "").split("\n").flatMap(parseLine);
}

/** The form on the disk: short names, and nothing that says nothing. */
export function renderSpending(lines: readonly SpendingLine[]): string {
  return lines.map((line) => `${JSON.stringify(toWritten(line))}\n`).join("");
}

function toWritten({ day, hour, provider, model, client, ...tally }: SpendingLine) {
  const { answers, errors, inputTokens, outputTokens, usd, ngonka, answersOfUnknownCost, took } = tally;
  return {
    day,
    hour,
    usd,
    provider,
    model,
    client,
    in: inputTokens,
    out: outputTokens,
    ngonka: ngonka?.toString(),
    answers: answers === 1 && errors === 0 ? undefined : answers,
    errors: errors === 0 ? undefined : errors,
    unknown: answersOfUnknownCost === 0 ? undefined : answersOfUnknownCost,
    took,
  };
}

type Written = Readonly<Partial<Record<keyof ReturnType<typeof toWritten>, unknown>>>;

const MOST_REQUESTS = 1_000_000_000;

function parseLine(text: string): SpendingLine[] {
  try {
    const line: unknown = JSON.parse(text);
    if (typeof line !== "object" || line === null || !("day" in line)) return [];
    const { day, hour, usd, ngonka, answers = 1, errors = 0, unknown = 0, ...written } = line as Written;
    if (typeof day !== "string" || !/^\d{4}-\d\d-\d\d$/.test(day)) return [];
    if (![answers, errors, unknown].every(isCount)) return [];
    // What one request can cost or hold, many can cost or hold so many times over.
    const requests = Number(answers) + Number(errors);
    const spentUsd = typeof usd === "number" ? plausibleUsd(usd / requests) : undefined;
    if (requests < 1 || (usd !== undefined && spentUsd === undefined)) return [];
    const known = {
      day,
      hour: isCount(hour) && Number(hour) < 24 ? Number(hour) : undefined,
      provider: asText(written.provider),
      model: asText(written.model),
      client: asText(written.client),
      answers: Number(answers),
      errors: Number(errors),
      inputTokens: asTokens(written.in, requests),
      outputTokens: asTokens(written.out, requests),
      usd: spentUsd === undefined ? undefined : Number(usd),
      ngonka: typeof ngonka === "string" && /^\d{1,30}$/.test(ngonka) ? BigInt(ngonka) : undefined,
      answersOfUnknownCost: Number(unknown),
      took: isTook(written.took) ? written.took : undefined,
    };
    return [known];
  } catch {
    // A torn line, of a computer that went down while writing: what it cost is lost, the other lines count.
    return [];
  }
}

function isCount(value: unknown): boolean {
  return Number.isInteger(value) && Number(value) >= 0 && Number(value) <= MOST_REQUESTS;
}

function asText(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value.slice(0, 256) : undefined;
}

function asTokens(value: unknown, requests: number): number | undefined {
  const isWhole = Number.isSafeInteger(value) && plausibleTokens(Math.floor(Number(value) / requests)) !== undefined;
  return isWhole ? Number(value) : undefined;
}

const NOTHING: Tally = { answers: 0, errors: 0, answersOfUnknownCost: 0 };

/** Lines that agree in what `keyOf` gives become one; they keep the order of their first. */
function sumSpending<Key extends object>(
  lines: readonly SpendingLine[],
  keyOf: (line: SpendingLine) => Key,
): readonly (Key & Tally)[] {
  const sums = new Map<string, Key & Tally>();
  for (const line of lines) {
    const key = keyOf(line);
    const name = JSON.stringify(Object.values(key).map((value) => value ?? null));
    sums.set(name, { ...key, ...added(sums.get(name) ?? NOTHING, line) });
  }
  return [...sums.values()];
}

function added(left: Tally, right: Tally): Tally {
  return {
    answers: left.answers + right.answers,
    errors: left.errors + right.errors,
    inputTokens: addKnown(left.inputTokens, right.inputTokens),
    outputTokens: addKnown(left.outputTokens, right.outputTokens),
    usd: addKnown(left.usd, right.usd),
    ngonka: right.ngonka === undefined ? left.ngonka : (left.ngonka ?? 0n) + right.ngonka,
    answersOfUnknownCost: left.answersOfUnknownCost + right.answersOfUnknownCost,
    took: right.took === undefined ? left.took : addTook(left.took ?? [], right.took),
  };
}

function addKnown(left: number | undefined, right: number | undefined): number | undefined {
  if (left === undefined) return right;
  return right === undefined ? left : left + right;
}

/** Lines of one hour, provider, model and client are one. */
export function sumHours(lines: readonly SpendingLine[]): readonly SpendingLine[] {
  return sumSpending(lines, ({ day, hour, provider, model, client }) => ({ day, hour, provider, model, client }));
}

/** How long days are remembered: a year, and the month before it to compare with. */
const KEPT_DAYS = 400;

/** How long the hours of a day are told apart. */
export const KEPT_HOURS_DAYS = 14;

/** Callers choose the names of models and clients. One hour, and one day, has so many lines; the rest is "other". */
const MOST_LINES_A_STEP = 50;

/** The ledger made short: hours for two weeks, then days, and none older than 400 days. */
export function compactSpending(lines: readonly SpendingLine[], nowMs: number): readonly SpendingLine[] {
  const oldest = dayBefore(nowMs, KEPT_DAYS);
  const oldestHours = dayBefore(nowMs, KEPT_HOURS_DAYS);
  const kept = lines
    .filter(({ day }) => day >= oldest)
    .map((line) => (line.day < oldestHours ? { ...line, hour: undefined } : line));
  const steps = new Map<string, SpendingLine[]>();
  for (const line of sumHours(kept)) {
    const step = `${line.day} ${line.hour}`;
    const together = steps.get(step);
    if (together === undefined) steps.set(step, [line]);
    else together.push(line);
  }
  return [...steps.values()].flatMap(fewLines);
}

/** Of the many lines of one hour or day the largest, and the others as one line of each provider. */
function fewLines(lines: readonly SpendingLine[]): readonly SpendingLine[] {
  if (lines.length <= MOST_LINES_A_STEP) return lines;
  const sizeOf = ({ answers, errors, usd = 0 }: SpendingLine) => usd * 1000 + answers + errors / 1000;
  const bySize = [...lines].sort((left, right) => sizeOf(right) - sizeOf(left));
  return sumHours(
    bySize.map((line, index) => (index < MOST_LINES_A_STEP ? line : { ...line, model: OTHER, client: OTHER })),
  );
}

const OTHER = "other";

/** Until here the ledger only grows. */
const COMPACT_ABOVE_CHARS = 256 * 1024;

/** Has enough come to a ledger since it was made short that it should be again? Looks at two of its lines. */
export function isDueToCompact(text: string, nowMs: number): boolean {
  const { day, hour } = timeOf(nowMs);
  if (text === "") return false;
  const [last] = parseSpending(text.slice(text.lastIndexOf("\n", text.length - 2) + 1));
  // A torn line, too, is a reason: it goes.
  if (last?.day !== day) return true;
  if (text.length < COMPACT_ABOVE_CHARS) return false;
  if (last.hour !== hour) return true;
  // The lines of one hour are short once they are put together: when one stands so far before the end, they are not.
  const from = text.indexOf("\n", text.length - COMPACT_ABOVE_CHARS) + 1;
  const [early] = parseSpending(text.slice(from, text.indexOf("\n", from)));
  return early === undefined || (early.day === day && (early.hour ?? hour) === hour);
}

/** A day in the computer's time zone ("tomorrow" is the user's tomorrow), and the hour of it. */
export function timeOf(nowMs: number): { readonly day: string; readonly hour: number } {
  const date = new Date(nowMs);
  return { day: toDay(date), hour: date.getHours() };
}

/** `2026-11-22`, in the computer's time zone. */
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

/** How finely time is told apart. */
export type UsageStep = "hour" | "day" | "month";

/** What lines are told apart by, besides time. */
export type UsageSplit = "provider" | "model" | "client";

/** Use in one step of time, by whatever else it was split by. */
export interface UsageBucket extends Pick<SpendingLine, UsageSplit> {
  /** Beginning of the step in the computer's time zone, milliseconds since 1970; 0 for all time together. */
  readonly start: number;
  /** Answers and errors. */
  readonly requests: number;
  readonly errors: number;
  /** `undefined` where nobody told. */
  readonly inputTokens: number | undefined;
  readonly outputTokens: number | undefined;
  readonly usd: number | undefined;
  readonly ngonka: bigint | undefined;
  /** Answers whose cost nobody told: estimated within `usd` where a price is known, else missing there. */
  readonly answersOfUnknownCost: number;
  /** Half of the answers, and 19 of 20, took no longer than this, to about a tenth. `undefined` where nobody measured. */
  readonly p50Ms: number | undefined;
  readonly p95Ms: number | undefined;
}

/**
 * The one reading of the ledger. Oldest first; a step without requests has no bucket.
 *
 * @param choice.by `all` puts all time together. By `hour` only what has hours is told: the last 14 days
 * @param choice.split default by provider, model and client at once
 */
export function usageBuckets(
  lines: readonly SpendingLine[],
  {
    by,
    split = ["provider", "model", "client"],
  }: { readonly by: UsageStep | "all"; readonly split?: readonly UsageSplit[] },
): readonly UsageBucket[] {
  const timed = by === "hour" ? lines.filter(({ hour }) => hour !== undefined) : lines;
  const named = (line: SpendingLine, name: UsageSplit) => (split.includes(name) ? line[name] : undefined);
  const sums = sumSpending(timed, (line) => ({
    start: by === "all" ? 0 : startOf(line, by),
    provider: named(line, "provider"),
    model: named(line, "model"),
    client: named(line, "client"),
  }));
  return sums.map(toBucket).sort((left, right) => left.start - right.start);
}

function toBucket(sum: Tally & Pick<UsageBucket, "start" | UsageSplit>): UsageBucket {
  const { answers, took, errors, ...rest } = sum;
  return {
    ...rest,
    requests: answers + errors,
    errors,
    inputTokens: sum.inputTokens,
    outputTokens: sum.outputTokens,
    usd: sum.usd,
    ngonka: sum.ngonka,
    p50Ms: percentileMs(took, 0.5),
    p95Ms: percentileMs(took, 0.95),
  };
}

function startOf({ day, hour = 0 }: SpendingLine, by: UsageStep): number {
  const [year = 0, month = 1, date = 1] = day.split("-").map(Number);
  return new Date(year, month - 1, by === "month" ? 1 : date, by === "hour" ? hour : 0).getTime();
}

/** Beginnings of the last `count` steps, oldest first, also of those without requests; the last is the running one. */
export function usageStarts(by: UsageStep, nowMs: number, count: number): readonly number[] {
  const now = new Date(nowMs);
  const [year, month, date, hour] = [now.getFullYear(), now.getMonth(), now.getDate(), now.getHours()];
  const starts = Array.from({ length: count }, (_, index) => {
    const back = count - 1 - index;
    if (by === "month") return new Date(year, month - back, 1).getTime();
    if (by === "day") return new Date(year, month, date - back).getTime();
    return new Date(year, month, date, hour - back).getTime();
  });
  // An hour that the clocks left out would come twice.
  return [...new Set(starts)];
}

/**
 * How many answers took how long: the number of the first interval, and then the count of it and of those that follow.
 * Each interval ends at 2^¼ times its beginning, from 1 ms to four hours, so that any of them can be added together.
 */
type Took = readonly number[];

const INTERVALS_A_DOUBLING = 4;
const MOST_INTERVALS = 96;

/** One answer that took so long, milliseconds. */
export function tookOf(elapsedMs: number): Took {
  const interval = Math.floor(Math.log2(Math.max(1, elapsedMs)) * INTERVALS_A_DOUBLING);
  return [Math.min(interval, MOST_INTERVALS - 1), 1];
}

function addTook(left: Took, right: Took): Took {
  if (left.length === 0) return right;
  const [firstLeft = 0, firstRight = 0] = [left[0], right[0]];
  const first = Math.min(firstLeft, firstRight);
  const end = Math.max(firstLeft + left.length, firstRight + right.length);
  const sum = new Array<number>(end - first).fill(0);
  sum[0] = first;
  for (const took of [left, right]) {
    const offset = (took[0] ?? 0) - first;
    for (let index = 1; index < took.length; index += 1) {
      sum[index + offset] = (sum[index + offset] ?? 0) + (took[index] ?? 0);
    }
  }
  return sum;
}

function percentileMs(took: Took | undefined, share: number): number | undefined {
  if (took === undefined) return undefined;
  const [first = 0, ...counts] = took;
  const wanted = share * counts.reduce((sum, count) => sum + count, 0);
  let below = 0;
  for (const [index, count] of counts.entries()) {
    if (count > 0 && below + count >= wanted) {
      const within = (wanted - below) / count;
      return Math.round(2 ** ((first + index + within) / INTERVALS_A_DOUBLING));
    }
    below += count;
  }
  return undefined;
}

function isTook(value: unknown): value is Took {
  if (!Array.isArray(value) || value.length < 2 || !value.every(isCount)) return false;
  return Number(value[0]) + value.length - 1 <= MOST_INTERVALS;
}
