import { closeSync, fstatSync, mkdirSync, openSync, readSync, renameSync, rmSync, statSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import { appendRegularFileSync, readRegularFile, readRegularFileSync } from "../base/files.ts";
import { plausibleTokens, plausibleUsd } from "../base/json.ts";
import type { StateFile } from "../base/lock.ts";
import { scrub } from "../base/secret.ts";
import type { Clock } from "../base/time.ts";
import {
  type AttemptRecord,
  CATALOGUE,
  type Charged,
  EXIT,
  isZephErrorCode,
  ZephError,
  type ZephErrorCode,
} from "../errors.ts";
import type { OnTransportEvent } from "../transport/policy.ts";

/** The last failures on this computer, for `zeph explain`. */
export interface FailureJournal {
  /**
   * Adds a failure, at once: the process may be about to end. Never throws: a full disk must not hide the failure itself.
   */
  record(error: ZephError, context: FailureContext): void;
  /** Oldest first. */
  entries(): readonly FailureEntry[];
}

interface FailureJournalOptions {
  /** The file; see `journalPath`. */
  readonly path: string;
  readonly clock: Pick<Clock, "nowMs">;
  /** Chance for ids, 0 <= value < 1. */
  readonly random: () => number;
}

const MAX_ENTRIES = 50;

/** From here on old entries are dropped; 50 of them stay well below it. */
const MAX_BYTES = 256 * 1024;

/** One that is longer was not written by us, and counts as empty. */
const MAX_READ_BYTES = 4 * MAX_BYTES;

/** A small file that only its owner can read (0600), one JSON object per line, bounded. */
export function failureJournal({ path, clock, random }: FailureJournalOptions): FailureJournal {
  return {
    entries: () => newestEntries(readText(path)),
    record(error, context) {
      const entry = toFailureEntry(error, context, { id: newId(random), atMs: clock.nowMs() });
      try {
        mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
        const line = `${JSON.stringify(entry)}\n`;
        let written = appendRegularFileSync(path, line);
        // Another process put a shorter journal in its place just then, and may not have seen this line.
        if (statSync(path, { throwIfNoEntry: false })?.ino !== written.inode)
          written = appendRegularFileSync(path, line);
        if (written.sizeBytes > MAX_BYTES) shorten(path, clock.nowMs());
      } catch {
        // The journal is a convenience; the error itself is on its way to the user.
      }
    },
  };
}

function readText(path: string): string {
  try {
    return readRegularFileSync(path, { maxBytes: MAX_READ_BYTES })?.toString("utf8") ?? "";
  } catch {
    // Nothing has failed yet, or nothing can be read: nothing is remembered.
    return "";
  }
}

/** The last of them, each once: a line may have been written twice so as not to be lost. */
function newestEntries(text: string): readonly FailureEntry[] {
  const entries = [...new Set(text.split("\n"))].flatMap((line) => parseFailureEntry(line) ?? []);
  return entries.slice(-MAX_ENTRIES);
}

/**
 * Drops old entries. Others may append at the same moment and wait for nobody: what came to the old file after it was read
 * is added to the new one, and who finds that a new one has come adds again. The new file's first name is the lock: only
 * one process shortens.
 */
function shorten(path: string, nowMs: number): void {
  const temporary = `${path}.new`;
  const left = statSync(temporary, { throwIfNoEntry: false });
  if (left !== undefined && Math.abs(nowMs - left.mtimeMs) > LEFT_BEHIND_AFTER_MS) rmSync(temporary, { force: true });
  const file = openSync(temporary, "wx", 0o600);
  let old: number | undefined;
  try {
    old = openSync(path, "r");
    const { size } = fstatSync(old);
    writeSync(file, toText(newestEntries(size > MAX_READ_BYTES ? "" : readRange(old, 0, size))));
    renameSync(temporary, path);
    const late = Math.min(fstatSync(old).size - size, MAX_READ_BYTES);
    if (late > 0) appendRegularFileSync(path, readRange(old, size, late));
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  } finally {
    closeSync(file);
    if (old !== undefined) closeSync(old);
  }
}

function readRange(file: number, from: number, length: number): string {
  const buffer = Buffer.alloc(length);
  return buffer.toString("utf8", 0, readSync(file, buffer, 0, length, from));
}

/** Shortening takes no time. */
const LEFT_BEHIND_AFTER_MS = 60_000;

function toText(entries: readonly FailureEntry[]): string {
  return entries.map((entry) => `${JSON.stringify(entry)}\n`).join("");
}

/** Without letters and digits that look alike. */
const ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz";

function newId(random: () => number): string {
  return Array.from({ length: 6 }, () => ALPHABET[Math.floor(random() * ALPHABET.length)] ?? "2").join("");
}

/** What is remembered of a failed request: no prompt, no answer, no header, no key. */
export interface FailureEntry {
  /** Ours; short enough to type. */
  readonly id: string;
  readonly atMs: number;
  /** Name of the provider that was asked. */
  readonly provider: string;
  readonly model?: string;
  readonly code: ZephErrorCode;
  /** The server's own words, scrubbed. */
  readonly detail?: string;
  readonly hint: string;
  readonly status?: number;
  readonly requestId?: string;
  readonly charged: Charged;
  readonly retryAfterMs?: number;
  readonly attempts: readonly AttemptRecord[];
}

interface FailureContext {
  readonly provider: string;
  readonly model?: string | undefined;
}

export function toFailureEntry(
  error: ZephError,
  { provider, model }: FailureContext,
  mark: { readonly id: string; readonly atMs: number },
): FailureEntry {
  const { code, detail, hint, status, requestId, charged, retryAfterMs, attempts } = error;
  return {
    ...mark,
    provider,
    ...(model === undefined ? {} : { model }),
    code,
    ...(detail === undefined ? {} : { detail: scrub(detail) }),
    hint: scrub(hint),
    ...(status === undefined ? {} : { status }),
    ...(requestId === undefined ? {} : { requestId }),
    charged,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    attempts: attempts.map((attempt) =>
      attempt.detail === undefined ? attempt : { ...attempt, detail: scrub(attempt.detail) },
    ),
  };
}

/** One line of the journal; undefined for what another version, or another program, has written there. */
export function parseFailureEntry(line: string): FailureEntry | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    // A line that a crash cut off is no entry.
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { id, atMs, provider, code, hint, attempts } = value as Partial<FailureEntry>;
  const isEntry =
    typeof id === "string" &&
    typeof atMs === "number" &&
    typeof provider === "string" &&
    isZephErrorCode(code) &&
    typeof hint === "string" &&
    Array.isArray(attempts);
  return isEntry ? (value as FailureEntry) : undefined;
}

