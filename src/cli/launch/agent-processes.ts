import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { kill, pid as ownPid, platform } from "node:process";
import { promisify } from "node:util";
import { systemClock } from "../../base/time.ts";

/*
 * The processes of one `zeph launch`. Agents are scripts around programs that start further ones, and whoever loses its
 * parent goes on alone; so every process of a run carries the run's mark in its environment, by which it is found.
 */

/** Variable of the mark. */
export const RUN_MARK = "ZEPH_LAUNCH_RUN";

const GRACE_MS = 3_000;
const LOOK_MS = 100;

/** Asks every process with this mark to end, and ends those that have not after three seconds. */
export async function endMarked(mark: string): Promise<void> {
  const started = systemClock.nowMs();
  let left = await marked(mark);
  for (const pid of left) send(pid, "SIGTERM");
  while (left.length > 0 && systemClock.nowMs() - started < GRACE_MS) {
    await systemClock.sleep(LOOK_MS);
    left = await marked(mark);
  }
  for (const pid of left) send(pid, "SIGKILL");
}

/** Sends a signal to a process that may be gone. */
function send(pid: number, signal: NodeJS.Signals): void {
  try {
    kill(pid, signal);
  } catch {
    // It ended in the meantime.
  }
}

async function marked(mark: string): Promise<readonly number[]> {
  const entry = `${RUN_MARK}=${mark}`;
  const found = platform === "linux" ? await markedInProc(entry) : platform === "win32" ? [] : await markedByPs(entry);
  return found.filter((pid) => pid !== ownPid);
}

async function markedInProc(entry: string): Promise<readonly number[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const marks = await Promise.all(
    // Processes of others cannot be read, and those that have just ended are not there.
    pids.map((pid) => readFile(`/proc/${pid}/environ`, "latin1").catch(() => "")),
  );
  return pids.filter((_pid, index) => marks[index]?.split("\0").includes(entry)).map(Number);
}

/** macOS and the BSDs show the environment of one's own processes with `-E` or `e`. */
async function markedByPs(entry: string): Promise<readonly number[]> {
  const { stdout } = await promisify(execFile)("ps", ["-A", "-E", "-ww", "-o", "pid=,command="], {
    maxBuffer: 64 * 1024 * 1024,
  }).catch(() => ({ stdout: "" }));
  const lines = stdout.split("\n").filter((line) => line.split(/\s/).includes(entry));
  return lines.map((line) => Number.parseInt(line, 10)).filter((pid) => pid > 0);
}
