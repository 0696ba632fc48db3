import { ZephError } from "../errors/zeph-error.ts";
import { fileErrorCode, UnusableFile } from "../internal/regular-file.ts";
import { type ConfigPaths, configPaths, type PathContext } from "./paths.ts";
import type { ReadTextFile } from "./read-text-file.ts";
import { readTrust, type TrustDecision, trustIn } from "./trusted-files.ts";

export interface ConfigFile {
  readonly path: string;
  readonly role: "explicit" | "project" | "user";
  readonly text: string;
  /** Of a project file: whether the user agreed to just this content. The others are the user's own choice. */
  readonly trust: TrustDecision;
  /** Why a project file cannot be read, as "is a named pipe, not a file"; its text is then empty. */
  readonly fault?: string | undefined;
}

export interface ConfigFiles {
  /** Highest precedence first. */
  readonly found: readonly ConfigFile[];
  /** The file that set-up changes: the one the next plain `zeph` reads. It need not exist yet. */
  readonly writePath: string;
  readonly paths: ConfigPaths;
}

export interface FindConfigFilesOptions extends PathContext {
  readonly cwd: string;
  readonly flags?: { readonly config?: string | undefined } | undefined;
  readonly readFile: ReadTextFile;
}

/**
 * The config files in use: the one that `--config` or `ZEPH_CONFIG` names, alone; else the project's above the user's.
 * Throws `config_invalid` for files of the user that are there and cannot be read; one that came with the folder has a
 * `fault` instead, because nothing that was checked out may keep a command from working.
 */
export async function findConfigFiles(options: FindConfigFilesOptions): Promise<ConfigFiles> {
  const paths = configPaths(options, options.flags);
  const read = readable(options.readFile);
  if (paths.explicit !== undefined) {
    const { path } = paths.explicit;
    const text = await read(path);
    return {
      found: text === undefined ? [] : [{ path, role: "explicit", text, trust: "trusted" }],
      writePath: path,
      paths,
    };
  }
  const user = await firstOf(paths.user, read);
  const project = await projectFile(
    paths.project.filter((path) => !paths.user.includes(path)),
    options,
  );
  const found: ConfigFile[] = project === undefined ? [] : [project];
  if (user !== undefined) found.push({ ...user, role: "user", trust: "trusted" });
  return { found, writePath: user?.path ?? paths.user[0], paths };
}

async function firstOf(
  paths: readonly string[],
  read: ReadTextFile,
): Promise<{ readonly path: string; readonly text: string } | undefined> {
  for (const path of paths) {
    const text = await read(path);
    if (text !== undefined) return { path, text };
  }
  return undefined;
}

/** The first that can be read and is for zeph; else the first that cannot, so that it is told of. */
async function projectFile(paths: readonly string[], options: FindConfigFilesOptions): Promise<ConfigFile | undefined> {
  let unreadable: ConfigFile | undefined;
  for (const path of paths) {
    try {
      const text = await options.readFile(path);
      if (text === undefined || !hasLlmTable(text)) continue;
      const trust = trustIn(await readTrust(options, options.readFile), { path, text });
      return { path, role: "project", text, trust };
    } catch (error) {
      const words = unreadableWords(path, error);
      unreadable ??= { path, role: "project", text: "", trust: "open", fault: words.slice(path.length + 1) };
    }
  }
  return unreadable;
}

/** Read off the text, not the parsed file: a broken file of ours must be reported, one of another program ignored. */
function hasLlmTable(text: string): boolean {
  return /^[ \t]*(?:\[\[?[ \t]*llm[ \t]*[.\]]|llm[ \t]*[.=])/m.test(text);
}

function readable(readFile: ReadTextFile): ReadTextFile {
  return async (path) => {
    try {
      return await readFile(path);
    } catch (error) {
      const hint = error instanceof UnusableFile ? error.hint : undefined;
      throw new ZephError("config_invalid", {
        detail: unreadableWords(path, error),
        hint: hint ?? "Check that it is a file, yours and readable, or name another with --config.",
        cause: error,
      });
    }
  };
}

/** A sentence that begins with the path. */
function unreadableWords(path: string, error: unknown): string {
  return error instanceof UnusableFile
    ? error.message
    : `${path} cannot be read (${fileErrorCode(error) ?? "unknown"})`;
}