/**
 * A listener for a connection's events that notes every request it gave up on. Give it to `openProvider` as `onEvent`,
 * beside others.
 *
 * @example
 * ```ts
 * const opened = await openProvider(setup, { onEvent: recordFailures(journal, { provider: "gonkagate", model }) });
 * ```
 */
export function recordFailures(journal: FailureJournal, context: FailureContext): OnTransportEvent {
  return (event) => {
    if (event.type === "gave-up") journal.record(event.error, context);
  };
}

/** The newest failure, or the newest one with this id: ours, the server's, or the beginning of either. */
export function findFailure(entries: readonly FailureEntry[], id: string | undefined): FailureEntry | undefined {
  if (id === undefined) return entries.at(-1);
  const wanted = id.trim().toLowerCase();
  if (wanted === "") return undefined;
  const idsOf = ({ id: own, requestId, attempts }: FailureEntry) =>
    [own, requestId, ...attempts.map((attempt) => attempt.requestId)]
      .filter((each) => each !== undefined)
      .map((each) => each.toLowerCase());
  return (
    entries.findLast((entry) => idsOf(entry).includes(wanted)) ??
    entries.findLast((entry) => idsOf(entry).some((each) => each.startsWith(wanted)))
  );
}

/** The story of a failure in sentences, each on its subject. */
interface FailureStory {
  /** What happened. */
  readonly what: string;
  /** In the server's own words, where there were any. */
  readonly serverSaid: string | undefined;
  /** What kind of trouble it is, and what it is not. */
  readonly meaning: string;
  /** What it cost. */
  readonly charged: string;
  /** What to do now. */
  readonly next: string;
}

