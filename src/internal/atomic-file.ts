import { randomBytes } from "node:crypto";
import { mkdir, open, readFile, realpath, rename, unlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { ZephError } from "../errors/zeph-error.ts";
import { type Clock, systemClock } from "./clock.ts";

export interface WriteFileAtomicOptions {
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
 * Replaces a file in one step: a reader sees the old bytes or the new ones, also after a crash. Missing folders are
 * made with mode 0700. Throws `file_unwritable`; the old file is then as it was.
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
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const target = await followLinks(path);
    const backupPath = backup === "timestamped" ? await keepPrevious(target, mode, clock.nowMs()) : undefined;
    const temporary = join(dirname(target), `.${basename(target)}.${randomBytes(6).toString("hex")}.tmp`);
    try {
      await writeNew(temporary, content, mode);
      await rename(temporary, target);
    } catch (error) {
      await unlink(temporary).catch(() => undefined);
      throw error;
    }
    await syncFolder(dirname(target));
    return { path: target, backupPath };
  } catch (error) {
    throw new ZephError("file_unwritable", { detail: `${path} (${errorCode(error) ?? "unknown"})`, cause: error });
  }
}

/** A config that is a link into a dotfiles folder stays a link: renaming over it would cut it off. */
async function followLinks(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return path;
    throw error;
  }
}

/** Opened exclusively with its final mode, so that nobody else can read it at any instant. */
async function writeNew(path: string, content: Uint8Array | string, mode: number): Promise<void> {
  const file = await open(path, "wx", mode);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function keepPrevious(path: string, mode: number, nowMs: number): Promise<string | undefined> {
  let previous: Uint8Array;
  try {
    previous = await readFile(path);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw error;
  }
  const stamp = new Date(nowMs).toISOString().replace(/[-:]|\.\d+/g, "");
  for (let copy = 1; ; copy += 1) {
    const backupPath = `${path}.${stamp}${copy === 1 ? "" : `-${copy}`}.bak`;
    try {
      await writeNew(backupPath, previous, mode);
      return backupPath;
    } catch (error) {
      // A second change within one second: the earlier backup must not be lost.
      if (errorCode(error) !== "EEXIST") throw error;
    }
  }
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

function errorCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
