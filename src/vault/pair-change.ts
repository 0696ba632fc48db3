import { rename, stat, unlink } from "node:fs/promises";
import { basename, dirname, isAbsolute, join } from "node:path";
import { listTemporaries, stageFile, unwritable, writeFileAtomic } from "../internal/atomic-file.ts";
import type { Clock } from "../internal/clock.ts";
import type { HeldLock } from "../internal/lock-file.ts";
import { readRegularFile } from "../internal/regular-file.ts";
import { backupOf } from "./backups.ts";
import type { VaultPaths } from "./paths.ts";
import { readSecretFile } from "./read-secret-file.ts";

/**
 * A new key and a new vault belong together, and no file system replaces two files in one step. So both are written out
 * first, then a note beside the vault says which file takes which place, then they do. Until the note is there nothing
 * has changed; from then on everything has: readers follow the note, and whoever takes the lock next completes it.
 */
export interface PairChange {
  /** The note. */
  readonly path: string;
  readonly key: Move;
  readonly vault: Move;
}

interface Move {
  readonly from: string;
  readonly to: string;
}

interface PairChangeOptions {
  readonly key: Uint8Array | string;
  readonly vault: Uint8Array;
  readonly clock: Pick<Clock, "nowMs">;
  readonly lock: HeldLock;
}

/** Where the files went as they were before; `undefined` where there was none. */
interface PairBackups {
  readonly key: string | undefined;
  readonly vault: string | undefined;
}

/** Replaces key file and vault together; what was there is kept as backups. Throws `file_unwritable`, `vault_busy`. */
export async function changePair(paths: VaultPaths, options: PairChangeOptions): Promise<PairBackups> {
  const { clock, lock } = options;
  const key = await stageFile(paths.keyFile, options.key);
  const vault = await stageFile(paths.vaultFile, options.vault).catch(async (error: unknown) => {
    await key.discard();
    throw error;
  });
  try {
    const backups = { key: await keepBefore(key.path, clock), vault: await keepBefore(vault.path, clock) };
    await lock.assertHeld();
    const moves = {
      key: { from: key.temporary, to: key.path },
      vault: { from: vault.temporary, to: vault.path },
    };
    await writeFileAtomic(notePath(vault.path), `${JSON.stringify(moves)}\n`);
    await completePairChange(vault.path);
    return backups;
  } catch (error) {
    // Once the note is there the change is made, and will be completed.
    if ((await readPairChange(vault.path)) === undefined) await Promise.all([key.discard(), vault.discard()]);
    throw unwritable(paths.vaultFile, error);
  }
}

/** The change of both files that was cut short, if there is one. Give the real vault file, not a link to it. */
export async function readPairChange(vaultFile: string): Promise<PairChange | undefined> {
  const path = notePath(vaultFile);
  const text = (await readRegularFile(path, { maxBytes: 64 * 1024 }).catch(() => undefined))?.toString("utf8");
  if (text === undefined) return undefined;
  try {
    const { key, vault } = JSON.parse(text) as Record<"key" | "vault", Move>;
    const isSound = isMove(key) && isMove(vault) && vault.to === vaultFile;
    // The vault goes last: with it in its place there is nothing left to do but to remove the note.
    return isSound && (await isThere(vault.from)) ? { path, key, vault } : undefined;
  } catch {
    // Not written by us: it says nothing.
    return undefined;
  }
}

/** Carries out what the note says, if there is one. Only while holding the lock. Throws `file_unwritable`. */
export async function completePairChange(vaultFile: string): Promise<void> {
  const path = notePath(vaultFile);
  try {
    const change = await readPairChange(vaultFile);
    if (change !== undefined) {
      if (await isThere(change.key.from)) await rename(change.key.from, change.key.to);
      await rename(change.vault.from, change.vault.to);
    }
    for (const left of await pairChangeNotes(vaultFile)) await unlink(left);
  } catch (error) {
    throw unwritable(path, error);
  }
}

/** The notes of changes that were cut short: half-written ones, and one of a change that was complete but for its note. */
export async function pairChangeNotes(vaultFile: string): Promise<string[]> {
  const path = notePath(vaultFile);
  return [...((await isThere(path)) ? [path] : []), ...(await listTemporaries(path))];
}

async function keepBefore(path: string, clock: Pick<Clock, "nowMs">): Promise<string | undefined> {
  const bytes = await readSecretFile(path);
  return bytes === undefined || bytes.length === 0 ? undefined : backupOf(path, bytes, clock);
}

function notePath(vaultFile: string): string {
  return join(dirname(vaultFile), `.${basename(vaultFile)}.change`);
}

/** Nothing but a file of ours takes the place beside it. */
function isMove(value: unknown): value is Move {
  if (typeof value !== "object" || value === null) return false;
  const { from, to } = value as Partial<Record<keyof Move, unknown>>;
  if (typeof from !== "string" || typeof to !== "string" || !isAbsolute(to)) return false;
  const start = `.${basename(to)}.`;
  const name = basename(from);
  return (
    dirname(from) === dirname(to) && name.startsWith(start) && /^[0-9a-f]{12}\.tmp$/.test(name.slice(start.length))
  );
}

function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
