import { mkdtemp, readdir, readFile, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { openBudget } from "./budget.ts";
import { stateFile } from "./state-file.ts";

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
