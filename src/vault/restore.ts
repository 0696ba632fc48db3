import { basename } from "node:path";
import { ZephError } from "../errors/zeph-error.ts";
import { stageFile, unwritable } from "../internal/atomic-file.ts";
import { type Clock, systemClock } from "../internal/clock.ts";
import type { HeldLock } from "../internal/lock-file.ts";
import { backupOf, backupTimeMs, listBackups } from "./backups.ts";
import { openContents } from "./contents.ts";
import { type AskPassphrase, type KeyFile, readKeyFile } from "./key-file.ts";
import { changePair } from "./pair-change.ts";
import type { VaultPaths } from "./paths.ts";
import { readSecretFile } from "./read-secret-file.ts";
import { resolveLinks, withVaultLock } from "./vault-files.ts";

/** An earlier state of the vault or of its key file. */
export interface VaultBackup {
  readonly kind: "vault" | "key";
  readonly path: string;
  /** Milliseconds since the Unix epoch, from its name. */
  readonly madeAtMs: number;
  /** Of a vault that opens: how many secrets it has. */
  readonly entryCount: number | undefined;
  /** Of a vault: the key file that opens it, today's or a backup; `undefined` when none here does. */
  readonly keyFile: string | undefined;
}

export interface VaultBackups {
  /** What differs from the files as they are, newest first, vaults before keys. */
  readonly backups: readonly VaultBackup[];
  /** The copy of the vault as it is now. */
  readonly copyOfCurrent: string | undefined;
}

export interface ListVaultBackupsOptions {
  readonly paths: VaultPaths;
  /** Called when the key file is protected; without an answer what it opens stays unknown. */
  readonly passphrase?: AskPassphrase;
}

/** What can be brought back. Changes nothing; throws only `cancelled`. */
export async function listVaultBackups({ paths, passphrase }: ListVaultBackupsOptions): Promise<VaultBackups> {
  const [vaultFile, keyFile] = [await resolveLinks(paths.vaultFile), await resolveLinks(paths.keyFile)];
  const keys = await readableKeys(paths, passphrase);
  const [vaultNow, keyNow] = [await bytesOf(vaultFile), await bytesOf(keyFile)];
  const backups: VaultBackup[] = [];
  let copyOfCurrent: string | undefined;
  for (const path of await listBackups(vaultFile)) {
    const bytes = await bytesOf(path);
    if (bytes === undefined) continue;
    if (isSame(bytes, vaultNow)) copyOfCurrent ??= path;
    else backups.push({ kind: "vault", path, madeAtMs: backupTimeMs(path) ?? 0, ...(await openerOf(bytes, keys)) });
  }
  for (const path of await listBackups(keyFile)) {
    if (isSame(await bytesOf(path), keyNow)) continue;
    backups.push({ kind: "key", path, madeAtMs: backupTimeMs(path) ?? 0, entryCount: undefined, keyFile: undefined });
  }
  return { backups, copyOfCurrent };
}

export interface RestoreVaultOptions extends ListVaultBackupsOptions {
  readonly backup: VaultBackup;
  readonly clock?: Clock;
}

/** What bringing back has changed. */
export interface RestoredVault {
  readonly vaultFile: string | undefined;
  readonly keyFile: string | undefined;
  readonly entryCount: number | undefined;
  /** The vault and the key file as they were before; absent where nothing was, or nothing changed. */
  readonly vaultBackupPath: string | undefined;
  readonly keyBackupPath: string | undefined;
}

/**
 * Puts a backup in the place of the vault, and the key that opens it in the place of the key file when that is another;
 * or a backup of the key file alone. What was there is kept as a backup. Throws `vault_unreadable` when no key here opens
 * it, `vault_busy` and `file_unwritable`; nothing has changed then.
 */
