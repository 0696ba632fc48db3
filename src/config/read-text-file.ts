import { readFile } from "node:fs/promises";

/** Gives a file's text, or `undefined` when there is no such file. */
export type ReadTextFile = (path: string) => Promise<string | undefined>;

/** A file's text, or `undefined` when there is no such file. Other failures are the file system's own errors. */
export async function readTextFile(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw error;
  }
}
