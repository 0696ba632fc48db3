import { randomBytes } from "node:crypto";
import { lstat, mkdir, readlink, rename, rmdir, stat, unlink, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import { kill, pid } from "node:process";
import { ZephError } from "../errors.ts";
import {
  appendRegularFile,
  fileErrorCode,
  followLinks,
  listTemporaries,
  placeNew,
  readRegularFile,
  siblings,
  UnusableFile,
  unwritable,
  writeFileAtomic,
  writeTemporary,
} from "./files.ts";
import { type Clock, systemClock } from "./time.ts";

interface LockFileOptions {
  readonly clock: Clock;
  /** How long to wait for another process, milliseconds. Default 10 000; a change takes a few. */
  readonly waitMs?: number;
  /** The error when the wait was in vain; gets the lock file and its holder in words. */
  readonly busy: (detail: string) => ZephError;
}

/** A lock that is held. */
export interface HeldLock {
  /** Throws `busy` when the lock was taken over meanwhile, from a process that was stopped for a minute. Ask before the last step. */
  assertHeld(): Promise<void>;
}

/**
 * Runs `work` while holding the lock file at `path`, so that of two changes the second sees the first. No lock holds for
 * ever, and none needs a person: one whose process is gone is taken over at once, also when its process id belongs to
 * another process by now; one that cannot be read after two seconds, and any after a minute. A lock appears complete or
 * not at all, so a full disk leaves none. Throws `busy` when the wait was in vain, and `file_unwritable`.
 */
export async function withLockFile<T>(
  path: string,
  { clock, waitMs = 10_000, busy }: LockFileOptions,
  work: (lock: HeldLock) => Promise<T>,
): Promise<T> {
  const attempt = await prepareLock(path, clock);
  try {
    await acquire(path, attempt, { clock, waitMs, busy });
  } finally {
    await attempt.end();
  }
  try {
    await sweepLockLeftovers(path, attempt.nowMs());
    return await work({
      async assertHeld() {
        const now = await lookAt(path);
        if (now?.id !== attempt.owner.ticket) throw busy(`${nameOf(path, now)}, which took it over`);
      },
    });
  } finally {
    if ((await lookAt(path))?.id === attempt.owner.ticket) await unlink(path);
  }
}

/**
 * Runs `work` while nobody else changes the file at `path` (the lock lies beside it), so that what two processes change
 * at the same moment is both kept: read, change and write inside. Makes the folder. Throws `file_unwritable`, also when
 * the wait was in vain.
 *
 * @param options.waitMs as of {@link withLockFile}
 */
export async function changingFile<T>(
  path: string,
  work: (lock: HeldLock) => Promise<T>,
  { clock = systemClock, ...options }: { readonly clock?: Clock | undefined; readonly waitMs?: number } = {},
): Promise<T> {
  const file = await ownPlace(path);
  const busy = (detail: string) => new ZephError("file_unwritable", { detail, hint: CHANGING_HINT });
  return withLockFile(`${file}.lock`, { clock, busy, ...options }, work);
}

/** What killed processes left beside a file that is changed with {@link changingFile}: nothing while somebody is at work. */
export async function changeLeftovers(path: string, nowMs: number): Promise<string[]> {
  const file = await followLinks(path);
  const lock = `${file}.lock`;
  const state = await lockState(lock, nowMs);
  if (state === "held") return [];
  return [
    ...(state === "stale" ? [lock] : []),
    ...(await listLockLeftovers(lock, nowMs)),
    ...(await listTemporaries(file)),
  ];
}

/** Takes them away. Throws `file_unwritable`. */
export async function tidyChange(path: string): Promise<void> {
  await changingFile(path, async () => {
    for (const left of await listTemporaries(await followLinks(path))) await unlink(left).catch(() => undefined);
  });
}

const CHANGING_HINT = "Another zeph is changing the same file. Try again.";

/** Of a link the file it leads to: whatever link a process came by, there is one lock. */
async function ownPlace(path: string): Promise<string> {
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    return await followLinks(path);
  } catch (error) {
    throw unwritable(path, error);
  }
}

/** What is at the place of a lock. */
type LockState = "free" | "held" | "stale";

/** Looks and changes nothing. `stale`: the next who wants the lock takes it over. */
export async function lockState(path: string, nowMs: number): Promise<LockState> {
  const seen = await lookAt(path);
  if (seen === undefined) return "free";
  return (await isStale(seen, nowMs)) ? "stale" : "held";
}

/** What killed processes left of taking this lock, besides the lock itself: claims, and locks that never got their name. */
export async function listLockLeftovers(path: string, nowMs: number): Promise<string[]> {
  const name = basename(path);
  const ours = (await siblings(path)).filter((each) => {
    if (each.startsWith(`${name}.`)) return CLAIM.test(each.slice(name.length));
    return each.startsWith(`.${name}.`) && UNNAMED.test(each.slice(name.length + 1));
  });
  const left: string[] = [];
  for (const each of ours.map((sibling) => join(dirname(path), sibling))) {
    const seen = await lookAt(each);
    if (seen !== undefined && (await isStale(seen, nowMs))) left.push(each);
  }
  return left;
}

