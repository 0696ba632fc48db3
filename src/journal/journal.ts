import { closeSync, fstatSync, mkdirSync, openSync, readSync, renameSync, rmSync, statSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import { appendRegularFileSync, readRegularFileSync } from "../base/files.ts";
import { scrub } from "../base/secret.ts";
import type { Clock } from "../base/time.ts";
import {
  type AttemptRecord,
  CATALOGUE,
  type Charged,
  EXIT,
  isZephErrorCode,
  type ZephError,
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
