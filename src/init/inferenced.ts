import { spawn } from "node:child_process";
import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { posix, win32 } from "node:path";
import type { Readable } from "node:stream";
import { asObject } from "../base/json.ts";
import { Secret, scrub } from "../base/secret.ts";
import type { Clock } from "../base/time.ts";
import { ZephError } from "../errors.ts";
import { compareVersions, formatVersion, parseVersion, type Version } from "../wire/documents.ts";
import type { InitWorld } from "./session.ts";

/** The `inferenced` program, asked and told. Throws `inferenced_failed` with the command to run by hand. */
export interface Inferenced {
  readonly path: string;
  /** Whether every command on this keyring may ask the user for its passphrase. */
  asksUser(keyring: Keyring): boolean;
  version(): Promise<InferencedVersion>;
  list(keyring: Keyring): Promise<readonly KeyringEntry[]>;
  address(keyring: Keyring, name: string): Promise<string>;
  /** Makes a key at the user's own terminal: the recovery words go from `inferenced` to the user and nowhere else. */
  add(keyring: Keyring, name: string): Promise<void>;
  /** The private key: 64 hex digits. Nothing the program prints is shown. */
  exportKey(keyring: Keyring, name: string): Promise<Secret>;
  publishKey(
    keyring: Keyring,
    name: string,
    chain: { readonly nodeUrl: string; readonly chainId: string },
  ): Promise<void>;
}

type InferencedWorld = Pick<InitWorld, "env" | "platform" | "clock" | "signal" | "interactive" | "stderr">;

/** A person may have to find a passphrase; a program that asks nobody answers at once. */
const PATIENT_MS = 180_000;
const BRIEF_MS = 30_000;
const VERSION_MS = 5_000;

/** 24 words, with pen and paper. */
const WRITING_DOWN_MS = 15 * 60_000;

/** Looks for `inferenced` on `PATH`. */
export async function findInferenced(
  world: InferencedWorld,
  run: RunProgram = runProgram,
): Promise<Inferenced | undefined> {
  const path = await findProgram("inferenced", world);
  return path === undefined ? undefined : inferencedAt(path, world, run);
}

/** The program at this path. */
export function inferencedAt(path: string, world: InferencedWorld, run: RunProgram): Inferenced {
  const { execute, succeed } = runner(path, world, run);
  const asksUser = ({ backend }: Keyring) => world.interactive && !["test", "memory"].includes(backend);
  /** The user's terminal goes to the program wherever the keyring may ask for a passphrase. */
  const unlocking = (keyring: Keyring): Partial<RunProgramOptions> =>
    asksUser(keyring)
      ? { stdin: "terminal", onStderr: forUser((text) => world.stderr.write(text)), timeLimitMs: PATIENT_MS }
      : {};
  return {
    path,
    asksUser,
    version: async () =>
      judgeVersion(outputOf(await execute(["version"], { timeLimitMs: VERSION_MS }).catch(toSilence))),
    async list(keyring) {
      const args = ["keys", "list", "--output", "json", ...flagsOf(keyring)];
      const result = await succeed(args, unlocking(keyring));
      const entries = parseKeyList(outputOf(result));
      if (entries.length === 0) requireOpened(result, args, keyring);
      return entries;
    },
    async address(keyring, name) {
      const args = ["keys", "show", toArgument(name), "-a", ...flagsOf(keyring)];
      return outputOf(await succeed(args, unlocking(keyring))).trim();
    },
    async add(keyring, name) {
      const terminal = { stdin: "terminal", stdout: "terminal", stderr: "terminal" } as const;
      const args = ["keys", "add", toArgument(name), ...flagsOf(keyring)];
      await succeed(args, { ...terminal, timeLimitMs: WRITING_DOWN_MS });
    },
    exportKey(keyring, name) {
      const args = ["keys", "export", toArgument(name), "--unarmored-hex", "--unsafe", ...flagsOf(keyring)];
      // Builds without -y ask "Continue? [y/N]" on standard error and read the answer here.
      return exportWith(execute, args, () => ({ stdin: { text: "y\n" }, ...unlocking(keyring) }));
    },
    async publishKey(keyring, name, { nodeUrl, chainId }) {
      const args = publishKeyArgs(name, { nodeUrl, chainId, keyring });
      await succeed(args, { ...unlocking(keyring), timeLimitMs: PATIENT_MS });
    },
  };
}

