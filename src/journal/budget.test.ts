import { describe, expect, it } from "vitest";
import { memoryFile } from "../../test/support/memory-file.ts";
import { manualClock } from "../base/time.ts";
import { addSpending, openBudget, queueSpending } from "./budget.ts";
import { localDay, parseSpending } from "./ledger.ts";

const spent = (usd: number) => ({ provider: "broker", model: "owner/model", usd, answersOfUnknownCost: 0 });

const DAY_MS = 24 * 60 * 60 * 1000;

describe("openBudget", () => {
  it("stops when the day's limit is reached, and not before", async () => {
    const budget = openBudget({ maxDailyCents: 10, file: memoryFile(), clock: manualClock() });
    await budget.check();
    await budget.add(spent(0.06));
    await budget.check();
    await budget.add(spent(0.05));
    await expect(budget.check()).rejects.toMatchObject({
      code: "budget_reached",
      detail: "11.0 of 10 cents are spent today",
    });
  });

  it("counts what other zephs wrote to the same file", async () => {
    const file = memoryFile();
    const clock = manualClock();
    await openBudget({ maxDailyCents: 10, file, clock }).add(spent(0.2));
    await expect(openBudget({ maxDailyCents: 10, file, clock }).check()).rejects.toMatchObject({
      code: "budget_reached",
    });
  });

  it("begins anew on the next day, and makes one line of the old one's", async () => {
    const file = memoryFile();
    const clock = manualClock();
    const budget = openBudget({ maxDailyCents: 10, file, clock });
    await budget.add(spent(0.5));
    await budget.add({ ...spent(0.25), inputTokens: 3, ngonka: 7n, answersOfUnknownCost: 1 });
    const first = localDay(clock.nowMs());
    clock.set(clock.nowMs() + DAY_MS);
    await budget.check();
    await budget.add(spent(0.01));
    expect(await budget.spentTodayUsd()).toBeCloseTo(0.01, 10);
    expect(parseSpending(await file.read())).toEqual([
      expect.objectContaining({
        day: first,
        answers: 2,
        usd: 0.75,
        inputTokens: 3,
        ngonka: 7n,
        answersOfUnknownCost: 1,
      }),
      expect.objectContaining({ day: localDay(clock.nowMs()), answers: 1, usd: 0.01, provider: "broker" }),
    ]);
  });

  it("has no limit when the limit is 0", async () => {
    const budget = openBudget({ maxDailyCents: 0, file: memoryFile(), clock: manualClock() });
    await budget.add(spent(1_000));
    await expect(budget.check()).resolves.toBeUndefined();
  });

  it("reads past torn and foreign lines", async () => {
    const clock = manualClock();
    const day = localDay(clock.nowMs());
    const file = memoryFile(`{"day":"${day}","usd":0.2}\n{"day":"${day}","us\nnull\n{"day":"${day}","usd":-5}\n`);
    expect(await openBudget({ maxDailyCents: 1, file, clock }).spentTodayUsd()).toBeCloseTo(0.2, 10);
  });
});

describe("queueSpending", () => {
  it("writes many answers at once, after two seconds or when it is told to", async () => {
    const clock = manualClock();
    const file = memoryFile();
    let locks = 0;
    const alone = <T>(work: () => Promise<T>) => {
      locks += 1;
      return work();
    };
    const counted = { ...file, alone };
    const queue = queueSpending({ file: counted, clock });
    for (let count = 0; count < 50; count += 1) queue.add(spent(0.01));
    expect(await file.read()).toBeUndefined();
    await clock.advance(2_000);
    await queue.flush();
    expect([parseSpending(await file.read()).map(({ answers }) => answers), locks]).toEqual([[50], 1]);
    queue.add(spent(0.01));
    await queue.flush();
    expect(parseSpending(await file.read()).map(({ answers }) => answers)).toEqual([50, 1]);
  });

  it("goes on where nothing can be written", async () => {
    const file = { ...memoryFile(), append: async () => Promise.reject(new Error("full")) };
    await expect(addSpending(file, 0, [spent(1)])).rejects.toThrow("full");
    const queue = queueSpending({ file, clock: manualClock() });
    queue.add(spent(1));
    await expect(queue.flush()).resolves.toBeUndefined();
  });
});
