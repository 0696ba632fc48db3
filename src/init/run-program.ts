import { spawn } from "node:child_process";
import type { Readable } from "node:stream";
import type { Clock } from "../internal/clock.ts";

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