/** What a code means, without a particular failure. */
interface CodeStory extends Pick<FailureStory, "what" | "meaning" | "next"> {
  readonly again: string;
  readonly exitCode: number;
}

/** Money or rate, key or network: what people mix up, told apart. */
const MEANINGS: Readonly<Record<number, string>> = {
  [EXIT.unreachable]: "The way to the endpoint, or the endpoint itself, was the trouble; key and account were not.",
  [EXIT.authentication]: "It is about who asks: the key, the signature or the account. Trying again changes nothing.",
  [EXIT.model]: "It is about the model or the size of the request; key and money are not the trouble.",
  [EXIT.pricing]: "Only prices could not be read; chats work without them.",
  [EXIT.billing]: "It is about money, not about the rate: waiting does not help, topping up does.",
  [EXIT.rateLimited]: "It is about the rate, not about money: the key is good, and waiting helps.",
  [EXIT.nativeClosed]: "This network or node does not take signed requests from this account; a broker key works.",
  [EXIT.configOrVault]: "It is about the set-up on this computer; nothing was sent.",
};

const CHARGES: Readonly<Record<Charged, string>> = {
  no: "Nothing was charged.",
  maybe: "The network may already have charged for it; no other node was asked for that reason.",
  yes: "The request was charged although it failed.",
};

export function explainFailure(entry: FailureEntry): FailureStory {
  const { summary } = CATALOGUE[entry.code];
  const wait = entry.retryAfterMs === undefined ? "" : ` It asked to wait ${Math.ceil(entry.retryAfterMs / 1000)} s.`;
  return {
    what: `${summary}.`,
    serverSaid: entry.detail,
    meaning: `${meaningOf(entry.code)}${wait}`,
    charged: CHARGES[entry.charged],
    next: entry.hint,
  };
}

/** The same for an error code by itself, as error cards name it. */
export function explainCode(code: ZephErrorCode): CodeStory {
  const { summary, hint, exitCode, retryable } = CATALOGUE[code];
  const again = retryable ? "The same request may succeed later." : "Repeating the same changes nothing.";
  return { what: `${summary}.`, meaning: meaningOf(code), next: hint, again, exitCode };
}

function meaningOf(code: ZephErrorCode): string {
  const { exitCode } = CATALOGUE[code];
  return MEANINGS[exitCode] ?? "The request itself was not accepted as it was.";
}

/** The journal's file in zeph's state folder. */
export function journalPath(stateFolder: string): string {
  return join(stateFolder, "failures.jsonl");
}

/** The ledger in zeph's state folder: one JSON line for each answer of today, and one for each model of an earlier day. */
export function spendingPath(stateFolder: string): string {
  return join(stateFolder, "spent.jsonl");
}

/** A day of 100,000 answers. */
const MAX_LEDGER_BYTES = 16 * 1024 * 1024;

/** The ledger's text; `undefined` when there is none. Throws `UnusableFile` for what is no file, or larger than 16 MiB. */
export async function readSpending(stateFolder: string): Promise<string | undefined> {
  return (await readRegularFile(spendingPath(stateFolder), { maxBytes: MAX_LEDGER_BYTES }))?.toString("utf8");
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
function renderSpending(line: SpendingLine): string {
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
function compactSpending(lines: readonly SpendingLine[], nowMs: number): readonly SpendingLine[] {
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

interface BudgetOptions {
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
interface SpendingQueue {
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