/** What stands behind the name of a lock: the tickets of claims on it; and behind those, a mark of the moment. */
const CLAIM = /^(?:\.[0-9a-f-]+)+$/;
const UNNAMED = /^(?:\.[0-9a-f-]+)+\.tmp$/;

const POLL_MS = 20;

/** A change takes milliseconds, with a passphrase a few seconds; a process that was stopped asks before its last step. */
const HELD_AT_MOST_MS = 60_000;

/** Where locks cannot appear complete (file systems without second names), one is empty for a moment. */
const UNREADABLE_AT_MOST_MS = 2_000;

/** Who holds a lock. The ticket makes every lock a different one, also of one process. */
interface LockOwner extends ProcessFacts {
  readonly ticket: string;
}

/** What tells a process from others that have, had or will have the same id. */
interface ProcessFacts {
  readonly pid: number;
  readonly host: string;
  /** Of the system's start, and the container's own numbering of processes: both where /proc tells. */
  readonly bootId?: string | undefined;
  readonly pidNamespace?: string | undefined;
  /** When the process began, in ticks since the system's start. */
  readonly startTicks?: string | undefined;
}

/** A lock on its way: written completely under a name of its own, waiting for the name that counts. */
interface LockAttempt {
  readonly owner: LockOwner;
  /** Takes the place if it is free. */
  take(): Promise<boolean>;
  /** The disk's own clock, which stamps the locks of others. */
  nowMs(): number;
  end(): Promise<void>;
}

async function prepareLock(path: string, clock: Pick<Clock, "nowMs">): Promise<LockAttempt> {
  const owner: LockOwner = { ...(await thisProcess()), ticket: randomBytes(6).toString("hex") };
  const text = `${JSON.stringify(owner)}\n`;
  try {
    const temporary = await writeTemporary(path, text, 0o600);
    const diskOffsetMs = (await lstat(temporary)).mtimeMs - clock.nowMs();
    return {
      owner,
      nowMs: () => clock.nowMs() + diskOffsetMs,
      async take() {
        try {
          const placed = await placeNew(temporary, path);
          return placed === "unsupported" ? await createDirectly(path, text) : placed === "made";
        } catch (error) {
          throw unwritable(path, error);
        }
      },
      end: () => unlink(temporary).catch(() => undefined),
    };
  } catch (error) {
    throw unwritable(path, error);
  }
}

/** For file systems without second names. What fails half-way is taken away again. */
async function createDirectly(path: string, text: string): Promise<boolean> {
  try {
    await writeFile(path, text, { flag: "wx", mode: 0o600 });
    return true;
  } catch (error) {
    if (fileErrorCode(error) === "EEXIST") return false;
    await unlink(path).catch(() => undefined);
    throw error;
  }
}

async function acquire(path: string, attempt: LockAttempt, options: Required<LockFileOptions>): Promise<void> {
  const { clock, waitMs, busy } = options;
  const giveUpMs = clock.nowMs() + waitMs;
  let watched: { readonly id: string; readonly sinceMs: number } | undefined;
  while (!(await attempt.take())) {
    const seen = await lookAt(path);
    if (seen === undefined) continue;
    if (watched?.id !== seen.id) watched = { id: seen.id, sinceMs: clock.nowMs() };
    const watchedMs = clock.nowMs() - watched.sinceMs;
    if ((await isStale(seen, attempt.nowMs(), watchedMs)) && (await takeOver(path, seen, clock))) continue;
    if (clock.nowMs() >= giveUpMs) throw busy(nameOf(path, seen));
    await clock.sleep(POLL_MS);
  }
}

/**
 * Removes a stale lock; true when the way may be free now. Two processes may both find it stale, so each claims that one
 * lock first: only the claim's holder removes it, and only if it is still there. Otherwise the slower one would remove
 * the lock that the faster one has made in the meantime. A claim is a lock itself, so that of a process that was killed
 * in the middle is taken over in the same way.
 */
async function takeOver(path: string, seen: SeenLock, clock: Clock): Promise<boolean> {
  const claim = `${path}.${seen.id}`;
  const attempt = await prepareLock(claim, clock);
  try {
    if (!(await attempt.take())) {
      const other = await lookAt(claim);
      if (other !== undefined && (await isStale(other, attempt.nowMs()))) await takeOver(claim, other, clock);
      return false;
    }
    try {
      if ((await lookAt(path))?.id === seen.id) await removeWhatever(path);
      return true;
    } finally {
      await unlink(claim).catch(() => undefined);
    }
  } finally {
    await attempt.end();
  }
}

/** A folder in the place of a lock is nobody's lock; when something is in it, it is moved aside and not deleted. */
async function removeWhatever(path: string): Promise<void> {
  try {
    if ((await lstat(path)).isDirectory()) await rmdir(path);
    else await unlink(path);
  } catch (error) {
    if (fileErrorCode(error) === "ENOENT") return;
    if (!["ENOTEMPTY", "EEXIST"].includes(fileErrorCode(error) ?? "")) throw unwritable(path, error);
    await rename(path, `${path}-aside-${randomBytes(6).toString("hex")}`);
  }
}

