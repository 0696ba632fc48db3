import { randomBytes } from "node:crypto";
import { link, lstat, mkdir, open, readdir, readlink, realpath, rename, stat, unlink } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { ZephError } from "../errors.ts";
import { fileErrorCode, readRegularFile, regular, UnusableFile } from "./files.ts";
import { type Clock, systemClock } from "./time.ts";

interface WriteFileAtomicOptions {
  /** Permission bits of the new file. Default 0o600: only the owner. */
  readonly mode?: number;
  /** `timestamped` keeps the previous content beside the file as `NAME.YYYYMMDDTHHMMSSZ.bak`. Default `none`. */
  readonly backup?: "timestamped" | "none";
  /** Wall time for the backup's name. Default: the system's. */
  readonly clock?: Pick<Clock, "nowMs">;
}

export interface AtomicWrite {
  /** The file that was written; a symbolic link is followed, so this may differ from the path given. */
  readonly path: string;
  /** Where the previous content went, when there was any and a backup was asked for. */
  readonly backupPath: string | undefined;
}

/**
 * Replaces a file in one step: a reader sees the old bytes or the new ones, also after a crash or on a full disk. Missing
 * folders are made with mode 0700. A link stays a link, also one that leads to nothing yet; what is there and is no file
 * (a device, a pipe, a folder) is never replaced. Throws `file_unwritable`; the old file is then as it was.
 *
 * @example
 * ```ts
 * await writeFileAtomic("/home/me/.config/zeph/config.toml", text, { backup: "timestamped" });
 * ```
 */
export async function writeFileAtomic(
  path: string,
  content: Uint8Array | string,
  options: WriteFileAtomicOptions = {},
): Promise<AtomicWrite> {
  const { mode = 0o600, backup = "none", clock = systemClock } = options;
  const staged = await stageFile(path, content, { mode });
  try {
    const backupPath = backup === "timestamped" ? await keepBackup(staged.path, { mode, clock }) : undefined;
    await staged.commit();
    return { path: staged.path, backupPath };
  } catch (error) {
    await staged.discard();
    throw unwritable(path, error);
  }
}

/** New content that lies complete on the disk, beside the file whose place it will take. */
interface StagedFile {
  /** The file that will be replaced; links are followed. */
  readonly path: string;
  readonly temporary: string;
  /** Takes the place, in one step. */
  commit(): Promise<void>;
  /** Takes the new content away. Throws nothing. */
  discard(): Promise<void>;
}

/** The first half of {@link writeFileAtomic}, for changes of more than one file. Throws `file_unwritable`. */
export async function stageFile(
  path: string,
  content: Uint8Array | string,
  { mode = 0o600 }: Pick<WriteFileAtomicOptions, "mode"> = {},
): Promise<StagedFile> {
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const target = await followLinks(path);
    await assertReplaceable(target);
    const temporary = await writeTemporary(target, content, mode);
    return {
      path: target,
      temporary,
      async commit() {
        const { mtimeMs } = await stat(temporary);
        await rename(temporary, target);
        await syncFolder(dirname(target));
        await sweepTemporaries(target, mtimeMs);
      },
      discard: () => unlink(temporary).catch(() => undefined),
    };
  } catch (error) {
    throw unwritable(path, error);
  }
}

/** The error of a file that could not be written, with the reason in words. */
export function unwritable(path: string, error: unknown): ZephError {
  if (ZephError.is(error)) return error;
  const detail = error instanceof UnusableFile ? error.message : `${path} (${fileErrorCode(error) ?? "unknown"})`;
  return new ZephError("file_unwritable", { detail, cause: error });
}

/**
 * Keeps what a file holds now, beside it as `NAME.YYYYMMDDTHHMMSSZ.bak`, complete or not at all. `undefined` when there
 * is nothing to keep: no file, or an empty one.
 */
