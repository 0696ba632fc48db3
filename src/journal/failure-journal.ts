import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
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
  function entries(): readonly FailureEntry[] {
    return readText(path)
      .split("\n")
      .flatMap((line) => parseFailureEntry(line) ?? [])
      .slice(-MAX_ENTRIES);
  }
  return {
    entries,
    record(error, context) {
      const entry = toFailureEntry(error, context, { id: newId(random), atMs: clock.nowMs() });
      try {
        mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
        const sizeBytes = appendRegularFileSync(path, `${JSON.stringify(entry)}\n`);
        if (sizeBytes > MAX_BYTES) replace(path, toText(entries()), newId(random));
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

function replace(path: string, text: string, mark: string): void {
  const temporary = `${path}.${mark}.tmp`;
  try {
    writeFileSync(temporary, text, { mode: 0o600, flag: "wx" });
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

function toText(entries: readonly FailureEntry[]): string {
  return entries.map((entry) => `${JSON.stringify(entry)}\n`).join("");
}

/** Without letters and digits that look alike. */
const ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz";

function newId(random: () => number): string {
  return Array.from({ length: 6 }, () => ALPHABET[Math.floor(random() * ALPHABET.length)] ?? "2").join("");
}
