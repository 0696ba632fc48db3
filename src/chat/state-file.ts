import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { ZephError } from "../errors/zeph-error.ts";
import { writeFileAtomic } from "../internal/atomic-file.ts";
import { type Clock, systemClock } from "../internal/clock.ts";
import { withLockFile } from "../internal/lock-file.ts";
import { appendRegularFile, readRegularFile, UnusableFile } from "../internal/regular-file.ts";

/** Two thousand long messages. */
const MAX_BYTES = 16 * 1024 * 1024;

const LOCK_WAIT_MS = 1_000;

/** A small private file of zeph's state folder. */
export interface StateFile {
  /** Its text, or `undefined` when there is none. */
  read(): Promise<string | undefined>;
  append(text: string): Promise<void>;
  replace(text: string): Promise<void>;
  /**
   * Runs `work` alone among all zephs that use the file, so that what one appends is not lost when another replaces it.
   * Where the lock cannot be had within a second, it runs all the same: an answer waits for no lock.
   */
  alone<T>(work: () => Promise<T>): Promise<T>;
}

/**
 * A file that only its owner can read (0600, its folder 0700), made when it is first written. Whole replacements are
 * atomic. Throws `file_unwritable`; a file that cannot be read counts as absent.
 */
export function stateFile(path: string, clock: Clock = systemClock): StateFile {
  return {
    async read() {
      try {
        return (await readRegularFile(path, { maxBytes: MAX_BYTES }))?.toString("utf8");
      } catch {
        // History and ledger are conveniences: a chat goes on without them.
        return undefined;
      }
    },
    async append(text) {
      try {
        await mkdir(dirname(path), { recursive: true, mode: 0o700 });
        const sizeBytes = await appendRegularFile(path, text);
        // Longer than anybody reads: what is in it is lost for zeph anyway, and it would be for good.
        if (sizeBytes > MAX_BYTES) await writeFileAtomic(path, text);
      } catch (error) {
        const detail = error instanceof UnusableFile ? error.message : path;
        throw new ZephError("file_unwritable", { detail, cause: error });
      }
    },
    async replace(text) {
      await writeFileAtomic(path, text);
    },
    async alone(work) {
      let isAlone = false;
      const busy = (detail: string) => new ZephError("file_unwritable", { detail });
      try {
        await mkdir(dirname(path), { recursive: true, mode: 0o700 });
        return await withLockFile(`${path}.lock`, { clock, waitMs: LOCK_WAIT_MS, busy }, () => {
          isAlone = true;
          return work();
        });
      } catch (error) {
        if (isAlone) throw error;
        return work();
      }
    },
  };
}
