import { appendFile, mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { ZephError } from "../errors/zeph-error.ts";

/** A small private file of zeph's state folder. */
export interface StateFile {
  /** Its text, or `undefined` when there is none. */
  read(): Promise<string | undefined>;
  append(text: string): Promise<void>;
  replace(text: string): Promise<void>;
}

/**
 * A file that only its owner can read (0600, its folder 0700), made when it is first written. Whole replacements are
 * atomic. Throws `file_unwritable`; a file that cannot be read counts as absent.
 */
export function stateFile(path: string): StateFile {
  async function write(work: () => Promise<void>): Promise<void> {
    try {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      await work();
    } catch (error) {
      throw new ZephError("file_unwritable", { detail: path, cause: error });
    }
  }
  return {
    async read() {
      try {
        return await readFile(path, "utf8");
      } catch {
        // History and ledger are conveniences: a chat goes on without them.
        return undefined;
      }
    },
    append: (text) => write(() => appendFile(path, text, { mode: 0o600 })),
    replace: (text) => write(() => replaceAtomically(path, text)),
  };
}

async function replaceAtomically(path: string, text: string): Promise<void> {
  const temporary = `${path}.new`;
  // A left-over of a crash must not lend its permissions to the new file.
  await rm(temporary, { force: true });
  const file = await open(temporary, "wx", 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
}
