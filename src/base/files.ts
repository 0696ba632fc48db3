import { randomBytes } from "node:crypto";
import { closeSync, constants, fstatSync, openSync, readSync, type Stats, statSync, writeSync } from "node:fs";
import {
  type FileHandle,
  link,
  lstat,
  mkdir,
  open,
  readdir,
  readlink,
  realpath,
  rename,
  stat,
  unlink,
} from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { ZephError } from "../errors.ts";
import { type Clock, systemClock } from "./time.ts";

/**
 * A file that is there and was not read or written, and why. `message` is a sentence with the path; callers put it into
 * an error of the catalogue.
 */
export class UnusableFile extends Error {
  /** The system's code such as `EACCES`, or our word for what is wrong. */
  readonly code: string;
  /** What to type, where we know. */
  readonly hint: string | undefined;

  constructor(path: string, fault: string, { code, hint, cause }: { code: string; hint?: string; cause?: unknown }) {
    super(`${path} ${fault}`, { cause });
    this.name = "UnusableFile";
    this.code = code;
    this.hint = hint;
  }
}

interface ReadLimit {
  /** Longer files are refused, unread. */
  readonly maxBytes: number;
}

/**
 * The one way to read a file: regular files only, and never more than the limit. `undefined` when there is none. A named
 * pipe, socket, device, folder or a longer file throws {@link UnusableFile} at once: nothing hangs, nothing grows.
 */
export async function readRegularFile(path: string, { maxBytes }: ReadLimit): Promise<Buffer | undefined> {
  const file = await opened(path, READ_FLAGS);
  if (file === undefined) return undefined;
  try {
    const intake = openIntake(path, regular(path, await file.stat()).size, maxBytes);
    for (;;) {
      const { buffer, offset, length } = intake.next();
      const whole = intake.took((await file.read(buffer, offset, length, null)).bytesRead);
      if (whole !== undefined) return whole;
    }
  } catch (error) {
    throw toUnusable(path, error);
  } finally {
    await file.close();
  }
}

/** As {@link readRegularFile}, for the few who cannot wait: a process that is about to end. */
export function readRegularFileSync(path: string, { maxBytes }: ReadLimit): Buffer | undefined {
  try {
    regular(path, statSync(path));
    const file = openSync(path, READ_FLAGS);
    try {
      const intake = openIntake(path, regular(path, fstatSync(file)).size, maxBytes);
      for (;;) {
        const { buffer, offset, length } = intake.next();
        const whole = intake.took(readSync(file, buffer, offset, length, null));
        if (whole !== undefined) return whole;
      }
    } finally {
      closeSync(file);
    }
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw toUnusable(path, error);
  }
}

/** The beginning of a file, however long it is. `undefined` when there is none; throws as {@link readRegularFile} does. */
export async function readRegularHead(path: string, { maxBytes }: ReadLimit): Promise<Buffer | undefined> {
  const file = await opened(path, READ_FLAGS);
  if (file === undefined) return undefined;
  try {
    regular(path, await file.stat());
    const { buffer, bytesRead } = await file.read(Buffer.alloc(maxBytes), 0, maxBytes, 0);
    return buffer.subarray(0, bytesRead);
  } catch (error) {
    throw toUnusable(path, error);
  } finally {
    await file.close();
  }
}

/** A file's text, with its byte order mark if it has one. What is not UTF-8 throws, and UTF-16 is named as such. */
export async function readRegularText(path: string, limit: ReadLimit): Promise<string | undefined> {
  const bytes = await readRegularFile(path, limit);
  return bytes === undefined ? undefined : decodeText(path, bytes);
}

/** Bytes of a file as text. Throws {@link UnusableFile} for what is not UTF-8, with what to type. */
export function decodeText(path: string, bytes: Uint8Array): string {
  const utf16 = utf16Kind(bytes);
  if (utf16 !== undefined) {
    const hint = `Save it as UTF-8. In PowerShell: (Get-Content '${path}' -Encoding ${utf16 === "LE" ? "Unicode" : "BigEndianUnicode"}) | Set-Content '${path}' -Encoding utf8; elsewhere: iconv -f UTF-16${utf16} -t UTF-8 '${path}' > new, and put it in its place.`;
    throw new UnusableFile(path, "is UTF-16 text, as PowerShell's > writes it, not UTF-8", { code: "UTF-16", hint });
  }
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new UnusableFile(path, "is not UTF-8 text", { code: "encoding", hint: "Save it as UTF-8." });
  }
}

/** Text has no zero bytes; UTF-16 of the usual letters has one in every second place. */
export function utf16Kind(bytes: Uint8Array): "LE" | "BE" | undefined {
  const [first, second] = bytes;
  if (first === 0xff && second === 0xfe) return "LE";
  if (first === 0xfe && second === 0xff) return "BE";
  const zeros = { even: 0, odd: 0 };
  const looked = bytes.subarray(0, 512);
  for (const [index, byte] of looked.entries()) if (byte === 0) zeros[index % 2 === 0 ? "even" : "odd"] += 1;
  const many = looked.length / 4;
  if (looked.length < 4) return undefined;
  if (zeros.even === 0 && zeros.odd >= many) return "LE";
  return zeros.odd === 0 && zeros.even >= many ? "BE" : undefined;
}

