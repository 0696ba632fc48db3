import { ZephError } from "../errors/zeph-error.ts";
import { scrub } from "../internal/redact.ts";
import { Secret } from "../internal/secret.ts";
import { compareVersions, formatVersion, parseVersion, type Version } from "../protocol/versions.ts";
import { findProgram } from "./find-program.ts";
import type { InitWorld } from "./init-world.ts";
import { type ProgramResult, type RunProgram, type RunProgramOptions, runProgram } from "./run-program.ts";

/**
 * Oldest `inferenced` that set-up is made for: the first with `publish-pubkey`, which a new key needs before any signed
 * request (gonka-ai/gonka commit d8b8e907, release v0.2.12, 2026-04-30). The official documents asked for v0.2.13 in
 * mid-2026. An older one is a warning, never a dead end.
 */
export const MIN_INFERENCED_VERSION: Version = { major: 0, minor: 2, patch: 12 };

/** Where `inferenced` is to be had. */
export const INFERENCED_RELEASES = "https://github.com/gonka-ai/gonka/releases";

/** Where a keyring lies. */
export interface Keyring {
  /** `test` (not encrypted, the program's own default), `file`, `os`, `kwallet`, `pass` or `memory`. */
  readonly backend: string;
  /** Default of the program: `~/.inference`. */
  readonly home?: string;
}

export interface KeyringEntry {
  readonly name: string;
  readonly address: string;
}

export interface InferencedVersion {
  /** As the program writes it; empty when it wrote nothing. */
  readonly text: string;
  readonly fit: "ok" | "too-old" | "unreadable";
}