async function sweepLockLeftovers(path: string, nowMs: number): Promise<void> {
  try {
    for (const left of await listLockLeftovers(path, nowMs)) await removeWhatever(left);
  } catch {
    // They are in nobody's way; the next who holds the lock tries again.
  }
}

/** Something at the place of a lock. */
interface SeenLock {
  /** The owner's ticket, or which file it is. */
  readonly id: string;
  readonly modifiedAtMs: number;
  /** `undefined` for what cannot be read: empty, torn, no file, or not ours. */
  readonly owner: LockOwner | undefined;
}

async function lookAt(path: string): Promise<SeenLock | undefined> {
  try {
    const { mtimeMs, ino } = await lstat(path);
    const owner = parseOwner(await readRegularFile(path, { maxBytes: 4096 }).catch(() => undefined));
    return { id: owner?.ticket ?? `${ino}-${Math.floor(mtimeMs)}`, modifiedAtMs: mtimeMs, owner };
  } catch (error) {
    if (fileErrorCode(error) === "ENOENT") return undefined;
    throw unwritable(path, error);
  }
}

function parseOwner(bytes: Buffer | undefined): LockOwner | undefined {
  try {
    const value: unknown = JSON.parse(bytes?.toString("utf8") ?? "");
    if (typeof value !== "object" || value === null) return undefined;
    const owner = value as Partial<LockOwner>;
    const isWhole = Number.isSafeInteger(owner.pid) && (owner.pid ?? 0) > 0 && typeof owner.host === "string";
    return isWhole && /^[0-9a-f]{12}$/.test(String(owner.ticket)) ? (owner as LockOwner) : undefined;
  } catch {
    // Torn, or written by something else.
    return undefined;
  }
}

async function isStale({ owner, modifiedAtMs }: SeenLock, nowMs: number, watchedMs = 0): Promise<boolean> {
  // A time in the future comes of a clock that was set back; it says no more than one long past.
  const ageMs = Math.abs(nowMs - modifiedAtMs);
  if (owner === undefined) return Math.max(ageMs, watchedMs) >= UNREADABLE_AT_MOST_MS;
  return ageMs >= HELD_AT_MOST_MS || (await isGone(owner));
}

/** Processes of another computer or container (a shared home folder) cannot be looked at, so they count as alive. */
async function isGone(owner: LockOwner): Promise<boolean> {
  const own = await thisProcess();
  const isHere = (["host", "bootId", "pidNamespace"] as const).every((fact) => owner[fact] === own[fact]);
  if (!isHere) return false;
  try {
    kill(owner.pid, 0);
  } catch (error) {
    // EPERM: it lives, and belongs to somebody else.
    if (fileErrorCode(error) === "ESRCH") return true;
  }
  if (owner.startTicks === undefined || own.startTicks === undefined) return false;
  const startTicks = await startTicksOf(owner.pid);
  // Some systems do not show the processes of others.
  return startTicks !== undefined && startTicks !== owner.startTicks;
}

let own: Promise<ProcessFacts> | undefined;

/** Never changes while the process lives. */
function thisProcess(): Promise<ProcessFacts> {
  own ??= (async () => ({
    pid,
    host: hostname(),
    bootId: (await readProc("/proc/sys/kernel/random/boot_id"))?.trim(),
    pidNamespace: await readlink("/proc/self/ns/pid").catch(() => undefined),
    startTicks: await startTicksOf(pid),
  }))();
  return own;
}

/**
 * From /proc/PID/stat (proc(5)): the state is the first field behind the name in brackets, the start the twentieth. A
 * process that has ended and was not yet buried by its parent counts as gone.
 */
async function startTicksOf(id: number): Promise<string | undefined> {
  const stat = await readProc(`/proc/${id}/stat`);
  const fields = stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields?.[0] === "Z" || fields?.[0] === "X" ? "ended" : fields?.[19];
}

async function readProc(path: string): Promise<string | undefined> {
  return (await readRegularFile(path, { maxBytes: 4096 }).catch(() => undefined))?.toString("utf8");
}

function nameOf(path: string, seen: SeenLock | undefined): string {
  if (seen?.owner === undefined) return `lock file ${path}`;
  const { host } = seen.owner;
  return `lock file ${path} of process ${seen.owner.pid}${host === hostname() ? "" : ` on ${host}`}`;
}

/** Two thousand long messages. */
const MAX_BYTES = 16 * 1024 * 1024;

const LOCK_WAIT_MS = 1_000;

/** A small private file of zeph's state folder. */
export interface StateFile {
  /** Its text, or `undefined` when there is none. */
  read(): Promise<string | undefined>;
  /** Changes whenever the text does. */
  stamp(): Promise<string>;
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
    async stamp() {
      try {
        const { ino, size, mtimeMs } = await stat(path);
        return `${ino} ${size} ${mtimeMs}`;
      } catch {
        return "none";
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
