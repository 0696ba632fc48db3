import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { constants } from "node:os";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { systemClock } from "../../base/time.ts";
import type { RunAgent } from "../../base/world.ts";
import { ZephError } from "../../errors.ts";
import { endMarked, RUN_MARK } from "./agent-processes.ts";

/** Signals that end zeph end the agent first. */
const PASSED_ON = ["SIGTERM", "SIGHUP", "SIGQUIT"] as const;
const KILL_AFTER_MS = 5_000;

/**
 * Runs the agent on this terminal as if it had been started by itself: streams, size and keys are the agent's, signals
 * are passed on, and its exit code comes back (128 and the number of the signal that ended it). Nothing of it is left
 * when zeph is told to end, or is killed, or when the agent itself is killed.
 */
export const runAgent: RunAgent = async ({ file, args, env, cwd, folder }) => {
  const mark = randomUUID();
  const guard = startGuard(mark, folder);
  const child = spawnProgram(file, args, { cwd, env: { ...env, [RUN_MARK]: mark }, stdio: "inherit" });
  let wasEnded = false;
  let cancelKill = () => {};
  const passOn = (signal: NodeJS.Signals) => {
    wasEnded = true;
    child.kill(signal);
    cancelKill();
    cancelKill = systemClock.schedule(KILL_AFTER_MS, () => child.kill("SIGKILL"));
  };
  // Ctrl-C at a terminal reaches the agent as well, and what it means is for the agent to say.
  const onInterrupt = () => {
    if (process.stdin.isTTY !== true) passOn("SIGINT");
  };
  process.on("SIGINT", onInterrupt);
  for (const signal of PASSED_ON) process.on(signal, passOn);
  try {
    const { code, signal } = await ended(child);
    if (wasEnded || signal !== null) await endMarked(mark);
    return code ?? 128 + (constants.signals[signal ?? "SIGTERM"] ?? 0);
  } finally {
    cancelKill();
    process.off("SIGINT", onInterrupt);
    for (const signal of PASSED_ON) process.off(signal, passOn);
    guard.stdin?.end("done");
  }
};

function ended(child: ChildProcess): Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }> {
  return new Promise((resolve, reject) => {
    child.once("error", (cause) => {
      reject(new ZephError("agent_not_found", { detail: `it could not be started (${cause.message})`, cause }));
    });
    child.once("exit", (code, signal) => resolve({ code, signal }));
  });
}

/** What npm installs on Windows are batch files, which only a shell can run. */
function spawnProgram(file: string, args: readonly string[], options: Parameters<typeof spawn>[2]): ChildProcess {
  if (!/\.(?:cmd|bat)$/i.test(file)) return spawn(file, args, options);
  const quoted = [file, ...args].map((word) => `"${word.replaceAll('"', '""')}"`);
  return spawn(quoted.join(" "), [], { ...options, shell: true });
}

/** In a session of its own, so that no key of this terminal reaches it. */
function startGuard(mark: string, folder: string): ChildProcess {
  const program = fileURLToPath(new URL("./agent-guard.js", import.meta.url));
  const guard = spawn(process.execPath, [program, mark, folder], {
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
    env: { PATH: process.env.PATH ?? "" },
    windowsHide: true,
  });
  // Without it the run goes on; it only lacks this second safeguard.
  guard.on("error", () => {});
  guard.stdin?.on("error", () => {});
  guard.unref();
  return guard;
}