/** The `inferenced` program, asked and told. Throws `inferenced_failed` with the command to run by hand. */
export interface Inferenced {
  readonly path: string;
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

export type InferencedWorld = Pick<InitWorld, "env" | "platform" | "clock" | "signal" | "interactive" | "stderr">;

/** A person may have to find a passphrase; a program that asks nobody answers at once. */
const PATIENT_MS = 180_000;
const BRIEF_MS = 30_000;
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

export function inferencedAt(path: string, world: InferencedWorld, run: RunProgram): Inferenced {
  const { env, clock, signal } = world;
  async function execute(args: readonly string[], how: Partial<RunProgramOptions> = {}): Promise<ProgramResult> {
    const result = await run({
      file: path,
      args,
      env,
      clock,
      signal,
      stdin: { text: "" },
      timeLimitMs: BRIEF_MS,
      ...how,
    }).catch((error: unknown) => {
      if (signal.aborted) throw error;
      throw failure(args, "could not be started", error);
    });
    if (result.timedOut) throw failure(args, "did not end in time");
    return result;
  }
  async function succeed(args: readonly string[], how: Partial<RunProgramOptions> = {}): Promise<ProgramResult> {
    const result = await execute(args, how);
    if (result.exitCode !== 0)
      throw failure(args, lastLine(result.stderr) ?? `ended with ${result.exitCode ?? "a signal"}`);
    return result;
  }
  /** The user's terminal goes to the program wherever the keyring may ask for a passphrase. */
  const unlocking = ({ backend }: Keyring): Partial<RunProgramOptions> =>
    world.interactive && !["test", "memory"].includes(backend)
      ? { stdin: "terminal", onStderr: withoutKeys((text) => world.stderr.write(text)), timeLimitMs: PATIENT_MS }
      : {};

  return {
    path,
    async version() {
      const { stdout, stderr } = await execute(["version"]);
      return judgeVersion(stdout.trim() === "" ? stderr : stdout);
    },
    async list(keyring) {
      const { stdout, stderr } = await succeed(
        ["keys", "list", "--output", "json", ...flagsOf(keyring)],
        unlocking(keyring),
      );
      return parseKeyList(stdout.trim() === "" ? stderr : stdout);
    },
    async address(keyring, name) {
      const args = ["keys", "show", toArgument(name), "-a", ...flagsOf(keyring)];
      const { stdout, stderr } = await succeed(args, unlocking(keyring));
      return (stdout.trim() === "" ? stderr : stdout).trim();
    },
    async add(keyring, name) {
      const terminal = { stdin: "terminal", stdout: "terminal", stderr: "terminal" } as const;
      const args = ["keys", "add", toArgument(name), ...flagsOf(keyring)];
      await succeed(args, { ...terminal, timeLimitMs: WRITING_DOWN_MS });
    },
    async exportKey(keyring, name) {
      const command = ["keys", "export", toArgument(name), "--unarmored-hex", "--unsafe", ...flagsOf(keyring)];
      // Newer SDK lines show the key on an alternate screen without the first; older ones do not know the second.
      let extras: readonly string[] = ["--indiscreet", "-y"];
      for (;;) {
        const args = [...command, ...extras];
        // Those without -y ask "Continue? [y/N]" on standard error and read the answer here.
        const result = await execute(args, { stdin: { text: "y\n" }, ...unlocking(keyring) });
        if (result.exitCode === 0) return parseExport(result, args);
        const unknown = unknownFlag(result.stderr, extras);
        if (unknown === undefined) throw failure(args, lastLine(result.stderr) ?? "failed");
        extras = extras.filter((flag) => flag !== unknown);
      }
    },
    async publishKey(keyring, name, { nodeUrl, chainId }) {
      const args = publishKeyArgs(name, { nodeUrl, chainId, keyring });
      await succeed(args, { ...unlocking(keyring), timeLimitMs: PATIENT_MS });
    },
  };
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
  return ["publish-pubkey", "--from", toArgument(name), ...chain, ...(keyring === undefined ? [] : flagsOf(keyring))];
}

/** A name that begins with a dash would be read as a flag. */
function toArgument(name: string): string {
  if (/^[^-\s]\S*$/.test(name)) return name;
  throw new ZephError("inferenced_failed", { detail: "the name of the key has blanks in it, or begins with a dash" });
}

function flagsOf({ backend, home }: Keyring): readonly string[] {
  return ["--keyring-backend", backend, ...(home === undefined ? [] : ["--home", home, "--keyring-dir", home])];
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

/** `keys list --output json`. Older builds say in words that there are none. */
export function parseKeyList(text: string): readonly KeyringEntry[] {
  const json = /\[[\s\S]*\]/.exec(text)?.[0];
  if (json === undefined) {
    if (text.trim() === "" || /no records/i.test(text)) return [];
    throw failure(["keys", "list", "--output", "json"], "did not answer in JSON");
  }
  let entries: unknown;
  try {
    entries = JSON.parse(json);
  } catch (cause) {
    throw failure(["keys", "list", "--output", "json"], "did not answer in JSON", cause);
  }
  return Array.isArray(entries) ? entries.flatMap(toEntry) : [];
}

function toEntry(value: unknown): readonly KeyringEntry[] {
  if (typeof value !== "object" || value === null || !("name" in value) || !("address" in value)) return [];
  const { name, address } = value;
  return typeof name === "string" && typeof address === "string" ? [{ name, address }] : [];
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

/** Passes text on as it comes, but for lines that are a key. What might become such a line waits for its end. */
function withoutKeys(write: (text: string) => void): (text: string) => void {
  let line = "";
  return (text) => {
    const lines = (line + text).split("\n");
    line = lines.pop() ?? "";
    const shown = lines.filter((each) => !KEY_LINE.test(each.trim())).map((each) => `${each}\n`);
    if (!/^[0-9a-f]*$/i.test(line.trim())) {
      shown.push(line);
      line = "";
    }
    if (shown.length > 0) write(shown.join(""));
  };
}

function lastLine(text: string): string | undefined {
  const line = text
    .trim()
    .split("\n")
    .findLast((each) => each.trim() !== "");
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
