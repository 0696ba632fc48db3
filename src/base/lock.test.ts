import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  stat,
  symlink,
  truncate,
  unlink,
  utimes,
  writeFile,
} from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { ZephError } from "../errors.ts";
import { openBudget } from "../journal/budget.ts";
import { listLockLeftovers, lockState, stateFile, withLockFile as withLock } from "./lock.ts";
import { manualClock } from "./time.ts";

describe("lock file", () => {
  let folder: string;
  let path: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "zeph-lock-"));
    path = join(folder, "secrets.age.lock");
  });

  const busy = (detail: string) => new ZephError("vault_busy", { detail });
  const withLockFile = <T>(
    at: string,
    options: { readonly clock: ReturnType<typeof manualClock>; readonly waitMs?: number },
    work: Parameters<typeof withLock<T>>[2],
  ) => withLock(at, { ...options, busy }, work);

  /** The id of a process that has ended. */
  function deadPid(): number {
    return spawnSync(process.execPath, ["--version"]).pid;
  }

  /** What a process writes into its lock; this one's own facts, changed. */
  async function ownerText(change: Readonly<Record<string, unknown>>): Promise<string> {
    const probe = join(folder, "probe.lock");
    const own = await withLockFile(probe, { clock: manualClock() }, () => readFile(probe, "utf8"));
    return `${JSON.stringify({ ...JSON.parse(own), ticket: "0123456789ab", ...change })}\n`;
  }

  const startOf = async (pid: number) =>
    (await readFile(`/proc/${pid}/stat`, "utf8")).split(") ").at(-1)?.split(" ")[19];
  const isLinux = process.platform === "linux";

  describe("withLockFile", () => {
    it("holds a file of the owner's while working and removes it, also after a failure", async () => {
      const clock = manualClock();
      const answer = await withLockFile(path, { clock }, async ({ assertHeld }) => {
        expect(JSON.parse(await readFile(path, "utf8"))).toMatchObject({ pid: process.pid, host: hostname() });
        expect((await stat(path)).mode & 0o777).toBe(0o600);
        expect(await readdir(folder)).toEqual(["secrets.age.lock"]);
        await assertHeld();
        return 42;
      });
      expect(answer).toBe(42);
      const failing = withLockFile(path, { clock }, () => Promise.reject(new Error("work failed")));
      await expect(failing).rejects.toThrow("work failed");
      expect(await readdir(folder)).toEqual([]);
      expect(clock.sleepsMs).toEqual([]);
    });

    it.each(["no lock", "a lock that is left"])("lets one at a time in, also when many find %s", async (found) => {
      if (found !== "no lock") await writeFile(path, await ownerText({ pid: deadPid() }));
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
      expect(await readdir(folder)).toEqual([]);
    });

    it("gives up after the wait and names the file and who holds it", async () => {
      const clock = manualClock();
      await withLockFile(path, { clock }, async () => {
        const second = withLockFile(path, { clock, waitMs: 100 }, async () => "never");
        const detail = `lock file ${path} of process ${process.pid}`;
        await expect(second).rejects.toMatchObject({ code: "vault_busy", detail });
      });
      expect(clock.sleepsMs.reduce((sum, sleepMs) => sum + sleepMs, 0)).toBe(100);
      expect(await readdir(folder)).toEqual([]);
    });

    it("does not take the lock of a process that lives, nor of another computer or container", async () => {
      const start = isLinux ? await startOf(process.ppid) : undefined;
      const others = [
        { pid: process.ppid, startTicks: start },
        { pid: deadPid(), host: "elsewhere.example" },
        { pid: deadPid(), bootId: "another start of another computer" },
        { pid: deadPid(), pidNamespace: "pid:[1]" },
      ];
      for (const other of others) {
        const text = await ownerText(other);
        await writeFile(path, text);
        expect(await lockState(path, Date.now())).toBe("held");
        const attempt = withLockFile(path, { clock: manualClock(), waitMs: 50 }, async () => "never");
        await expect(attempt).rejects.toMatchObject({ code: "vault_busy" });
        expect(await readFile(path, "utf8")).toBe(text);
      }
      expect(await readdir(folder)).toEqual(["secrets.age.lock"]);
    });

    it("leaves a lock alone that is not its own any more, and says so before the last step", async () => {
      const foreign = await ownerText({ pid: process.ppid });
      const work = withLockFile(path, { clock: manualClock() }, async ({ assertHeld }) => {
        await unlink(path);
        await writeFile(path, foreign);
        await assertHeld();
      });
      await expect(work).rejects.toMatchObject({ code: "vault_busy", detail: expect.stringContaining("took it over") });
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

  /** Nobody ever has to remove a file by hand. */
  describe("what is left behind", () => {
    const LEFT: Readonly<Record<string, () => unknown>> = {
      "a lock of a process that is gone": async () => writeFile(path, await ownerText({ pid: deadPid() })),
      "a lock older than a minute, whoever holds it": async () => {
        await writeFile(path, await ownerText({ pid: process.ppid, host: "elsewhere.example" }));
        await utimes(path, Date.now() / 1000 - 61, Date.now() / 1000 - 61);
      },
      "a lock from the future, of a clock that was set back": async () => {
        await writeFile(path, await ownerText({ pid: process.ppid, host: "elsewhere.example" }));
        await utimes(path, Date.now() / 1000 + 9_000, Date.now() / 1000 + 9_000);
      },
      "an empty lock": () => writeFile(path, ""),
      "half a lock": async () => writeFile(path, (await ownerText({})).slice(0, 20)),
      "a lock in the form of an older version": () => writeFile(path, `${process.ppid} some-ticket ${hostname()}\n`),
      "a lock that is not JSON of ours": () => writeFile(path, '{"pid":"1"}'),
      "a lock that leads to a device": () => symlink("/dev/zero", path),
      "a lock that leads nowhere": () => symlink("gone", path),
      "a lock that is a pipe": () => spawnSync("mkfifo", [path]),
      "a lock that nobody may read": async () => {
        await writeFile(path, "");
        await chmod(path, 0);
      },
      "a folder": () => mkdir(path),
      "a claim on a lock that is left, of a process that is gone": async () => {
        await writeFile(path, await ownerText({ pid: deadPid() }));
        await writeFile(`${path}.0123456789ab`, await ownerText({ pid: deadPid(), ticket: "aaaaaaaaaaaa" }));
      },
      "a claim on a claim": async () => {
        await writeFile(path, await ownerText({ pid: deadPid() }));
        await writeFile(`${path}.0123456789ab`, await ownerText({ pid: deadPid(), ticket: "aaaaaaaaaaaa" }));
        await writeFile(
          `${path}.0123456789ab.aaaaaaaaaaaa`,
          await ownerText({ pid: deadPid(), ticket: "bbbbbbbbbbbb" }),
        );
      },
      "a claim without its lock": async () =>
        writeFile(`${path}.0123456789ab`, await ownerText({ pid: deadPid(), ticket: "aaaaaaaaaaaa" })),
      "a claim that never got its name": async () =>
        writeFile(
          join(folder, ".secrets.age.lock.0123456789ab.cccccccccccc.tmp"),
          await ownerText({ pid: deadPid(), ticket: "aaaaaaaaaaaa" }),
        ),
      "a lock that never got its name": async () =>
        writeFile(join(folder, ".secrets.age.lock.0123456789ab.tmp"), await ownerText({ pid: deadPid() })),
    };

    it.each(Object.entries(LEFT))("as %s, is taken over and swept up", async (_name, leave) => {
      await leave();
      const clock = manualClock(Date.now());
      expect(await withLockFile(path, { clock }, async () => "done")).toBe("done");
      expect(await readdir(folder)).toEqual([]);
      // Less than anybody waits for.
      expect(clock.sleepsMs.reduce((sum, sleepMs) => sum + sleepMs, 0)).toBeLessThan(3_000);
    });

    it("as a folder with something in it, is moved aside and not deleted", async () => {
      await mkdir(path);
      await writeFile(join(path, "precious"), "x");
      await withLockFile(path, { clock: manualClock(Date.now()) }, async () => "done");
      const [aside = ""] = await readdir(folder);
      expect(await readFile(join(folder, aside, "precious"), "utf8")).toBe("x");
    });

    it.runIf(isLinux)("by a process whose id belongs to another by now, is taken over at once", async () => {
      await writeFile(path, await ownerText({ pid: process.ppid, startTicks: "1" }));
      expect(await lockState(path, Date.now())).toBe("stale");
      const clock = manualClock(Date.now());
      expect(await withLockFile(path, { clock }, async () => "done")).toBe("done");
      expect(clock.sleepsMs).toEqual([]);
    });

    it.runIf(isLinux)("by a process that its parent has not buried yet, is taken over at once", async () => {
      // The shell starts a child, becomes a program that buries nobody, and tells the child's id.
      const parent = spawn("sh", ["-c", "sleep 60 & echo $!; exec sleep 60"]);
      const pid = Number(String((await once(parent.stdout, "data"))[0]));
      while (!(await readFile(`/proc/${parent.pid}/comm`, "utf8")).startsWith("sleep")) await readdir(folder);
      process.kill(pid, "SIGKILL");
      let state = "";
      while (state !== "Z") state = (await readFile(`/proc/${pid}/stat`, "utf8")).split(") ")[1]?.[0] ?? "";
      await writeFile(path, await ownerText({ pid, startTicks: await startOf(pid) }));
      const clock = manualClock(Date.now());
      expect(await withLockFile(path, { clock }, async () => "done")).toBe("done");
      expect(clock.sleepsMs).toEqual([]);
      parent.kill("SIGKILL");
    });

    it("is listed for the doctor, and nothing that somebody needs", async () => {
      await writeFile(`${path}.0123456789ab`, await ownerText({ pid: deadPid(), ticket: "aaaaaaaaaaaa" }));
      await writeFile(`${path}.cccccccccccc`, await ownerText({ ticket: "dddddddddddd" }));
      await writeFile(join(folder, ".secrets.age.lock.0123456789ab.tmp"), await ownerText({ pid: deadPid() }));
      await writeFile(join(folder, "secrets.age.lock.txt"), "somebody's");
      const before = await readdir(folder);
      expect((await listLockLeftovers(path, Date.now())).sort()).toEqual([
        join(folder, ".secrets.age.lock.0123456789ab.tmp"),
        `${path}.0123456789ab`,
      ]);
      expect(await lockState(path, Date.now())).toBe("free");
      expect(await readdir(folder)).toEqual(before);
    });
  });
});

describe("state file", () => {
  let folder: string;
  let path: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "zeph-state-"));
    path = join(folder, "deep", "spent.jsonl");
  });

  describe("a file of the state folder", () => {
    it("begins anew when it is larger than anybody reads", async () => {
      const file = stateFile(path);
      await file.append("old\n");
      await truncate(path, 17 * 1024 * 1024);
      expect(await file.read()).toBeUndefined();
      await file.append("new\n");
      expect(await readFile(path, "utf8")).toBe("new\n");
      expect(await file.read()).toBe("new\n");
    });

    it("loses no answer when a new day begins in several zephs at once", async () => {
      const nowMs = Date.UTC(2026, 10, 22, 12);
      await stateFile(path).append('{"day":"2026-11-20","usd":9}\n');
      const budgets = Array.from({ length: 8 }, () =>
        openBudget({ maxDailyCents: 100, file: stateFile(path), clock: { nowMs: () => nowMs } }),
      );
      await Promise.all(budgets.map((budget) => budget.add({ usd: 0.01, answersOfUnknownCost: 0 })));
      expect((await readFile(path, "utf8")).trim().split("\n")).toHaveLength(1 + 8);
      expect(await budgets[0]?.spentTodayUsd()).toBeCloseTo(0.08);
      expect(await readdir(join(folder, "deep"))).toEqual(["spent.jsonl"]);
    });

    it("does its work without the lock when that cannot be had, and only once", async () => {
      const lock = { pid: 1, host: "elsewhere.example", ticket: "0123456789ab" };
      await stateFile(path).append("x\n");
      await writeFile(`${path}.lock`, JSON.stringify(lock));
      let runs = 0;
      const file = stateFile(path);
      await file.alone(async () => {
        runs += 1;
      });
      expect(runs).toBe(1);
      const failing = stateFile(join(folder, "other.jsonl")).alone(async () => {
        runs += 1;
        throw new Error("work failed");
      });
      await expect(failing).rejects.toThrow("work failed");
      expect(runs).toBe(2);
    });
  });
});
