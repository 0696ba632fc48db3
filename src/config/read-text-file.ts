import { readRegularText } from "../internal/regular-file.ts";

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
