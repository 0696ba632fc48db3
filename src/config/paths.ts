import { posix, win32 } from "node:path";

/** What of the outside world decides where files lie. */
export interface PathContext {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly homeDir: string;
  readonly platform: NodeJS.Platform;
}

/** Where zeph keeps its own files. Absolute paths; none of them need exist. */
export interface ZephFolders {
  /** `config.toml`, `vault-key.txt`, `secrets.age`. The same folder as Zeph's on every system. */
  readonly config: string;
  /** Chat history and the remembered choices of a user. */
  readonly state: string;
  /** What can be fetched again: model lists, node lists. */
  readonly cache: string;
}

/**
 * The folders of this user: the XDG variables first, then `%APPDATA%` and `%LOCALAPPDATA%`, then the usual folders under
 * the home directory. Relative values are ignored, as the XDG specification asks. The vault has the same rule.
 */
export function zephFolders({ env, homeDir, platform }: PathContext): ZephFolders {
  const path = pathsOf(platform);
  const folder = (xdgName: string, windowsName: string, fallback: readonly string[]): string => {
    const given = [env[xdgName], env[windowsName]].find((value) => value !== undefined && path.isAbsolute(value));
    return path.join(given ?? path.join(homeDir, ...fallback), "zeph");
  };
  return {
    config: folder("XDG_CONFIG_HOME", "APPDATA", [".config"]),
    state: folder("XDG_STATE_HOME", "LOCALAPPDATA", [".local", "state"]),
    cache: folder("XDG_CACHE_HOME", "LOCALAPPDATA", [".cache"]),
  };
}

/** The places a config file may lie, in order of precedence. Reader and writer both start from here. */
export interface ConfigPaths {
  /** Named by the user. It is then the only file that is read, and the one that is written. */
  readonly explicit: { readonly path: string; readonly from: "flag --config" | "env ZEPH_CONFIG" } | undefined;
  /** The first that has an `[llm]` table is used; files of other programs have these names too. */
  readonly project: readonly string[];
  /** The first that exists is read, and written; the first of all is written when none exists. */
  readonly user: readonly [string, ...string[]];
}

export function configPaths(
  context: PathContext & { readonly cwd: string },
  flags: { readonly config?: string | undefined } = {},
): ConfigPaths {
  const { cwd, env, homeDir, platform } = context;
  const path = pathsOf(platform);
  const flag = given(flags.config);
  const variable = given(env.ZEPH_CONFIG);
  const explicit =
    flag !== undefined
      ? ({ path: path.resolve(cwd, flag), from: "flag --config" } as const)
      : variable !== undefined
        ? ({ path: path.resolve(cwd, variable), from: "env ZEPH_CONFIG" } as const)
        : undefined;
  // Zeph keeps its config there on macOS, but not its vault.
  const macFolder = path.join(homeDir, "Library", "Application Support", "zeph", "config.toml");
  return {
    explicit,
    project: [path.join(cwd, "config", "default.toml"), path.join(cwd, "config.toml")],
    user: [path.join(zephFolders(context).config, "config.toml"), ...(platform === "darwin" ? [macFolder] : [])],
  };
}

/** An empty variable or flag means "not given". */
function given(value: string | undefined): string | undefined {
  return value === undefined || value.trim() === "" ? undefined : value;
}

function pathsOf(platform: NodeJS.Platform) {
  return platform === "win32" ? win32 : posix;
}
