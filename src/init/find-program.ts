import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { posix, win32 } from "node:path";

export interface FindProgramOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly platform: NodeJS.Platform;
  /** Default: asks the file system. */
  readonly isExecutable?: (path: string) => Promise<boolean>;
}

/**
 * Looks a program up the way a shell does: in the folders of `PATH`, on Windows with the endings of `PATHEXT`. Relative
 * folders are left out, because whoever can write into the working folder could put a program of that name there.
 */
export async function findProgram(name: string, options: FindProgramOptions): Promise<string | undefined> {
  const { env, platform, isExecutable = isExecutableFile } = options;
  const path = platform === "win32" ? win32 : posix;
  const folders = (variable(env, "PATH", platform) ?? "")
    .split(path.delimiter)
    .map((folder) => folder.replace(/^"|"$/g, ""));
  for (const folder of folders.filter((each) => path.isAbsolute(each))) {
    for (const ending of endings(env, platform)) {
      const candidate = path.join(folder, name + ending);
      if (await isExecutable(candidate)) return candidate;
    }
  }
  return undefined;
}

/** Windows writes `Path`, and does not care. */
function variable(env: FindProgramOptions["env"], name: string, platform: NodeJS.Platform): string | undefined {
  if (platform !== "win32") return env[name];
  const key = Object.keys(env).find((each) => each.toUpperCase() === name);
  return key === undefined ? undefined : env[key];
}

/** Scripts (`.bat`, `.cmd`) need a shell around them, which would read the names of keys as commands. */
function endings(env: FindProgramOptions["env"], platform: NodeJS.Platform): readonly string[] {
  if (platform !== "win32") return [""];
  const listed = (variable(env, "PATHEXT", platform) ?? ".COM;.EXE").split(";").filter((ending) => ending !== "");
  return listed.filter((ending) => !/^\.(?:bat|cmd)$/i.test(ending));
}

async function isExecutableFile(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    // Not there, or not for us: not a program we can run.
    return false;
  }
}
