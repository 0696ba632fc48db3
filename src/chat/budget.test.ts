import { describe, expect, it } from "vitest";
import { memoryFile } from "../../test/support/memory-file.ts";
import { manualClock } from "../internal/manual-clock.ts";
import { localDay } from "../journal/spending.ts";
import { openBudget } from "./budget.ts";

const DAY_MS = 24 * 60 * 60 * 1000;

describe("openBudget", () => {
  it("stops when the day's limit is reached, and not before", async () => {
    const budget = openBudget({ maxDailyCents: 10, file: memoryFile(), clock: manualClock() });
    await budget.check();
    await budget.add(0.06);
    await budget.check();
    await budget.add(0.05);
    await expect(budget.check()).rejects.toMatchObject({
      code: "budget_reached",
      detail: "11.0 of 10 cents are spent today",
    });
  });

  it("counts what other zephs wrote to the same file", async () => {
    const file = memoryFile();
    const clock = manualClock();
    await openBudget({ maxDailyCents: 10, file, clock }).add(0.2);
    await expect(openBudget({ maxDailyCents: 10, file, clock }).check()).rejects.toMatchObject({
      code: "budget_reached",
    });
  });

  it("begins anew on the next day and drops the old lines", async () => {
    const file = memoryFile();
    const clock = manualClock();
    const budget = openBudget({ maxDailyCents: 10, file, clock });
    await budget.add(0.5);
    clock.set(clock.nowMs() + DAY_MS);
    await budget.check();
    await budget.add(0.01);
    expect(await budget.spentTodayUsd()).toBeCloseTo(0.01, 10);
    expect((await file.read())?.trim().split("\n")).toHaveLength(1);
  });

  it("has no limit when the limit is 0", async () => {
    const budget = openBudget({ maxDailyCents: 0, file: memoryFile(), clock: manualClock() });
    await budget.add(1_000);
    await expect(budget.check()).resolves.toBeUndefined();
  });

  it("reads past torn and foreign lines", async () => {
    const clock = manualClock();
    const day = localDay(clock.nowMs());
    const file = memoryFile(`{"day":"${day}","usd":0.2}\n{"day":"${day}","us\nnull\n{"day":"${day}","usd":-5}\n`);
    expect(await openBudget({ maxDailyCents: 1, file, clock }).spentTodayUsd()).toBeCloseTo(0.2, 10);
  });
});
