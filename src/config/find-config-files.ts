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
 * Throws `config_invalid` for files that are there and cannot be read.
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
  const user = await firstOf(paths.user, read, () => true);
  const project = await firstOf(
    paths.project.filter((path) => !paths.user.includes(path)),
    read,
    hasLlmTable,
  );
  const found: ConfigFile[] = [];
  if (project !== undefined) {
    const trust = trustIn(await readTrust(options, options.readFile), project);
    found.push({ ...project, role: "project", trust });
  }
  if (user !== undefined) found.push({ ...user, role: "user", trust: "trusted" });
  return { found, writePath: user?.path ?? paths.user[0], paths };
}

async function firstOf(
  paths: readonly string[],
  read: ReadTextFile,
  accept: (text: string) => boolean,
): Promise<{ readonly path: string; readonly text: string } | undefined> {
  for (const path of paths) {
    const text = await read(path);
    if (text !== undefined && accept(text)) return { path, text };
  }
  return undefined;
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
        detail:
          error instanceof UnusableFile
            ? error.message
            : `${path} cannot be read (${fileErrorCode(error) ?? "unknown"})`,
        hint: hint ?? "Check that it is a file, yours and readable, or name another with --config.",
        cause: error,
      });
    }
  };
}
