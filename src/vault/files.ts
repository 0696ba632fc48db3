import { lstat, mkdir, rename, stat, unlink } from "node:fs/promises";
import { basename, dirname, isAbsolute, join, posix, win32 } from "node:path";
import {
  decodeText,
  fileErrorCode,
  followLinks,
  keepBackup,
  listTemporaries,
  readRegularFile,
  siblings,
  stageFile,
  UnusableFile,
  unwritable,
  utf16Kind,
  writeFileAtomic,
} from "../base/files.ts";
import { asObject } from "../base/json.ts";
import { type HeldLock, listLockLeftovers, lockState, withLockFile } from "../base/lock.ts";
import { type Clock, systemClock } from "../base/time.ts";
import { ZephError } from "../errors.ts";

/** The two files of a vault. They may lie in different folders. */
export interface VaultPaths {
  /** The age identity, `vault-key.txt`. */
  readonly keyFile: string;
  /** The encrypted secrets, `secrets.age`. */
  readonly vaultFile: string;
}

export interface VaultPathsOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly homeDir: string;
  readonly platform: NodeJS.Platform;
  /** Values of `--vault-key` and `--vault-path`, where given. */
  readonly flags?: { readonly vaultKey?: string | undefined; readonly vaultFile?: string | undefined } | undefined;
}

/**
 * Where the vault is. The one function that every command asks, so that none can overlook an override.
 * Flags > `ZEPH_VAULT_KEY` / `ZEPH_VAULT_PATH` > `vault-key.txt` and `secrets.age` in the default folder, which is
 * `$XDG_CONFIG_HOME/zeph`, else `%APPDATA%/zeph`, else `~/.config/zeph`: the folder Zeph uses (bug-ops/zeph
 * crates/zeph-vault/src/age.rs). Throws `usage` for a flag that is given and empty, and for one path
 * in both roles.
 *
 * @example
 * ```ts
 * vaultPaths({ env: {}, homeDir: "/home/me", platform: "linux" }).vaultFile; // "/home/me/.config/zeph/secrets.age"
 * ```
 */
export function vaultPaths(options: VaultPathsOptions): VaultPaths {
  const { env, flags = {} } = options;
  const { join } = options.platform === "win32" ? win32 : posix;
  const paths = {
    keyFile:
      given(flags.vaultKey, "--vault-key") ?? set(env.ZEPH_VAULT_KEY) ?? join(defaultFolder(options), "vault-key.txt"),
    vaultFile:
      given(flags.vaultFile, "--vault-path") ?? set(env.ZEPH_VAULT_PATH) ?? join(defaultFolder(options), "secrets.age"),
  };
  if (paths.keyFile === paths.vaultFile) {
    throw new ZephError("usage", { detail: `${paths.keyFile} is named as key file and as vault file` });
  }
  return paths;
}

function defaultFolder({ env, homeDir, platform }: VaultPathsOptions): string {
  const { isAbsolute, join } = platform === "win32" ? win32 : posix;
  // The XDG specification tells to ignore relative paths: they would be another vault in every working folder.
  const parent = [env.XDG_CONFIG_HOME, env.APPDATA].find((folder) => folder !== undefined && isAbsolute(folder));
  return join(parent ?? join(homeDir, ".config"), "zeph");
}

/** An empty flag comes from an unset shell variable; falling back would touch another vault than the user meant. */
function given(value: string | undefined, flag: string): string | undefined {
  if (value === "") throw new ZephError("usage", { detail: `${flag} is empty`, hint: `Give ${flag} a path.` });
  return value;
}

function set(value: string | undefined): string | undefined {
  return value === "" ? undefined : value;
}

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

/** A vault with thousands of secrets has some hundred kilobytes. */
const MAX_BYTES = 16 * 1024 * 1024;

/** The file's bytes, or `undefined` when there is none. Throws `vault_unreadable` with the path for everything else. */
export async function readSecretFile(path: string): Promise<Uint8Array | undefined> {
  try {
    return await readRegularFile(path, { maxBytes: MAX_BYTES });
  } catch (error) {
    if (!(error instanceof UnusableFile)) throw error;
    throw new ZephError("vault_unreadable", {
      detail: error.message,
      hint: "Check that it is a file, and that it and its folder belong to you.",
      cause: error,
    });
  }
}

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

/**
 * Puts new content in the place of a file in one step, keeping a backup of what was there. Only while holding the lock.
 * Throws `file_unwritable`, `vault_busy`; the file is then as it was.
 *
 * @param options.backup makes the backup of this real file. Default: a copy of what it holds, if anything
 * @returns where the file went as it was before
 */
export async function replaceFile(
  path: string,
  content: Uint8Array,
  options: {
    readonly clock: Pick<Clock, "nowMs">;
    readonly lock: HeldLock;
    readonly backup?: (path: string) => Promise<string | undefined>;
  },
): Promise<string | undefined> {
  const { clock, lock, backup = (target) => keepBefore(target, clock) } = options;
  const staged = await stageFile(path, content);
  try {
    const backupPath = await backup(staged.path);
    await lock.assertHeld();
    await staged.commit();
    return backupPath;
  } catch (error) {
    await staged.discard();
    throw unwritable(path, error);
  }
}

interface PruneOptions {
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
async function listLeftovers(path: string): Promise<string[]> {
  const empty = (await findNamed(path)).filter(({ isEmpty }) => isEmpty).map((backup) => backup.path);
  return [...(await listTemporaries(path)), ...empty];
}

/** Removes what {@link listLeftovers} finds. Only while holding the lock: a living process may be writing. */
async function removeLeftovers(path: string): Promise<void> {
  for (const left of await listLeftovers(path)) await unlink(left);
}

/**
 * A new key and a new vault belong together, and no file system replaces two files in one step. So both are written out
 * first, then a note beside the vault says which file takes which place, then they do. Until the note is there nothing
 * has changed; from then on everything has: readers follow the note, and whoever takes the lock next completes it.
 */
interface PairChange {
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
async function readPairChange(vaultFile: string): Promise<PairChange | undefined> {
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
async function completePairChange(vaultFile: string): Promise<void> {
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
async function pairChangeNotes(vaultFile: string): Promise<string[]> {
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
  const { from, to } = asObject(value) ?? {};
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
