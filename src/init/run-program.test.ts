import { describe, expect, it } from "vitest";
import { manualClock } from "../internal/manual-clock.ts";
import { type RunProgramOptions, runProgram } from "./run-program.ts";

function run(script: string, options: Partial<RunProgramOptions> = {}) {
  const { signal } = new AbortController();
  return runProgram({
    file: process.execPath,
    args: ["-e", script],
    env: { PLANTED: "from the caller" },
    stdin: { text: "y\n" },
    clock: manualClock(),
    signal,
    ...options,
  });
}

describe("runProgram", () => {
  it("gives input and environment, and gathers output and exit code", async () => {
    const script = `process.stdin.on("data", (text) => { console.log(process.env.PLANTED, String(text).trim()); console.error("e"); process.exitCode = 3; })`;
    const seen: string[] = [];
    const result = await run(script, { onStderr: (text) => seen.push(text) });
    expect(result).toEqual({ exitCode: 3, timedOut: false, stdout: "from the caller y\n", stderr: "e\n" });
    expect(seen.join("")).toBe("e\n");
  });

  it("ends a program that hangs", async () => {
    const clock = manualClock();
    const ended = run("console.error('here'); setInterval(() => {}, 1000)", {
      clock,
      timeLimitMs: 5_000,
      onStderr: () => void clock.advance(5_000),
    });
    expect(await ended).toMatchObject({ timedOut: true, exitCode: undefined });
    expect(clock.pendingTimers).toBe(0);
  });

  it("ends with the caller", async () => {
    const controller = new AbortController();
    const ended = run("console.error('here'); setInterval(() => {}, 1000)", {
      signal: controller.signal,
      onStderr: () => controller.abort(new Error("enough")),
    });
    await expect(ended).rejects.toThrow("enough");
  });

  it("rejects for a program that is not there, and does not mind one that reads nothing", async () => {
    await expect(run("", { file: "/does/not/exist" })).rejects.toThrow("ENOENT");
    expect(await run("", { stdin: { text: "x".repeat(1_000_000) } })).toMatchObject({ exitCode: 0 });
  });
});
