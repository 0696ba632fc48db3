import { createHash } from "node:crypto";
import { posix, win32 } from "node:path";
import {
  type AtomicWrite,
  fileErrorCode,
  type ReadTextFile,
  readTextFile,
  UnusableFile,
  writeFileAtomic,
} from "../base/files.ts";
import { changingFile } from "../base/lock.ts";
import type { Clock } from "../base/time.ts";
import { ZephError } from "../errors.ts";
import { faultsError, isTable } from "./layer.ts";
import { isFault, readFileLayer } from "./toml.ts";

/** What of the outside world decides where files lie. */
export interface PathContext {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly homeDir: string;
  readonly platform: NodeJS.Platform;
  /** How files of the configuration are read. Default: from the disk. */
  readonly readFile?: ReadTextFile | undefined;
}

/** Where zeph keeps its own files. Absolute paths; none of them need exist. */
interface ZephFolders {
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
interface ConfigPaths {
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

interface FindConfigFilesOptions extends PathContext {
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

/** A config file that was written. */
interface WrittenConfig extends AtomicWrite {
  /** What it said before; `undefined` when there was no file. */
  readonly previous: string | undefined;
  readonly text: string;
}

interface WriteOptions {
  readonly clock: Pick<Clock, "nowMs">;
}

/**
 * Writes a config file: readable by its owner only, in one step, the previous content kept beside it as
 * `config.toml.TIME.bak`. Nothing is written when the text is not TOML, or when the file says something else by now than
 * `previous`; no backup is made when nothing changes. Throws `config_invalid`, `file_unwritable`.
 */
export async function writeConfig(
  path: string,
  text: string,
  { previous, clock }: WriteOptions & { readonly previous?: string | undefined },
): Promise<WrittenConfig> {
  const layer = readFileLayer(path, text);
  if (isFault(layer)) throw faultsError([layer]);
  return changeConfig(
    path,
    (now) => {
      if (now === previous) return text;
      const hint = "Nothing was written. Run the command again.";
      throw new ZephError("file_unwritable", { detail: `${path} was changed by somebody else meanwhile`, hint });
    },
    { clock },
  );
}

/** As {@link writeConfig}, for a change that fits whatever the file says by now: of two at once, both are kept. */
export async function changeConfig(
  path: string,
  change: (previous: string | undefined) => string,
  { clock }: WriteOptions,
): Promise<WrittenConfig> {
  return changingFile(path, async (lock) => {
    const previous = await readTextFile(path);
    const text = change(previous);
    const layer = readFileLayer(path, text);
    if (isFault(layer)) throw faultsError([layer]);
    await lock.assertHeld();
    const backup = previous === text ? "none" : "timestamped";
    return { ...(await writeFileAtomic(path, text, { mode: 0o600, backup, clock })), previous, text };
  });
}

/** What the user said about a project file with just this content. `open`: nothing yet. */
type TrustDecision = "trusted" | "refused" | "open";

/** One answer of the user: for one path, and for one content of it. */
interface TrustEntry {
  readonly path: string;
  readonly sha256: string;
  readonly decision: "trusted" | "refused";
}

/** Where the answers are kept: `trusted-projects.json` in the config folder, readable by its owner only. */
export function trustedFilesPath(context: PathContext): string {
  const { join } = context.platform === "win32" ? win32 : posix;
  return join(zephFolders(context).config, "trusted-projects.json");
}

/** The answers so far. A list that cannot be read, or is damaged, trusts nothing. */
export async function readTrust(context: PathContext, readFile: ReadTextFile): Promise<readonly TrustEntry[]> {
  try {
    const value: unknown = JSON.parse((await readFile(trustedFilesPath(context))) ?? "{}");
    const files = isTable(value) && isTable(value.files) ? Object.entries(value.files) : [];
    return files.flatMap(([path, entry]) => {
      if (!isTable(entry) || typeof entry.sha256 !== "string") return [];
      const { sha256, decision } = entry;
      return decision === "trusted" || decision === "refused" ? [{ path, sha256, decision }] : [];
    });
  } catch {
    // Said above: no list, no trust.
    return [];
  }
}

/** As direnv does it: a file that was changed is another file, and is asked about again. */
export function trustIn(
  entries: readonly TrustEntry[],
  { path, text }: { readonly path: string; readonly text: string },
): TrustDecision {
  const entry = entries.find((each) => each.path === path);
  return entry?.sha256 === hashOf(text) ? entry.decision : "open";
}

/** Remembers one answer; `undefined` takes it back. Throws `file_unwritable`. */
export async function rememberTrust(
  context: PathContext,
  readFile: ReadTextFile,
  { path, text }: { readonly path: string; readonly text?: string },
  decision: "trusted" | "refused" | undefined,
): Promise<void> {
  const list = trustedFilesPath(context);
  await changingFile(list, async (lock) => {
    const others = (await readTrust(context, readFile)).filter((entry) => entry.path !== path);
    const entries =
      decision === undefined || text === undefined ? others : [...others, { path, sha256: hashOf(text), decision }];
    const files = Object.fromEntries(entries.map(({ path: name, ...entry }) => [name, entry]));
    await lock.assertHeld();
    await writeFileAtomic(list, `${JSON.stringify({ version: 1, files }, undefined, 2)}\n`);
  });
}

function hashOf(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
