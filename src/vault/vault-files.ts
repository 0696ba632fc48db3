import { lstat, mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { ZephError } from "../errors/zeph-error.ts";
import { followLinks, unwritable } from "../internal/atomic-file.ts";
import { type Clock, systemClock } from "../internal/clock.ts";
import { type HeldLock, listLockLeftovers, lockState, withLockFile } from "../internal/lock-file.ts";
import { decodeText, fileErrorCode, UnusableFile, utf16Kind } from "../internal/regular-file.ts";
import { listBackups, listLeftovers, removeLeftovers } from "./backups.ts";
import { completePairChange, type PairChange, pairChangeNotes, readPairChange } from "./pair-change.ts";
import type { VaultPaths } from "./paths.ts";
import { readSecretFile } from "./read-secret-file.ts";

/** The bytes of a vault's two files. */
export interface VaultBytes {
  readonly key: Uint8Array;
  readonly vault: Uint8Array;
}

/**
 * Reads both files as they are, or will be when a change of both that was cut short is completed. Throws
 * `vault_not_found` and says which is missing, for one alone is an accident, and `vault_unreadable`.
 */
export async function readVaultFiles(paths: VaultPaths): Promise<VaultBytes> {
  const { keyFile, vaultFile } = paths;
  const change = await pendingChange(paths);
  const [key, vault] = await Promise.all([
    readText(keyFile, change?.key.from),
    readText(vaultFile, change?.vault.from),
  ]);
  if (key !== undefined && vault !== undefined) return { key, vault };
  if (key === undefined && vault === undefined) {
    throw new ZephError("vault_not_found", { detail: `neither ${keyFile} nor ${vaultFile} exists` });
  }
  const missing = key === undefined ? keyFile : vaultFile;
  const [newest] = await listBackups(await resolveLinks(missing));
  const putBack =
    newest === undefined ? "Put it back from a copy" : `Bring it back with \`zeph vault restore\`: ${newest} is there`;
  if (key === undefined) {
    throw new ZephError("vault_not_found", {
      detail: `${vaultFile} is there, but its key file ${keyFile} is not`,
      hint: `${putBack}, or name it with --vault-key; nothing else opens the vault.`,
    });
  }
  throw new ZephError("vault_not_found", {
    detail: `the key file ${keyFile} is there, but its vault ${vaultFile} is not`,
    hint: `${putBack}, or name it with --vault-path. To begin anew: \`zeph vault init --force\`.`,
  });
}

/** Of a key file or an armoured vault; the encrypted bytes of others look like no encoding. */
async function readText(path: string, pendingPath: string | undefined): Promise<Uint8Array | undefined> {
  const pending = pendingPath === undefined ? undefined : await readSecretFile(pendingPath);
  const bytes = pending ?? (await readSecretFile(path));
  if (bytes === undefined || utf16Kind(bytes) === undefined) return bytes;
  try {
    decodeText(path, bytes);
    return bytes;
  } catch (error) {
    if (!(error instanceof UnusableFile)) throw error;
    throw new ZephError("vault_unreadable", { detail: error.message, hint: error.hint, cause: error });
  }
}

/** A change of both files whose process was killed in the middle. Of another key file than this one it is no news. */
async function pendingChange(paths: VaultPaths): Promise<PairChange | undefined> {
  const change = await readPairChange(await resolveLinks(paths.vaultFile));
  return change?.key.to === (await resolveLinks(paths.keyFile)) ? change : undefined;
}

/**
 * Runs `work` alone among all processes that use this vault file, whatever link they came by. What others were killed at
 * is completed or swept up first.
 */
export async function withVaultLock<T>(
  paths: VaultPaths,
  clock: Clock,
  work: (lock: HeldLock) => Promise<T>,
): Promise<T> {
  const vaultFile = await resolveLinks(paths.vaultFile);
  const busy = (detail: string) => new ZephError("vault_busy", { detail });
  return withLockFile(`${vaultFile}.lock`, { clock, busy }, async (lock) => {
    await completePairChange(vaultFile);
    for (const path of [vaultFile, await resolveLinks(paths.keyFile)]) await removeLeftovers(path);
    return work(lock);
  });
}

/** Completes or takes away what killed processes left behind. Throws `vault_busy` and `file_unwritable`. */
export async function tidyVault(paths: VaultPaths, clock: Clock = systemClock): Promise<void> {
  await withVaultLock(paths, clock, async () => {});
}

/** What killed processes left behind. Nothing is in anybody's way: the next change takes it over or sweeps it up. */
export async function vaultLeftovers(paths: VaultPaths, nowMs: number): Promise<string[]> {
  const vaultFile = await resolveLinks(paths.vaultFile);
  const lock = `${vaultFile}.lock`;
  const state = await lockState(lock, nowMs);
  // Somebody is at work: what lies there now is theirs.
  if (state === "held") return [];
  return [
    ...(state === "stale" ? [lock] : []),
    ...(await pairChangeNotes(vaultFile)),
    ...(await listLockLeftovers(lock, nowMs)),
    ...(await listLeftovers(vaultFile)),
    ...(await listLeftovers(await resolveLinks(paths.keyFile))),
  ];
}

/** Makes the folder of a new vault, for its owner only. A folder that is there keeps its mode. */
export async function makeVaultFolder({ vaultFile }: VaultPaths): Promise<void> {
  try {
    await mkdir(dirname(vaultFile), { recursive: true, mode: 0o700 });
  } catch (error) {
    throw unwritable(dirname(vaultFile), error);
  }
}

/** The file that a link stands for, also when that is not there yet. */
export async function resolveLinks(path: string): Promise<string> {
  try {
    return await followLinks(path);
  } catch (error) {
    if (fileErrorCode(error) === "ENOENT") return path;
    const detail = `${path} cannot be found out (${fileErrorCode(error) ?? "unknown"})`;
    throw new ZephError("vault_unreadable", { detail, cause: error });
  }
}

/**
 * Which of the two files are there. A link counts even when it leads nowhere: its target may lie on a disk that is not
 * plugged in.
 */
export async function existingVaultFiles(paths: VaultPaths): Promise<string[]> {
  const { keyFile, vaultFile } = paths;
  // Complete on the disk, and about to take their places.
  if ((await pendingChange(paths)) !== undefined) return [keyFile, vaultFile];
  const existing: string[] = [];
  for (const path of [keyFile, vaultFile]) if (await isOccupied(path)) existing.push(path);
  return existing;
}

/** Throws `vault_exists`. */
export async function assertNothingThere(paths: VaultPaths): Promise<void> {
  const existing = await existingVaultFiles(paths);
  if (existing.length > 0) throw new ZephError("vault_exists", { detail: existing.join(" and ") });
}

async function isOccupied(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    // Anything else, such as no permission to look, must not be taken for an empty place.
    if (["ENOENT", "ENOTDIR"].includes(fileErrorCode(error) ?? "")) return false;
    throw new ZephError("vault_unreadable", { detail: `${path} (${fileErrorCode(error) ?? "unknown"})`, cause: error });
  }
}
