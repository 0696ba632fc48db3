import { ZephError } from "../errors/zeph-error.ts";
import { readRegularFile, UnusableFile } from "../internal/regular-file.ts";

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