type Execute = (args: readonly string[], how?: Partial<RunProgramOptions>) => Promise<ProgramResult>;

function runner(file: string, { env, clock, signal }: InferencedWorld, run: RunProgram) {
  const common = { file, env, clock, signal, stdin: { text: "" }, timeLimitMs: BRIEF_MS } as const;
  /** Whatever it ends with, as long as it ends. */
  const execute: Execute = async (args, how = {}) => {
    const result = await run({ ...common, args, ...how }).catch((error: unknown) => {
      if (signal.aborted) throw error;
      throw failure(args, "could not be started", error);
    });
    if (result.timedOut) throw failure(args, "did not end in time");
    return result;
  };
  const succeed: Execute = async (args, how = {}) => {
    const result = await execute(args, how);
    if (result.exitCode === 0) return result;
    throw failure(args, complaintOf(result.stderr) ?? `ended with ${result.exitCode ?? "a signal"}`);
  };
  return { execute, succeed };
}

/** Newer SDK lines show the key on an alternate screen without the first flag; older ones do not know the second. */
async function exportWith(
  execute: Execute,
  command: readonly string[],
  how: () => Partial<RunProgramOptions>,
): Promise<Secret> {
  let extras: readonly string[] = ["--indiscreet", "-y"];
  for (;;) {
    const args = [...command, ...extras];
    const result = await execute(args, how());
    if (result.exitCode === 0) return parseExport(result, args);
    const unknown = unknownFlag(result.stderr, extras);
    if (unknown === undefined) throw failure(args, complaintOf(result.stderr) ?? "failed");
    extras = extras.filter((flag) => flag !== unknown);
  }
}

/** cobra prints on standard error unless a program tells it otherwise. */
function outputOf({ stdout, stderr }: Pick<ProgramResult, "stdout" | "stderr">): string {
  return stdout.trim() === "" ? stderr : stdout;
}

/** A program that does not get as far as its version is one that does not tell it. */
function toSilence(error: unknown): Pick<ProgramResult, "stdout" | "stderr"> {
  if (ZephError.is(error)) return { stdout: "", stderr: "" };
  throw error;
}

export function publishKeyArgs(
  name: string,
  {
    nodeUrl,
    chainId,
    keyring,
  }: { readonly nodeUrl: string; readonly chainId: string; readonly keyring: Keyring | undefined },
): readonly string[] {
  const chain = ["--gas-prices", "10ngonka", "--node", `${nodeUrl}/chain-rpc/`, "--chain-id", chainId, "--yes"];
  return ["publish-pubkey", "--from", toArgument(name), ...chain, ...flagsOf(keyring ?? { backend: "BACKEND" })];
}

/** A name that begins with a dash would be read as a flag. */
function toArgument(name: string): string {
  if (/^[^-\s]\S*$/.test(name)) return name;
  throw new ZephError("inferenced_failed", { detail: "the name of the key has blanks in it, or begins with a dash" });
}

/** Always with the backend: without the flag the program takes what `client.toml` in its home says. */
function flagsOf({ backend, home }: Keyring): readonly string[] {
  return ["--keyring-backend", backend, ...(home === undefined ? [] : ["--home", home, "--keyring-dir", home])];
}

/** Where a keyring lies. */
export interface Keyring {
  /** `test` (not encrypted), `file`, `os`, `kwallet`, `pass` or `memory`. */
  readonly backend: string;
  /** Default of the program: `~/.inference`. */
  readonly home?: string | undefined;
}

export interface KeyringEntry {
  readonly name: string;
  readonly address: string;
}

/** `keys list --output json`. Older builds say in words that there are none. */
export function parseKeyList(text: string): readonly KeyringEntry[] {
  const json = /\[[\s\S]*\]/.exec(text)?.[0];
  if (json === undefined && (text.trim() === "" || /no records/i.test(text))) return [];
  try {
    const entries: unknown = JSON.parse(json ?? "");
    return (Array.isArray(entries) ? entries : []).flatMap((entry: unknown) => {
      const { name, address } = asObject(entry) ?? {};
      return typeof name === "string" && typeof address === "string" ? [{ name, address }] : [];
    });
  } catch (cause) {
    throw failure(["keys", "list", "--output", "json"], "did not answer in JSON", cause);
  }
}

