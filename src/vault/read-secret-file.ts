import { open } from "node:fs/promises";
import { ZephError } from "../errors/zeph-error.ts";
import { fileErrorCode } from "./file-error.ts";

/** A vault with thousands of secrets has some hundred kilobytes. */
const MAX_BYTES = 16 * 1024 * 1024;

/** The file's bytes, or `undefined` when there is none. Throws `vault_unreadable` with the path for everything else. */
export async function readSecretFile(path: string): Promise<Uint8Array | undefined> {
  try {
    const file = await open(path, "r");
    try {
      const { size } = await file.stat();
      if (size > MAX_BYTES) throw new ZephError("vault_unreadable", { detail: `${path} is larger than any vault` });
      return await file.readFile();
    } finally {
      await file.close();
    }
  } catch (error) {
    if (ZephError.is(error)) throw error;
    const code = fileErrorCode(error) ?? "unknown";
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw new ZephError("vault_unreadable", {
      detail: `${path} cannot be read (${code})`,
      hint: "Check that the file and its folder belong to you.",
      cause: error,
    });
  }
}
