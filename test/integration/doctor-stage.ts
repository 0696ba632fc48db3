import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { Secret } from "../../src/base/secret.ts";
import { type Clock, systemClock } from "../../src/base/time.ts";
import type { FetchFunction, World } from "../../src/base/world.ts";
import { runCli } from "../../src/cli/program.ts";

import { Vault, vaultPaths } from "../../src/vault/index.ts";
import { memoryOutput } from "../support/memory-terminal.ts";

/** A home folder with a configuration and a vault, and a command line to look at them with. */
export interface Stage {
  readonly home: string;
  readonly configPath: string;
  readonly env: Record<string, string>;
  /** This computer's clock minus the real one. */
  clockOffsetMs: number;
  fetch: FetchFunction;
  /** Every secret of the stage: none may be printed. */
  readonly secrets: Set<string>;
  writeConfig(text: string): Promise<void>;
  store(name: string, value: string): Promise<void>;
  /** Runs a command line, as a user would type it without the first word. */
  run(line: string | readonly string[], stdin?: string): Promise<{ exitCode: number; stdout: string; stderr: string }>;
  /** `zeph ask hello`. */
  chat(): Promise<{ exitCode: number; code: string; text: string }>;
  clear(): Promise<void>;
}

export interface DoctorJson {
  readonly schema_version: number;
  readonly overall: "ok" | "warn" | "fail";
  readonly failures: number;
  readonly warnings: number;
  readonly elapsed_ms: number;
  readonly served_by: string | null;
  readonly exit_code: number;
  readonly checks: readonly DoctorJsonCheck[];
}

export interface DoctorJsonCheck {
  readonly name: string;
  readonly status: "ok" | "warn" | "fail";
  readonly detail: string;
  readonly elapsed_ms: number;
  readonly hint?: string;
  readonly code?: string;
  readonly data?: Readonly<Record<string, unknown>>;
}

export async function newStage(): Promise<Stage> {
  const home = await mkdtemp(join(tmpdir(), "zeph-doctor-"));
  const folder = join(home, ".config", "zeph");
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const configPath = join(folder, "config.toml");
  const paths = vaultPaths({ env: {}, homeDir: home, platform: "linux" });
  let vault: Vault | undefined;
  const stage: Stage = {
    home,
    configPath,
    env: {},
    clockOffsetMs: 0,
    fetch: (input, init) => fetch(input, init),
    secrets: new Set(),
    writeConfig: (text) => writeFile(configPath, text, { mode: 0o600 }),
    async store(name, value) {
      stage.secrets.add(value);
      vault ??= await Vault.init({ paths });
      await vault.set(name, new Secret(value), { replace: true });
    },
    async run(line, stdin = "") {
      const stdout = memoryOutput();
      const stderr = memoryOutput();
      const argv = typeof line === "string" ? line.split(/\s+/) : line;
      const exitCode = await runCli(argv, { ...worldOf(stage), stdin: Readable.from([stdin]), stdout, stderr });
      return { exitCode, stdout: stdout.text, stderr: stderr.text };
    },
    chat: () => ask(stage),
    clear: () => rm(home, { recursive: true, force: true }),
  };
  return stage;
}

function worldOf(stage: Stage): Omit<World, "stdin" | "stdout" | "stderr"> {
  const { home, env } = stage;
  return {
    env,
    cwd: home,
    homeDir: home,
    platform: "linux",
    clock: clockOf(stage),
    random: () => 0,
    fetch: (input, init) => stage.fetch(input, init),
    signal: new AbortController().signal,
  };
}

function clockOf(stage: Stage): Clock {
  return { ...systemClock, nowMs: () => systemClock.nowMs() + stage.clockOffsetMs };
}

/** The real command: another program's answer to "would a chat work?" proves nothing. */
async function ask(stage: Stage): Promise<{ exitCode: number; code: string; text: string }> {
  const { exitCode, stdout } = await stage.run("ask hello --json");
  const { data, error } = JSON.parse(stdout) as { data?: { text: string }; error?: { code: string; message: string } };
  return { exitCode, code: error?.code ?? "ok", text: error?.message ?? data?.text ?? "" };
}

/** The doctor's JSON, and the bare facts of it that tests compare. */
export async function doctorJson(stage: Stage, more = ""): Promise<DoctorJson & { readonly exitCode: number }> {
  const { exitCode, stdout } = await stage.run(`doctor --json ${more}`.trim());
  return { ...(JSON.parse(stdout) as DoctorJson), exitCode };
}

export function checkOf(report: DoctorJson, name: string): DoctorJsonCheck {
  const found = report.checks.find((check) => check.name === name);
  if (found === undefined)
    throw new Error(`no check ${name}; there are: ${report.checks.map((c) => c.name).join(", ")}`);
  return found;
}
