import { lstat, mkdir, realpath, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { ZephError } from "../errors/zeph-error.ts";
import { writeFileAtomic } from "../internal/atomic-file.ts";
import type { Clock } from "../internal/clock.ts";
import { fileErrorCode } from "../internal/regular-file.ts";
import { removeLeftovers } from "./backups.ts";
import { withLockFile } from "./lock-file.ts";
import type { VaultPaths } from "./paths.ts";
import { readSecretFile } from "./read-secret-file.ts";

/** The bytes of a vault's two files. */
export interface VaultBytes {
  readonly key: Uint8Array;
  readonly vault: Uint8Array;
}

/** Reads both files. Throws `vault_not_found` and says which is missing, for one alone is an accident. */
export async function readVaultFiles({ keyFile, vaultFile }: VaultPaths): Promise<VaultBytes> {
  const [key, vault] = await Promise.all([readSecretFile(keyFile), readSecretFile(vaultFile)]);
  if (key !== undefined && vault !== undefined) return { key, vault };
  if (key === undefined && vault === undefined) {
    throw new ZephError("vault_not_found", { detail: `neither ${keyFile} nor ${vaultFile} exists` });
  }
  if (key === undefined) {
    throw new ZephError("vault_not_found", {
      detail: `${vaultFile} is there, but its key file ${keyFile} is not`,
      hint: "Put the key file back from a copy or a .bak file, or name it with --vault-key; nothing else opens the vault.",
    });
  }
  throw new ZephError("vault_not_found", {
    detail: `the key file ${keyFile} is there, but its vault ${vaultFile} is not`,
    hint: "Put the vault back from a copy or a .bak file, or name it with --vault-path. To begin anew: `zeph vault init --force`.",
  });
}

export interface CreateVaultFilesOptions {
  readonly keyText: string;
  readonly vaultBytes: Uint8Array;
  /** What to do with files that are there: throw `vault_exists`, or keep them as backups. */
  readonly existing: "refuse" | "back-up";
  readonly clock: Clock;
}

/** Writes both files. When the second fails, the first is put back: a new key beside an old vault opens nothing. */
export async function createVaultFiles(paths: VaultPaths, options: CreateVaultFilesOptions): Promise<void> {
  const { keyText, vaultBytes, clock } = options;
  if (options.existing === "refuse") await assertNothingThere(paths);
  for (const path of [paths.keyFile, paths.vaultFile]) await removeLeftovers(await resolveLinks(path));
  const previousKey = await readSecretFile(paths.keyFile);
  await writeFileAtomic(paths.keyFile, keyText, { backup: "timestamped", clock });
  try {
    await writeFileAtomic(paths.vaultFile, vaultBytes, { backup: "timestamped", clock });
  } catch (error) {
    if (previousKey === undefined) await unlink(paths.keyFile);
    else await writeFileAtomic(paths.keyFile, previousKey);
    throw error;
  }
}

/** Runs `work` alone among all processes that use this vault file, whatever link they came by. */
export async function withVaultLock<T>(paths: VaultPaths, clock: Clock, work: () => Promise<T>): Promise<T> {
  return withLockFile(`${await resolveLinks(paths.vaultFile)}.lock`, { clock }, work);
}

/** Makes the folder of a new vault, for its owner only. A folder that is there keeps its mode. */
export async function makeVaultFolder({ vaultFile }: VaultPaths): Promise<void> {
  try {
    await mkdir(dirname(vaultFile), { recursive: true, mode: 0o700 });
  } catch (error) {
    const detail = `${dirname(vaultFile)} (${fileErrorCode(error) ?? "unknown"})`;
    throw new ZephError("file_unwritable", { detail, cause: error });
  }
}

/** The file that a link stands for; the path itself when nothing is there yet. */
export async function resolveLinks(path: string): Promise<string> {
  try {
    return await realpath(path);
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
export async function existingVaultFiles({ keyFile, vaultFile }: VaultPaths): Promise<string[]> {
  const existing: string[] = [];
  for (const path of [keyFile, vaultFile]) if (await isOccupied(path)) existing.push(path);
  return existing;
}

async function assertNothingThere(paths: VaultPaths): Promise<void> {
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
