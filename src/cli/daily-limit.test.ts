import { expect, it } from "vitest";
import type { StateFile } from "../base/lock.ts";
import { manualClock } from "../base/time.ts";
import { dailyLimit } from "./daily-limit.ts";

/** A ledger in memory that counts how often it is read. */
function ledger() {
  let text = "";
  let reads = 0;
  const file: StateFile = {
    alone: (work) => work(),
    read: async () => {
      reads += 1;
      return text;
    },
    append: async (more) => {
      text += more;
    },
    replace: async (whole) => {
      text = whole;
    },
  } as StateFile;
  return { file, readCount: () => reads };
}

const spent = (usd: number) => ({ provider: "p", model: "m", usd, answersOfUnknownCost: 0 });

it("counts what this process spends at once, without reading the ledger for each request", async () => {
  const clock = manualClock(undefined, "manual");
  const { file, readCount } = ledger();
  const limit = dailyLimit({ maxDailyCents: 10, file, clock });
  await limit.check();
  const first = readCount();
  for (let count = 0; count < 9; count += 1) {
    limit.add(spent(0.01));
    await limit.check();
  }
  expect(readCount()).toBe(first);
  limit.add(spent(0.01));
  await expect(limit.check()).rejects.toMatchObject({
    code: "budget_reached",
    detail: expect.stringContaining("10.0 of 10"),
  });
});

it("counts to the cent over a flush: nothing twice, nothing lost", async () => {
  const clock = manualClock(undefined, "manual");
  const { file } = ledger();
  const limit = dailyLimit({ maxDailyCents: 100, file, clock });
  for (let count = 0; count < 99; count += 1) {
    limit.add(spent(0.01));
    await limit.check();
    await clock.advance(701);
  }
  await limit.check();
  limit.add(spent(0.01));
  await expect(limit.check()).rejects.toMatchObject({ code: "budget_reached" });
});

it("sees what another zeph has written after two seconds", async () => {
  const clock = manualClock(undefined, "manual");
  const { file } = ledger();
  const [mine, other] = [0, 1].map(() => dailyLimit({ maxDailyCents: 10, file, clock }));
  await mine!.check();
  other!.add(spent(0.2));
  await other!.flush();
  await clock.advance(1_999);
  await mine!.check();
  await clock.advance(1);
  await expect(mine!.check()).rejects.toMatchObject({ code: "budget_reached" });
});

it("holds where the ledger cannot be written", async () => {
  const clock = manualClock(undefined, "manual");
  const { file } = ledger();
  const full = () => Promise.reject(new Error("no space"));
  const limit = dailyLimit({ maxDailyCents: 10, file: { ...file, append: full, replace: full } as StateFile, clock });
  limit.add(spent(0.2));
  await limit.flush();
  await expect(limit.check()).rejects.toMatchObject({ code: "budget_reached" });
});
