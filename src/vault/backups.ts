import { readdir, unlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileErrorCode } from "../internal/regular-file.ts";

/** Names as `writeFileAtomic` gives them: `secrets.age.20261122T200905Z.bak`, then `…Z-2.bak` in the same second. */
const BACKUP_SUFFIX = /^\.(\d{8}T\d{6}Z)(?:-(\d+))?\.bak$/;
/** What a write leaves behind when its process is killed before the rename. */
const TEMPORARY_SUFFIX = /^\.[0-9a-f]+\.tmp$/;

/** The backups beside a file, newest first. Give the real file, not a link to it. */
export async function listBackups(path: string): Promise<string[]> {
  return (await findBackups(path)).map((backup) => backup.path);
}

export interface PruneOptions {
  /** How many of the newest to leave untouched. */
  readonly keep: number;
  /** May this old one go? */
  readonly isExpendable: (path: string) => Promise<boolean>;
}

/**
 * Removes old backups, but none of the newest second: the next backup in that second would take the number that
 * became free, and look older than it is.
 */
export async function pruneBackups(path: string, options: PruneOptions): Promise<void> {
  const backups = await findBackups(path);
  for (const backup of backups.slice(options.keep)) {
    if (backup.stamp !== backups[0]?.stamp && (await options.isExpendable(backup.path))) await unlink(backup.path);
  }
}

interface Backup {
  readonly path: string;
  readonly stamp: string;
  /** Which one of its second. */
  readonly copy: number;
}

async function findBackups(path: string): Promise<Backup[]> {
  const backups = (await siblings(path)).flatMap((name): Backup[] => {
    const suffix = name.startsWith(basename(path)) ? name.slice(basename(path).length) : "";
    const [, stamp, copy = "1"] = BACKUP_SUFFIX.exec(suffix) ?? [];
    return stamp === undefined ? [] : [{ path: join(dirname(path), name), stamp, copy: Number(copy) }];
  });
  return backups.sort((a, b) => (a.stamp === b.stamp ? b.copy - a.copy : a.stamp < b.stamp ? 1 : -1));
}

/** Removes half-written files of killed processes. Only while holding the lock: a living process may be writing. */
export async function removeLeftovers(path: string): Promise<void> {
  const start = `.${basename(path)}`;
  for (const name of await siblings(path)) {
    if (name.startsWith(start) && TEMPORARY_SUFFIX.test(name.slice(start.length))) {
      await unlink(join(dirname(path), name));
    }
  }
}

async function siblings(path: string): Promise<string[]> {
  try {
    return await readdir(dirname(path));
  } catch (error) {
    if (fileErrorCode(error) === "ENOENT") return [];
    throw error;
  }
}