export async function restoreVault(options: RestoreVaultOptions): Promise<RestoredVault> {
  const { paths, backup, passphrase, clock = systemClock } = options;
  return withVaultLock(paths, clock, async (lock) => {
    const bytes = await bytesOf(backup.path);
    if (bytes === undefined) throw unreadable(`the backup ${backup.path} cannot be read`);
    const nothing = { vaultFile: undefined, keyFile: undefined, vaultBackupPath: undefined, keyBackupPath: undefined };
    if (backup.kind === "key") {
      const keyBackupPath = await replaceOne(paths.keyFile, bytes, { clock, lock });
      return { ...nothing, keyFile: paths.keyFile, entryCount: undefined, keyBackupPath };
    }
    const opener = await openerOf(bytes, await readableKeys(paths, passphrase));
    if (opener.keyFile === undefined) {
      throw unreadable(
        `no key here opens the backup ${backup.path}`,
        "Bring the key file back first, or name it with --vault-key.",
      );
    }
    const { entryCount } = opener;
    if (opener.keyFile === paths.keyFile) {
      const vaultBackupPath = await replaceOne(paths.vaultFile, bytes, { clock, lock });
      return { ...nothing, vaultFile: paths.vaultFile, entryCount, vaultBackupPath };
    }
    const key = await bytesOf(opener.keyFile);
    if (key === undefined) throw unreadable(`the key file ${opener.keyFile} cannot be read`);
    const kept = await changePair(paths, { key, vault: bytes, clock, lock });
    return { ...paths, entryCount, vaultBackupPath: kept.vault, keyBackupPath: kept.key };
  });
}

/**
 * The backup that is meant by `2`, a file name or a path. Throws `usage`, naming the command that lists them.
 */
export function chooseBackup(backups: readonly VaultBackup[], wanted: string): VaultBackup {
  const chosen = /^\d{1,4}$/.test(wanted)
    ? backups[Number(wanted) - 1]
    : backups.find(({ path }) => path === wanted || basename(path) === basename(wanted));
  if (chosen !== undefined) return chosen;
  throw new ZephError("usage", {
    detail: "there is no backup of this number or name",
    hint: "See them with `zeph vault restore`.",
  });
}

async function replaceOne(
  path: string,
  bytes: Uint8Array,
  { clock, lock }: { readonly clock: Clock; readonly lock: HeldLock },
): Promise<string | undefined> {
  const staged = await stageFile(path, bytes);
  try {
    const before = await readSecretFile(staged.path);
    const isEmpty = before === undefined || before.length === 0;
    const backupPath = isEmpty ? undefined : await backupOf(staged.path, before, clock);
    await lock.assertHeld();
    await staged.commit();
    return backupPath;
  } catch (error) {
    await staged.discard();
    throw unwritable(path, error);
  }
}

interface ReadableKey {
  readonly path: string;
  readonly file: KeyFile;
}

/** Today's key file and its backups, as far as they can be read; the passphrase is asked for once, for today's. */
async function readableKeys({ keyFile }: VaultPaths, askPassphrase: AskPassphrase | undefined): Promise<ReadableKey[]> {
  const keys: ReadableKey[] = [];
  let asked: ReturnType<AskPassphrase> | undefined;
  const ask = async () => {
    asked ??= askPassphrase?.() ?? Promise.resolve(undefined);
    return asked;
  };
  for (const path of [keyFile, ...(await listBackups(await resolveLinks(keyFile)))]) {
    const bytes = await bytesOf(path);
    if (bytes === undefined) continue;
    // Of a key that nobody asks for, only the passphrase that was given already is tried.
    const file = await readKeyFile(bytes, path === keyFile || asked !== undefined ? ask : undefined).catch(orCancelled);
    if (file !== undefined) keys.push({ path, file });
  }
  return keys;
}

async function openerOf(bytes: Uint8Array, keys: readonly ReadableKey[]) {
  for (const { path, file } of keys) {
    const contents = await openContents(bytes, file).catch(orCancelled);
    if (contents !== undefined) return { keyFile: path, entryCount: contents.size };
  }
  return { keyFile: undefined, entryCount: undefined };
}

/** What cannot be read opens nothing; only a person who leaves is to be heard. */
function orCancelled(error: unknown): undefined {
  if (ZephError.is(error) && error.code !== "cancelled") return undefined;
  throw error;
}

async function bytesOf(path: string): Promise<Uint8Array | undefined> {
  return readSecretFile(path).catch(() => undefined);
}

function isSame(one: Uint8Array | undefined, other: Uint8Array | undefined): boolean {
  return one !== undefined && other !== undefined && Buffer.compare(one, other) === 0;
}

function unreadable(detail: string, hint?: string): ZephError {
  return new ZephError("vault_unreadable", { detail, hint: hint ?? "See the backups with `zeph vault restore`." });
}
