import { spawnSync } from "node:child_process";
import { mkdtemp, readdir, readFile, stat, unlink, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { manualClock } from "../internal/manual-clock.ts";
import { withLockFile } from "./lock-file.ts";

let folder: string;
let path: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "zeph-lock-"));
  path = join(folder, "secrets.age.lock");
});

/** The id of a process that has ended. */
function deadPid(): number {
  return spawnSync(process.execPath, ["--version"]).pid;
}

describe("withLockFile", () => {
  it("holds a file of the owner's while working and removes it, also after a failure", async () => {
    const clock = manualClock();
    const answer = await withLockFile(path, { clock }, async () => {
      expect(await readFile(path, "utf8")).toMatch(new RegExp(`^${process.pid} \\S+ ${hostname()}\n$`));
      expect((await stat(path)).mode & 0o777).toBe(0o600);
      return 42;
    });
    expect(answer).toBe(42);
    const failing = withLockFile(path, { clock }, () => Promise.reject(new Error("work failed")));
    await expect(failing).rejects.toThrow("work failed");
    expect(await readdir(folder)).toEqual([]);
    expect(clock.sleepsMs).toEqual([]);
  });

  it("lets one at a time in", async () => {
    const clock = manualClock(0, "auto");
    let inside = 0;
    const most: number[] = [];
    const work = async () => {
      inside += 1;
      most.push(inside);
      await readdir(folder);
      inside -= 1;
    };
    await Promise.all(Array.from({ length: 8 }, () => withLockFile(path, { clock, waitMs: 1e9 }, work)));
    expect(most).toEqual(Array(8).fill(1));
  });

  it("gives up after the wait and names the file", async () => {
    const clock = manualClock();
    await withLockFile(path, { clock }, async () => {
      const second = withLockFile(path, { clock, waitMs: 100 }, async () => "never");
      await expect(second).rejects.toMatchObject({ code: "vault_busy", detail: `lock file ${path}` });
    });
    expect(clock.sleepsMs.reduce((sum, sleepMs) => sum + sleepMs, 0)).toBe(100);
  });

  it("takes over the lock of a dead process at once", async () => {
    await writeFile(path, `${deadPid()} ticket-1 ${hostname()}\n`);
    const clock = manualClock();
    await withLockFile(path, { clock }, async () => {
      expect(await readFile(path, "utf8")).toContain(`${process.pid} `);
    });
    expect(clock.sleepsMs).toEqual([]);
    expect(await readdir(folder)).toEqual([]);
  });

  it("lets one of many take over, and the rest wait for it", async () => {
    await writeFile(path, `${deadPid()} ticket-1 ${hostname()}\n`);
    const clock = manualClock();
    let inside = 0;
    const most: number[] = [];
    const work = async () => {
      inside += 1;
      most.push(inside);
      await readdir(folder);
      inside -= 1;
    };
    await Promise.all(Array.from({ length: 8 }, () => withLockFile(path, { clock, waitMs: 1e9 }, work)));
    expect(most).toEqual(Array(8).fill(1));
    expect(await readdir(folder)).toEqual([]);
  });

  it.each([
    ["another computer", () => `${deadPid()} ticket-1 elsewhere.example\n`],
    ["an owner that has not said who it is", () => ""],
    ["a living process", () => `${process.ppid} ticket-1 ${hostname()}\n`],
  ])("does not take the lock of %s", async (_name, content) => {
    await writeFile(path, content());
    const attempt = withLockFile(path, { clock: manualClock(), waitMs: 50 }, async () => "never");
    await expect(attempt).rejects.toMatchObject({ code: "vault_busy" });
    expect(await readdir(folder)).toEqual(["secrets.age.lock"]);
  });

  it("leaves a lock alone that is not its own any more", async () => {
    const foreign = `${process.ppid} ticket-2 ${hostname()}\n`;
    await withLockFile(path, { clock: manualClock() }, async () => {
      await unlink(path);
      await writeFile(path, foreign);
    });
    expect(await readFile(path, "utf8")).toBe(foreign);
  });

  it("says which file it cannot make", async () => {
    const missing = join(folder, "missing", "x.lock");
    await expect(withLockFile(missing, { clock: manualClock() }, async () => "never")).rejects.toMatchObject({
      code: "file_unwritable",
      detail: `${missing} (ENOENT)`,
    });
  });
});