const NOT_OPENED =
  /failed passphrase attempts|incorrect passphrase|(?:unable|failed|cannot|could not)[^\n]*\b(?:unlock|open|decrypt)|is locked/i;

/** The SDK answers `[]` and 0 for a keyring that did not open; only standard error tells it from an empty one. */
function requireOpened({ stderr }: ProgramResult, args: readonly string[], keyring: Keyring): void {
  if (!NOT_OPENED.test(stderr)) return;
  const error = failure(args, `${keyringWords(keyring)} did not open: ${complaintOf(stderr) ?? ""}`);
  throw error.with({ hint: `Try again in a terminal and give its passphrase. ${error.hint}` });
}

/** `the keyring (file, /home/ann/.inference)`. */
export function keyringWords({ backend, home }: Keyring): string {
  return `the keyring (${[backend, home].filter((part) => part !== undefined).join(", ")})`;
}

const KEY_LINE = /^[0-9a-f]{64}$/i;

/** Exactly one line of 64 hex digits: with none or several nobody knows which is the key. */
function parseExport({ stdout, stderr }: ProgramResult, args: readonly string[]): Secret {
  // Builds that never set cobra's output print it on standard error.
  const lines = `${stdout}\n${stderr}`.split(/\r?\n/).map((line) => line.trim());
  const [key, ...more] = lines.filter((line) => KEY_LINE.test(line));
  if (key === undefined || more.length > 0) throw failure(args, "did not give one key of 64 hex digits");
  return new Secret(key.toLowerCase());
}

function unknownFlag(stderr: string, extras: readonly string[]): string | undefined {
  const [, complaint] = /unknown (?:shorthand )?flag: (.*)/.exec(stderr) ?? [];
  return complaint === undefined ? undefined : extras.find((flag) => complaint.includes(flag));
}

/** From here on the program explains itself to whoever typed its command line, which was zeph. */
const FOR_ZEPH = /^Usage:|unknown (?:shorthand )?flag: /;

/**
 * Passes on what a user has to see while a program runs, as it comes: no line that is a key, and nothing from a
 * usage text or a complaint about a flag onwards: both are answers to us, and either may come first. What might become such a line waits for its end.
 */
function forUser(write: (text: string) => void): (text: string) => void {
  let line = "";
  let isMuted = false;
  return (text) => {
    if (isMuted) return;
    const lines = (line + text).split("\n");
    line = lines.pop() ?? "";
    const complaint = lines.findIndex((each) => FOR_ZEPH.test(each));
    isMuted = complaint >= 0;
    const shown = (isMuted ? lines.slice(0, complaint) : lines)
      .filter((each) => !KEY_LINE.test(each.trim()))
      .map((each) => `${each}\n`);
    if (!isMuted && !mustWait(line.trim().toLowerCase())) {
      shown.push(line);
      line = "";
    }
    if (shown.length > 0) write(shown.join(""));
  };
}

/** The beginning of a key, of a usage text, or of an error that may be about a flag. */
function mustWait(start: string): boolean {
  return (
    /^[0-9a-f]*$/.test(start) ||
    ["error", "usage:", "unknown"].some((word) => word.startsWith(start) || start.startsWith(word))
  );
}

/** What went wrong, in the program's words: the line that says so, wherever its usage text stands, or the last one. */
function complaintOf(text: string): string | undefined {
  const lines = text.split(/\r?\n/).filter((each) => each.trim() !== "");
  const line = lines.findLast((each) => /^Error:/i.test(each)) ?? lines.at(-1)?.trim();
  return line === undefined ? undefined : scrub(line);
}

function failure(args: readonly string[], what: string, cause?: unknown): ZephError {
  const command = `inferenced ${args.map((arg) => (/^[\w@%+=:,./-]+$/.test(arg) ? arg : JSON.stringify(arg))).join(" ")}`;
  return new ZephError("inferenced_failed", {
    detail: `${what} (${command})`,
    hint: `Run \`${command}\` by hand to see what it says, or paste the private key instead.`,
    cause,
  });
}

/**
 * Oldest `inferenced` that set-up is made for: the first with `publish-pubkey`, which a new key needs before any signed
 * request (gonka-ai/gonka commit d8b8e907, release v0.2.12, 2026-04-30). The official documents asked for v0.2.13 in
 * mid-2026. An older one is a warning, never a dead end.
 */
const MIN_INFERENCED_VERSION: Version = { major: 0, minor: 2, patch: 12 };

