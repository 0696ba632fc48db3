import { ZephError } from "../errors/zeph-error.ts";
import type { Secret } from "../internal/secret.ts";
import { findProgram } from "./find-program.ts";
import {
  complaintOf,
  failure,
  forUser,
  type Keyring,
  type KeyringEntry,
  parseExport,
  parseKeyList,
  requireOpened,
  unknownFlag,
} from "./inferenced-output.ts";
import { type InferencedVersion, judgeVersion } from "./inferenced-version.ts";
import type { InitWorld } from "./init-world.ts";
import { type ProgramResult, type RunProgram, type RunProgramOptions, runProgram } from "./run-program.ts";

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

export type InferencedWorld = Pick<InitWorld, "env" | "platform" | "clock" | "signal" | "interactive" | "stderr">;

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
