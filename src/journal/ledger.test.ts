import { describe, expect, it } from "vitest";
import { memoryFile } from "../../test/support/memory-file.ts";
import { manualClock } from "../base/time.ts";
import { addSpending, openBudget } from "./budget.ts";
import {
  compactSpending,
  dayBefore,
  localDay,
  parseSpending,
  readSpending,
  renderSpending,
  type SpendingLine,
  timeOf,
  tookOf,
  usageBuckets,
  usageStarts,
} from "./ledger.ts";

const NOW = new Date(2026, 10, 28, 15, 30).getTime();
const HOUR_MS = 3_600_000;

const read = (...lines: readonly object[]) => parseSpending(lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
const line = (more: Partial<SpendingLine> = {}): SpendingLine => ({
  ...timeOf(NOW),
  provider: "broker",
  model: "owner/model",
  client: "curl",
  answers: 1,
  errors: 0,
  answersOfUnknownCost: 0,
  ...more,
});

describe("the lines of the ledger", () => {
  it("come back as they were written", () => {
    const lines = [
      line({ usd: 0.25, inputTokens: 3, outputTokens: 4, took: tookOf(800) }),
      line({ answers: 0, errors: 2, client: undefined }),
      line({ hour: undefined, ngonka: 7n, answers: 3, errors: 1, answersOfUnknownCost: 1 }),
    ];
    expect(parseSpending(renderSpending(lines))).toEqual(lines);
  });

  it("of earlier zephs are read: they know no hour, client, error or time", () => {
    expect(read({ day: "2026-11-22", usd: 0.5, provider: "p", model: "m", in: 3, out: 4, answers: 2 })).toEqual([
      expect.objectContaining({ day: "2026-11-22", hour: undefined, client: undefined, answers: 2, errors: 0 }),
    ]);
  });

  it("hold sums that no single answer could cost, and no impossible ones", () => {
    const one = (more: object) => read({ day: "2026-11-28", ...more });
    expect(one({ usd: 900, answers: 1_000 })).toMatchObject([{ usd: 900, answers: 1_000 }]);
    const impossible = [
      { usd: 900 },
      { answers: 0 },
      { usd: 1, answers: 1.5 },
      { usd: 1, unknown: -1 },
      { errors: -1 },
    ];
    for (const bad of impossible) expect(one(bad)).toEqual([]);
    const odd = { in: 1e9, out: "many", ngonka: "1e9", hour: 24, client: 7, took: [95, 1, 1] };
    expect(one(odd)).toEqual([
      expect.objectContaining({
        ...{ inputTokens: undefined, outputTokens: undefined, ngonka: undefined },
        ...{ hour: undefined, client: undefined, took: undefined },
      }),
    ]);
    for (const took of [[], [3], [3, -1], [3, "1"], "x", { 3: 1 }]) {
      expect(one({ took })).toEqual([expect.objectContaining({ took: undefined })]);
    }
  });

  it("are none where there is no file", async () => {
    expect(parseSpending(await readSpending("/nowhere"))).toEqual([]);
  });
});

describe("making the ledger short", () => {
  it("keeps hours for two weeks, then days, and forgets after 400", () => {
    const at = (daysAgo: number, hour: number) => line({ day: dayBefore(NOW, daysAgo), hour, took: tookOf(100) });
    const short = compactSpending(
      [at(401, 1), at(400, 1), at(400, 2), at(15, 1), at(15, 9), at(14, 1), at(14, 9), at(14, 9), at(0, 15)],
      NOW,
    );
    expect(short.map(({ day, hour, answers }) => [day, hour, answers])).toEqual([
      [dayBefore(NOW, 400), undefined, 2],
      [dayBefore(NOW, 15), undefined, 2],
      [dayBefore(NOW, 14), 1, 1],
      [dayBefore(NOW, 14), 9, 2],
      [dayBefore(NOW, 0), 15, 1],
    ]);
  });

  it("keeps the money of names that callers made up, and few of the names", () => {
    const lines = Array.from({ length: 1_500 }, (_, index) =>
      line({ client: `c${index % 100}`, model: `m${index}`, usd: index === 1_321 ? 0.5 : 0.0001, took: tookOf(index) }),
    );
    const short = compactSpending(lines, NOW);
    expect(short).toHaveLength(51);
    expect(short.at(0)).toMatchObject({ model: "m1321" });
    expect(short.at(-1)).toMatchObject({ provider: "broker", model: "other", client: "other", answers: 1_450 });
    expect(short.reduce((sum, { usd = 0 }) => sum + usd, 0)).toBeCloseTo(0.5 + 0.1499, 6);
    const [before] = usageBuckets(lines, { by: "all", split: [] });
    const [after] = usageBuckets(short, { by: "all", split: [] });
    expect([after?.p50Ms, after?.p95Ms]).toEqual([before?.p50Ms, before?.p95Ms]);
  });

  it("happens on a busy day, and leaves the sums as they are", async () => {
    const clock = manualClock();
    const now = localDay(clock.nowMs());
    const file = memoryFile(`{"day":"2000-01-01","usd":1}\n${`{"day":"${now}","usd":0.00001}\n`.repeat(8_000)}`);
    const budget = openBudget({ maxDailyCents: 0, file, clock });
    await budget.add({ usd: 0.5, answersOfUnknownCost: 0 });
    expect((await file.read())?.length).toBeLessThan(200);
    expect(parseSpending(await file.read())).toMatchObject([{ answers: 8_000 }, { answers: 1 }]);
    expect(await budget.spentTodayUsd()).toBeCloseTo(0.58, 6);
  });

  it("is done again only after a quarter of a megabyte more, however long the ledger is", async () => {
    const clock = manualClock(NOW);
    const old = Array.from({ length: 1_000 }, (_, index) =>
      line({ day: dayBefore(NOW, 1 + (index % 300)), hour: undefined, model: `m${index}`.padEnd(250, "x"), usd: 0.1 }),
    );
    const inner = memoryFile(renderSpending([...old, line()]));
    let replaced = 0;
    const file = {
      ...inner,
      replace(text: string) {
        replaced += 1;
        return inner.replace(text);
      },
    };
    const spent = (count: number) => ({ client: `c${count % 40}`, model: "m", usd: 0.001, answersOfUnknownCost: 0 });
    expect((await file.read())?.length).toBeGreaterThan(300_000);
    for (let round = 0; round < 100; round += 1) {
      const batch = Array.from({ length: 40 }, (_, index) => spent(index));
      await addSpending(file, clock.nowMs(), batch);
    }
    expect(replaced).toBeGreaterThan(0);
    expect(replaced).toBeLessThan(4);
    const today = usageBuckets(parseSpending(await file.read()), { by: "day", split: [] }).at(-1);
    expect(today).toMatchObject({ requests: 4_001, usd: expect.closeTo(4, 6) });
  });
});

describe("the reading of the ledger", () => {
  const lines = [
    line({ day: "2026-10-31", hour: undefined, usd: 1, took: tookOf(100) }),
    line({ day: "2026-11-28", hour: 9, usd: 0.5, inputTokens: 10, took: tookOf(100), answers: 1 }),
    line({ day: "2026-11-28", hour: 9, usd: 0.25, client: "codex", answers: 0, errors: 1 }),
    line({ day: "2026-11-28", hour: 15, ngonka: 5n, model: "other/model", took: tookOf(3_000) }),
  ];
  const start = (...parts: [number, number, number, number?]) =>
    new Date(parts[0], parts[1] - 1, parts[2], parts[3] ?? 0).getTime();

  it("tells hours, days and months from their beginning, oldest first", () => {
    const starts = (by: "hour" | "day" | "month" | "all") =>
      usageBuckets(lines, { by, split: [] }).map((each) => each.start);
    expect(starts("hour")).toEqual([start(2026, 11, 28, 9), start(2026, 11, 28, 15)]);
    expect(starts("day")).toEqual([start(2026, 10, 31), start(2026, 11, 28)]);
    expect(starts("month")).toEqual([start(2026, 10, 1), start(2026, 11, 1)]);
    expect(starts("all")).toEqual([0]);
  });

  it("splits by what is asked for, and by everything else", () => {
    const byClient = usageBuckets(lines, { by: "day", split: ["client"] }).slice(1);
    expect(byClient).toEqual([
      expect.objectContaining({ client: "curl", model: undefined, requests: 2, errors: 0, usd: 0.5, ngonka: 5n }),
      expect.objectContaining({ client: "codex", requests: 1, errors: 1, usd: 0.25, p50Ms: undefined }),
    ]);
    expect(usageBuckets(lines, { by: "day" })).toHaveLength(4);
  });

  it("puts times of answers together whichever way they were kept, to about a tenth", () => {
    const times = Array.from({ length: 2_000 }, (_, index) => 20 + ((index * 7_919) % 2_000) * 3);
    const all = times.map((ms, index) => line({ hour: index % 24, took: tookOf(ms) }));
    const sorted = [...times].sort((left, right) => left - right);
    for (const kept of [all, compactSpending(all, NOW), compactSpending(all, NOW + 20 * 24 * HOUR_MS)]) {
      const [bucket] = usageBuckets(kept, { by: "month", split: [] });
      for (const [told = 0, share] of [
        [bucket?.p50Ms, 0.5],
        [bucket?.p95Ms, 0.95],
      ] as const) {
        const exact = sorted[Math.ceil(share * sorted.length) - 1] ?? 0;
        expect(Math.abs(told / exact - 1)).toBeLessThan(0.1);
      }
    }
  });

  it("takes the shortest and the longest time there is", () => {
    const one = (ms: number) => usageBuckets([line({ took: tookOf(ms) })], { by: "all" })[0]?.p50Ms;
    expect(one(0)).toBe(1);
    expect(one(1e12)).toBeGreaterThan(4 * HOUR_MS);
  });

  it("knows the steps without requests, too", () => {
    expect(usageStarts("day", NOW, 3)).toEqual([start(2026, 11, 26), start(2026, 11, 27), start(2026, 11, 28)]);
    expect(usageStarts("month", NOW, 2)).toEqual([start(2026, 10, 1), start(2026, 11, 1)]);
    expect(usageStarts("hour", NOW, 2)).toEqual([start(2026, 11, 28, 14), start(2026, 11, 28, 15)]);
  });
});
