import { stat, unlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { keepBackup, listTemporaries, siblings } from "../internal/atomic-file.ts";
import type { Clock } from "../internal/clock.ts";
import { readSecretFile } from "./read-secret-file.ts";

/** Names as `writeFileAtomic` gives them: `secrets.age.20261122T200905Z.bak`, then `…Z-2.bak` in the same second. */
const BACKUP_SUFFIX = /^\.(\d{8}T\d{6}Z)(?:-(\d+))?\.bak$/;

/** The backups beside a file, newest first. Give the real file, not a link to it. */
export async function listBackups(path: string): Promise<string[]> {
  return (await findBackups(path)).map((backup) => backup.path);
}

/** When the backup of this name was made, milliseconds since the Unix epoch; `undefined` for another name. */
export function backupTimeMs(backupPath: string): number | undefined {
  const [, year, month, day, hour, minute, second] =
    /\.(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z(?:-\d+)?\.bak$/.exec(backupPath) ?? [];
  const timeMs = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  return Number.isNaN(timeMs) ? undefined : timeMs;
}

/** A backup of exactly these bytes: one that is there, or a new one of the file that holds them. */
export async function backupOf(
  path: string,
  bytes: Uint8Array,
  clock: Pick<Clock, "nowMs">,
): Promise<string | undefined> {
  for (const backup of await listBackups(path)) {
    const kept = await readSecretFile(backup).catch(() => undefined);
    if (kept !== undefined && Buffer.compare(kept, bytes) === 0) return backup;
  }
  return keepBackup(path, { clock });
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
  readonly isEmpty: boolean;
}

async function findBackups(path: string): Promise<Backup[]> {
  return (await findNamed(path)).filter(({ isEmpty }) => !isEmpty);
}

async function findNamed(path: string): Promise<Backup[]> {
  const backups: Backup[] = [];
  for (const name of await siblings(path)) {
    const suffix = name.startsWith(basename(path)) ? name.slice(basename(path).length) : "";
    const [, stamp, copy = "1"] = BACKUP_SUFFIX.exec(suffix) ?? [];
    if (stamp === undefined) continue;
    const backupPath = join(dirname(path), name);
    const size = await stat(backupPath).then(
      (stats) => stats.size,
      () => undefined,
    );
    backups.push({ path: backupPath, stamp, copy: Number(copy), isEmpty: size === 0 });
  }
  return backups.sort((a, b) => (a.stamp === b.stamp ? b.copy - a.copy : a.stamp < b.stamp ? 1 : -1));
}

/** Half-written files of killed processes, and backups that an older version could not fill because the disk was full. */
export async function listLeftovers(path: string): Promise<string[]> {
  const empty = (await findNamed(path)).filter(({ isEmpty }) => isEmpty).map((backup) => backup.path);
  return [...(await listTemporaries(path)), ...empty];
}

/** Removes what {@link listLeftovers} finds. Only while holding the lock: a living process may be writing. */
export async function removeLeftovers(path: string): Promise<void> {
  for (const left of await listLeftovers(path)) await unlink(left);
}