export async function keepBackup(
  path: string,
  { mode = 0o600, clock }: { readonly mode?: number | undefined; readonly clock: Pick<Clock, "nowMs"> },
): Promise<string | undefined> {
  const content = await readRegularFile(path, { maxBytes: MAX_BACKUP_BYTES });
  if (content === undefined || content.length === 0) return undefined;
  const temporary = await writeTemporary(path, content, mode);
  const stamp = new Date(clock.nowMs()).toISOString().replace(/[-:]|\.\d+/g, "");
  try {
    // A second change within one second: the earlier backup must not be lost.
    for (let copy = 1; ; copy += 1) {
      const backupPath = `${path}.${stamp}${copy === 1 ? "" : `-${copy}`}.bak`;
      const placed = await placeNew(temporary, backupPath);
      if (placed === "unsupported" && !(await isThere(backupPath))) await rename(temporary, backupPath);
      else if (placed !== "made") continue;
      await syncFolder(dirname(path));
      return backupPath;
    }
  } finally {
    await unlink(temporary).catch(() => undefined);
  }
}

/** Far more than any file of ours that is worth a backup. */
const MAX_BACKUP_BYTES = 64 * 1024 * 1024;

/**
 * Gives a complete file its name unless the name is taken, in one step, which renaming cannot. Some file systems know no
 * second names: `unsupported`, and nothing has changed.
 */
export async function placeNew(temporary: string, path: string): Promise<"made" | "taken" | "unsupported"> {
  try {
    await link(temporary, path);
    return "made";
  } catch (error) {
    if (fileErrorCode(error) === "EEXIST") return "taken";
    if (["EPERM", "EACCES", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK"].includes(fileErrorCode(error) ?? "")) {
      return "unsupported";
    }
    throw error;
  }
}

/** Writes beside `path` under a name of its own, opened exclusively with its final mode; what fails leaves nothing. */
export async function writeTemporary(path: string, content: Uint8Array | string, mode: number): Promise<string> {
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString("hex")}.tmp`);
  const file = await open(temporary, "wx", mode);
  try {
    await file.writeFile(content);
    await file.sync();
  } catch (error) {
    await unlink(temporary).catch(() => undefined);
    throw error;
  } finally {
    await file.close();
  }
  return temporary;
}

/** What a write of this file leaves behind when its process is killed before the end. */
export async function listTemporaries(path: string): Promise<string[]> {
  const start = `.${basename(path)}`;
  return (await siblings(path))
    .filter((name) => name.startsWith(start) && /^\.[0-9a-f]{12}\.tmp$/.test(name.slice(start.length)))
    .map((name) => join(dirname(path), name));
}

/** The names in a file's folder; none when there is no such folder. */
export async function siblings(path: string): Promise<string[]> {
  try {
    return await readdir(dirname(path));
  } catch (error) {
    if (fileErrorCode(error) === "ENOENT") return [];
    throw error;
  }
}

/** No write takes this long. */
const LEFT_BEHIND_AFTER_MS = 60_000;

/** Ages by the clock of the disk, which is the one that stamps files. */
async function sweepTemporaries(path: string, nowMs: number): Promise<void> {
  try {
    for (const temporary of await listTemporaries(path)) {
      if (nowMs - (await lstat(temporary)).mtimeMs > LEFT_BEHIND_AFTER_MS) await unlink(temporary);
    }
  } catch {
    // The file is in place; somebody else sweeps, or the next write does.
  }
}

/** The file a path stands for: of a link what it leads to, also when that is not there yet. */
export async function followLinks(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    if (fileErrorCode(error) !== "ENOENT") throw error;
  }
  const target = await readlink(path).catch(() => undefined);
  if (target === undefined) return path;
  return followLinks(resolve(await realpath(dirname(path)), target));
}

/** Renaming over it would turn a device, a pipe or a history that is linked to /dev/null into a file. */
async function assertReplaceable(path: string): Promise<void> {
  try {
    regular(path, await stat(path));
  } catch (error) {
    if (fileErrorCode(error) !== "ENOENT") throw error;
  }
}

async function isThere(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}

/** Makes the rename itself durable. Windows cannot open folders, and some file systems refuse to sync them. */
async function syncFolder(path: string): Promise<void> {
  try {
    const folder = await open(path, "r");
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  } catch {
    // The file is in place; only its survival of a power cut within the next seconds is less certain.
  }
}
