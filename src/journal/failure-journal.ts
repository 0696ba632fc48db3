import { closeSync, fstatSync, mkdirSync, openSync, readSync, renameSync, rmSync, statSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import type { ZephError } from "../errors/zeph-error.ts";
import type { Clock } from "../internal/clock.ts";
import { appendRegularFileSync, readRegularFileSync } from "../internal/regular-file.ts";
import { type FailureContext, type FailureEntry, parseFailureEntry, toFailureEntry } from "./failure-entry.ts";

/** The last failures on this computer, for `zeph explain`. */
export interface FailureJournal {
  /**
   * Adds a failure, at once: the process may be about to end. Never throws: a full disk must not hide the failure itself.
   */
  record(error: ZephError, context: FailureContext): void;
  /** Oldest first. */
  entries(): readonly FailureEntry[];
}

export interface FailureJournalOptions {
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