/**
 * Adds to a file that only its owner can read (0600), making it when there is none, and gives its length afterwards.
 * Throws as reading does.
 *
 * @param options.isDurable whether it must outlive a power cut. Default false.
 */
export async function appendRegularFile(
  path: string,
  text: string,
  { isDurable = false }: { readonly isDurable?: boolean } = {},
): Promise<number> {
  const file = await opened(path, APPEND_FLAGS);
  if (file === undefined) throw new UnusableFile(path, "has no folder", { code: "ENOENT" });
  try {
    regular(path, await file.stat());
    await file.appendFile(text);
    if (isDurable) await file.sync();
    return (await file.stat()).size;
  } catch (error) {
    throw toUnusable(path, error, "written");
  } finally {
    await file.close();
  }
}

/** As {@link appendRegularFile}, at once; also tells which file it was, for its name may have gone to another. */
export function appendRegularFileSync(
  path: string,
  text: string,
): { readonly sizeBytes: number; readonly inode: number } {
  try {
    const there = statSync(path, { throwIfNoEntry: false });
    if (there !== undefined) regular(path, there);
    const file = openSync(path, APPEND_FLAGS, 0o600);
    try {
      regular(path, fstatSync(file));
      writeSync(file, text);
      const { size, ino } = fstatSync(file);
      return { sizeBytes: size, inode: ino };
    } finally {
      closeSync(file);
    }
  } catch (error) {
    throw toUnusable(path, error, "written");
  }
}

/** Throws {@link UnusableFile} unless these are the facts of a regular file. */
export function regular(path: string, stats: Stats): Stats {
  if (stats.isFile()) return stats;
  throw new UnusableFile(path, `is ${kindOf(stats)}, not a file`, { code: "not_a_file" });
}

/** Never waits for the other end of a pipe, and makes no terminal ours. Windows knows neither flag. */
const UNWAITING = (constants.O_NONBLOCK ?? 0) | (constants.O_NOCTTY ?? 0);
const READ_FLAGS = constants.O_RDONLY | UNWAITING;
const APPEND_FLAGS = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | UNWAITING;

/** Looked at before it is opened, because opening some devices does something; callers look again at what was opened. */
async function opened(path: string, flags: number): Promise<FileHandle | undefined> {
  try {
    const there = await stat(path).catch((error: unknown) => {
      if (isAbsent(error)) return undefined;
      throw error;
    });
    if (there === undefined && (flags & constants.O_CREAT) === 0) return undefined;
    if (there !== undefined) regular(path, there);
    return await open(path, flags, 0o600);
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw toUnusable(path, error, flags === READ_FLAGS ? "read" : "written");
  }
}

const SMALLEST_BUFFER_BYTES = 4096;

/** Gathers what is read; a file that is longer than it says, as those of /proc are, is bounded all the same. */
function openIntake(path: string, sizeBytes: number, maxBytes: number) {
  if (sizeBytes > maxBytes) throw tooLarge(path, maxBytes);
  // One byte more than there should be, so that the end is seen.
  let buffer = Buffer.alloc(Math.max(sizeBytes, SMALLEST_BUFFER_BYTES) + 1);
  let length = 0;
  return {
    next() {
      if (length === buffer.length) buffer = Buffer.concat([buffer], Math.min(2 * length, maxBytes + 1));
      return { buffer, offset: length, length: buffer.length - length };
    },
    /** The whole, when nothing more came. */
    took(bytesRead: number): Buffer | undefined {
      length += bytesRead;
      if (length > maxBytes) throw tooLarge(path, maxBytes);
      return bytesRead === 0 ? buffer.subarray(0, length) : undefined;
    },
  };
}

function kindOf(stats: Stats): string {
  if (stats.isDirectory()) return "a folder";
  if (stats.isFIFO()) return "a named pipe";
  return stats.isSocket() ? "a socket" : "a device";
}

const KIB = 1024;

function tooLarge(path: string, maxBytes: number): UnusableFile {
  const limit = maxBytes >= KIB * KIB ? `${maxBytes / KIB / KIB} MiB` : `${maxBytes / KIB} KiB`;
  return new UnusableFile(path, `is larger than ${limit}`, { code: "too_large" });
}

function isAbsent(error: unknown): boolean {
  return ["ENOENT", "ENOTDIR"].includes(fileErrorCode(error) ?? "");
}

function toUnusable(path: string, error: unknown, verb: "read" | "written" = "read"): UnusableFile {
  if (error instanceof UnusableFile) return error;
  const code = fileErrorCode(error) ?? "unknown";
  return new UnusableFile(path, `cannot be ${verb} (${code})`, { code, cause: error });
}

/** The system's code of a failed file operation, such as `ENOENT`. */
export function fileErrorCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

/** Gives a file's text, or `undefined` when there is no such file. */
export type ReadTextFile = (path: string) => Promise<string | undefined>;

/** A config that somebody writes has some hundred lines. */
const MAX_BYTES = 1024 * 1024;

/**
 * A config file's text, or `undefined` when there is no such file. Throws `UnusableFile` for what is no file, is larger
 * than 1 MiB, is not UTF-8, or cannot be read.
 */
export function readTextFile(path: string): Promise<string | undefined> {
  return readRegularText(path, { maxBytes: MAX_BYTES });
}

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
