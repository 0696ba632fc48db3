import { readdir, unlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileErrorCode } from "./file-error.ts";

/** Names as `writeFileAtomic` gives them: `secrets.age.20261122T200905Z.bak`, then `…Z-2.bak` in the same second. */
const BACKUP_SUFFIX = /^\.(\d{8}T\d{6}Z)(?:-(\d+))?\.bak$/;
/** What a write leaves behind when its process is killed before the rename. */
const TEMPORARY_SUFFIX = /^\.[0-9a-f]+\.tmp$/;

/** The backups beside a file, newest first. Give the real file, not a link to it. */
export async function listBackups(path: string): Promise<string[]> {
  const found = (await siblings(path)).flatMap((name) => {
    const [, stamp, copy = "1"] = name.startsWith(basename(path))
      ? (BACKUP_SUFFIX.exec(name.slice(basename(path).length)) ?? [])
      : [];
    return stamp === undefined ? [] : [{ path: join(dirname(path), name), order: stamp + copy.padStart(9, "0") }];
  });
  return found.sort((a, b) => (a.order < b.order ? 1 : -1)).map((backup) => backup.path);
}

export interface PruneOptions {
  /** How many of the newest to leave untouched. */
  readonly keep: number;
  /** May this old one go? */
  readonly isExpendable: (path: string) => Promise<boolean>;
}

/** Removes old backups. */
export async function pruneBackups(path: string, options: PruneOptions): Promise<void> {
  for (const backup of (await listBackups(path)).slice(options.keep)) {
    if (await options.isExpendable(backup)) await unlink(backup);
  }
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
