import { closeSync, constants, fstatSync, openSync, readSync, type Stats, statSync, writeSync } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";

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
