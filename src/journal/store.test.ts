import { expect, it } from "vitest";
import { memoryFile } from "../../test/support/memory-file.ts";
import { manualClock } from "../base/time.ts";
import { localDay, usageBuckets } from "./ledger.ts";
import { fileStore, toNanoUsd } from "./store.ts";

const NOW = new Date(2026, 10, 28, 15).getTime();
const priced = (usd: number) => ({ usd, isGuess: false });
const guess = (usd: number) => ({ usd, isGuess: true });
const spent = (usd: number) => ({ provider: "p", model: "m", usd, answersOfUnknownCost: 0 });

function open(maxDailyCents: number, file = memoryFile()) {
  const clock = manualClock(NOW);
  return { clock, file, store: fileStore({ maxDailyCents, file, clock }) };
}
const refused = { code: "budget_reached" };

it("holds what requests under way may cost, and what they cost takes its place", async () => {
  const { store } = open(10);
  await store.reserve("1", priced(0.06));
  await store.reserve("1", priced(0.06));
  await expect(store.reserve("2", priced(0.05))).rejects.toMatchObject({
    ...refused,
    detail: "0.0 of 10 cents are spent today, 6.0 are held for requests under way, and this one may cost 5.0",
  });
  await store.reserve("3", priced(0.04));
  store.settle("1", spent(0.01));
  await store.reserve("2", priced(0.05));
  store.settle("3", undefined);
  store.settle("2", spent(0.09));
  store.settle("2", undefined);
  await expect(store.reserve("4", priced(0.000_001))).rejects.toMatchObject({
    ...refused,
    detail: "10.0 of 10 cents are spent today",
  });
  const [bucket] = usageBuckets(await store.lines(), { by: "day", split: [] });
  expect(bucket).toMatchObject({ requests: 2, usd: expect.closeTo(0.1, 9) });
});

it("never lets more through at once than fits, however many ask in the same moment", async () => {
  const { store } = open(1);
  const asked = Array.from({ length: 100 }, (_, index) => store.reserve(String(index), priced(0.0007)));
  const outcomes = await Promise.allSettled(asked);
  expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(14);
});

it("lets a guess that does not fit pass alone, and not beside others", async () => {
  const { store } = open(1);
  await store.reserve("1", guess(0.5));
  await expect(store.reserve("2", guess(0.5))).rejects.toMatchObject(refused);
  store.settle("1", spent(0.002));
  await store.reserve("3", guess(0.5));
  store.settle("3", spent(0.01));
  await expect(store.reserve("4", guess(0))).rejects.toMatchObject(refused);
});

it("knows what other zephs write, at once, and begins anew with a new day", async () => {
  const { store, file, clock } = open(10);
  await store.reserve("1", priced(0.01));
  await file.append(`${JSON.stringify({ day: localDay(NOW), usd: 0.095 })}\n`);
  await expect(store.reserve("2", priced(0))).rejects.toMatchObject(refused);
  clock.set(NOW + 24 * 60 * 60 * 1000);
  await store.reserve("2", priced(0.08));
});

it("counts what is settled while the file is read", async () => {
  const { store, file } = open(10);
  let go = () => {};
  const gate = new Promise<void>((resolve) => {
    go = resolve;
  });
  const read = file.read.bind(file);
  await store.reserve("1", priced(0.05));
  await file.append(`${JSON.stringify({ day: localDay(NOW), usd: 0.01 })}\n`);
  Object.assign(file, {
    read: async () => {
      const text = await read();
      await gate;
      return text;
    },
  });
  const second = store.reserve("2", priced(0.05));
  // Until the file is being read: then what is settled is neither held nor in what was read.
  for (let turns = 0; turns < 20; turns += 1) await Promise.resolve();
  store.settle("1", spent(0.05));
  go();
  await expect(second).rejects.toMatchObject({ ...refused, detail: expect.stringContaining("6.0 of 10 cents") });
});

it("holds nothing where there is no limit", async () => {
  const { store } = open(0);
  await store.reserve("1", priced(1_000));
  store.settle("1", spent(1_000));
  await store.reserve("2", priced(1_000));
  expect(store.isLimited).toBe(false);
});

it("rounds money up to the next 10⁻⁹ dollar, and leaves whole ones alone", () => {
  expect([0, 1e-9, 0.001, 0.1 + 0.2, 1e-12].map(toNanoUsd)).toEqual([0, 1, 1_000_000, 300_000_000, 1]);
  expect(toNanoUsd(1.5e-9)).toBe(2);
});
