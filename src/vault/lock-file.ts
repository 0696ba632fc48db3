import { randomUUID } from "node:crypto";
import { readFile, unlink, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { kill, pid } from "node:process";
import { ZephError } from "../errors/zeph-error.ts";
import type { Clock } from "../internal/clock.ts";
import { fileErrorCode } from "../internal/regular-file.ts";

const POLL_MS = 20;

export interface LockFileOptions {
  readonly clock: Clock;
  /** How long to wait for another process, milliseconds. Default 10 000; a change takes a few. */
  readonly waitMs?: number;
}

/**
 * Runs `work` while holding the lock file at `path`, so that of two changes the second sees the first. A lock whose
 * process is gone is taken over. Throws `vault_busy`, naming the file, when the wait was in vain.
 */
export async function withLockFile<T>(path: string, options: LockFileOptions, work: () => Promise<T>): Promise<T> {
  const { clock, waitMs = 10_000 } = options;
  const giveUpMs = clock.nowMs() + waitMs;
  let ticket = await createLock(path);
  while (ticket === undefined) {
    if (!(await takeOver(path))) {
      if (clock.nowMs() >= giveUpMs) throw new ZephError("vault_busy", { detail: `lock file ${path}` });
      await clock.sleep(POLL_MS);
    }
    ticket = await createLock(path);
  }
  try {
    return await work();
  } finally {
    await removeLock(path, ticket);
  }
}

/** Who holds a lock. The ticket makes every lock a different one, also of one process. */
interface LockOwner {
  readonly pid: number;
  readonly host: string;
  readonly ticket: string;
}

/** The ticket of the new lock, or `undefined` when there is one already. */
async function createLock(path: string): Promise<string | undefined> {
  const ticket = randomUUID();
  try {
    await writeFile(path, `${pid} ${ticket} ${hostname()}\n`, { flag: "wx", mode: 0o600 });
    return ticket;
  } catch (error) {
    if (fileErrorCode(error) === "EEXIST") return undefined;
    throw new ZephError("file_unwritable", { detail: `${path} (${fileErrorCode(error) ?? "unknown"})`, cause: error });
  }
}

/**
 * Removes the lock of a dead process; true when the way may be free now. Two processes may both find it dead, so each
 * claims that one lock by its ticket first: only the claim's holder removes it, and only if it is still there.
 * Otherwise the slower one would remove the lock that the faster one has made in the meantime.
 */
async function takeOver(path: string): Promise<boolean> {
  const stale = await readOwner(path);
  if (stale === undefined || !isDead(stale)) return false;
  const claim = `${path}.${stale.ticket}`;
  const claimTicket = await createLock(claim);
  if (claimTicket === undefined) return false;
  try {
    await removeLock(path, stale.ticket);
    return true;
  } finally {
    await removeLock(claim, claimTicket);
  }
}

async function readOwner(path: string): Promise<LockOwner | undefined> {
  try {
    const [, pidText, ticket, host] = /^(\d+) ([\w-]+) (.+)\n$/.exec(await readFile(path, "utf8")) ?? [];
    // Between its creation and its first byte a lock belongs to somebody who has not yet said who.
    if (pidText === undefined || ticket === undefined || host === undefined) return undefined;
    return { pid: Number(pidText), ticket, host };
  } catch (error) {
    if (fileErrorCode(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** A process of another computer (a shared home folder) cannot be looked at, so it counts as alive. */
function isDead(owner: LockOwner): boolean {
  if (owner.host !== hostname()) return false;
  try {
    kill(owner.pid, 0);
    return false;
  } catch (error) {
    // EPERM: it lives, and belongs to somebody else.
    return fileErrorCode(error) === "ESRCH";
  }
}

/** Removes one certain lock. Somebody may have removed it by hand, as the message for a stuck lock advises. */
async function removeLock(path: string, ticket: string): Promise<void> {
  if ((await readOwner(path))?.ticket !== ticket) return;
  await unlink(path);
}