/** Where `inferenced` is to be had. */
export const INFERENCED_RELEASES = "https://github.com/gonka-ai/gonka/releases";

interface InferencedVersion {
  /** As the program writes it; empty when it wrote nothing. */
  readonly text: string;
  readonly fit: "ok" | "too-old" | "unreadable";
}

/** Builds outside a release print a hash, or more around the number; that is no reason to refuse them. */
export function judgeVersion(text: string): InferencedVersion {
  const shown = scrub(text);
  const version = parseVersion(shown);
  if (version === undefined) return { text: shown, fit: "unreadable" };
  return { text: shown, fit: compareVersions(version, MIN_INFERENCED_VERSION) < 0 ? "too-old" : "ok" };
}

export function versionAdvice({ text, fit }: InferencedVersion): string | undefined {
  const wanted = `zeph was made for v${formatVersion(MIN_INFERENCED_VERSION)} and newer: ${INFERENCED_RELEASES}`;
  if (fit === "ok") return undefined;
  return fit === "too-old" ? `inferenced ${text} is old. ${wanted}` : `inferenced does not tell its version. ${wanted}`;
}

interface FindProgramOptions {
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

export interface RunProgramOptions {
  /** Absolute path. */
  readonly file: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** `terminal`: the user's own, so that the program can ask for a passphrase; else the text it gets to read. */
  readonly stdin: "terminal" | { readonly text: string };
  /** Default `capture`. */
  readonly stdout?: "terminal" | "capture";
  readonly stderr?: "terminal" | "capture";
  /** Gets captured standard error as it comes, for questions that the user has to see. */
  readonly onStderr?: (text: string) => void;
  /** The program is ended after this. Default: never. */
  readonly timeLimitMs?: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

export interface ProgramResult {
  /** `undefined` when it was ended by a signal. */
  readonly exitCode: number | undefined;
  readonly timedOut: boolean;
  /** Empty where the terminal got it. May hold secrets: never show it as it is. */
  readonly stdout: string;
  readonly stderr: string;
}

export type RunProgram = (options: RunProgramOptions) => Promise<ProgramResult>;

const MAX_OUTPUT_BYTES = 1024 * 1024;

/** Runs a program without a shell. Rejects when it cannot be started, and with the signal's reason. */
export const runProgram: RunProgram = (options) => {
  const { file, args, env, stdin, stdout = "capture", stderr = "capture", clock, signal } = options;
  const stdio = (target: "terminal" | "capture") => (target === "terminal" ? "inherit" : "pipe");
  const child = spawn(file, args, {
    env: { ...env },
    stdio: [stdin === "terminal" ? "inherit" : "pipe", stdio(stdout), stdio(stderr)],
    windowsHide: true,
  });
  const readOut = collect(child.stdout);
  const readErr = collect(child.stderr, options.onStderr);
  // A program that does not read what it is given is no fault of ours.
  child.stdin?.on("error", () => {});
  child.stdin?.end(stdin === "terminal" ? "" : stdin.text);
  return new Promise((resolve, reject) => {
    let timedOut = false;
    const end = () => child.kill("SIGKILL");
    const cancelLimit =
      options.timeLimitMs === undefined
        ? () => {}
        : clock.schedule(options.timeLimitMs, () => {
            timedOut = true;
            end();
          });
    signal.addEventListener("abort", end, { once: true });
    const finish = () => {
      cancelLimit();
      signal.removeEventListener("abort", end);
    };
    child.once("error", (error) => {
      finish();
      reject(error);
    });
    child.once("close", (exitCode) => {
      finish();
      if (signal.aborted) reject(signal.reason);
      else resolve({ exitCode: exitCode ?? undefined, timedOut, stdout: readOut(), stderr: readErr() });
    });
  });
};

/** Gathers output; the bytes are wiped once they were read as text. */
function collect(stream: Readable | null, onText?: (text: string) => void): () => string {
  const chunks: Buffer[] = [];
  let length = 0;
  stream?.on("data", (chunk: Buffer) => {
    length += chunk.length;
    if (length <= MAX_OUTPUT_BYTES) chunks.push(chunk);
    onText?.(chunk.toString("utf8"));
  });
  return () => {
    const text = Buffer.concat(chunks).toString("utf8");
    for (const chunk of chunks) chunk.fill(0);
    return text;
  };
}
