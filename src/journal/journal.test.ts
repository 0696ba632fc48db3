import { appendFile, mkdtemp, readdir, readFile, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { memoryFile } from "../../test/support/memory-file.ts";
import { manualClock } from "../base/time.ts";
import { CATALOGUE, ZephError, type ZephErrorCode } from "../errors.ts";
import {
  addSpending,
  explainFailure,
  type FailureJournal,
  failureJournal,
  findFailure,
  localDay,
  openBudget,
  parseFailureEntry,
  parseSpending,
  queueSpending,
  recordFailures,
  toFailureEntry,
} from "./journal.ts";

describe("failure journal", () => {
  const CONTEXT = { provider: "gonkagate", model: "sandbox/echo-1" };
  let path: string;
  let journal: FailureJournal;

  beforeEach(async () => {
    path = join(await mkdtemp(join(tmpdir(), "zeph-journal-")), "state", "failures.jsonl");
    let turn = 0;
    journal = failureJournal({
      path,
      clock: manualClock(1_700_000_000_000),
      random: () => {
        turn = (turn + 7) % 31;
        return turn / 31;
      },
    });
  });

  const failure = (code: ZephErrorCode = "insufficient_quota") =>
    new ZephError(code, {
      detail: "You exceeded your quota, gp-0123456789abcdef",
      status: 429,
      requestId: "req_42",
      attempts: [{ endpoint: "gonkagate", status: 429, code, elapsedMs: 31, charged: "no", requestId: "req_42" }],
    });

  describe("the journal of failures", () => {
    it("keeps what is needed to tell the story, and no secret", async () => {
      journal.record(failure(), CONTEXT);
      const [entry] = journal.entries();
      expect(entry).toMatchObject({
        ...CONTEXT,
        id: expect.stringMatching(/^[2-9a-hjkmnp-z]{6}$/),
        atMs: 1_700_000_000_000,
        code: "insufficient_quota",
        status: 429,
        charged: "no",
        attempts: [{ endpoint: "gonkagate", status: 429, elapsedMs: 31 }],
      });
      expect(await readFile(path, "utf8")).not.toContain("0123456789abcdef");
    });

    it("is shortened when it is long, and leaves nothing beside it", async () => {
      for (let round = 0; round < 3; round += 1) journal.record(failure(), CONTEXT);
      await appendFile(path, `${"x".repeat(300_000)}\n`);
      const before = journal.entries().length;
      journal.record(failure("unreachable"), CONTEXT);
      expect((await stat(path)).size).toBeLessThan(300_000);
      expect(journal.entries().length).toBe(before + 1);
      expect(await readdir(join(path, ".."))).toEqual(["failures.jsonl"]);
    });

    it("can be read by its owner alone", async () => {
      journal.record(failure(), CONTEXT);
      expect((await stat(path)).mode & 0o777).toBe(0o600);
      expect((await stat(join(path, ".."))).mode & 0o777).toBe(0o700);
    });

    it("stays small: the oldest entries go", async () => {
      const long = new ZephError("upstream_error", { detail: "x".repeat(280) });
      for (let count = 0; count < 700; count += 1) journal.record(long, { provider: `p${count}` });
      expect((await stat(path)).size).toBeLessThan(256 * 1024 + 1_000);
      const entries = journal.entries();
      expect(entries).toHaveLength(50);
      expect(entries.at(-1)?.provider).toBe("p699");
    });

    it("passes over lines that are none of its own", async () => {
      journal.record(failure(), CONTEXT);
      await appendFile(path, '{"id":"x"}\nnot json\n{"id":"cut of');
      expect(journal.entries()).toHaveLength(1);
      expect(
        parseFailureEntry('{"id":"a","atMs":1,"provider":"p","code":"nonsense","hint":"","attempts":[]}'),
      ).toBeUndefined();
    });

    it("never throws, whatever the disk says", async () => {
      const nowhere = failureJournal({ path: "/dev/null/x", clock: manualClock(), random: () => 0 });
      nowhere.record(failure(), CONTEXT);
      expect(nowhere.entries()).toEqual([]);
    });

    it("listens to a connection and notes only what was given up on", async () => {
      const recorded: string[] = [];
      const listener = recordFailures(
        {
          entries: () => [],
          record: async (error, { provider }) => void recorded.push(`${provider} ${error.code}`),
        },
        CONTEXT,
      );
      listener({ type: "attempt-started", attempt: 1, endpoint: "a", signed: false });
      listener({ type: "gave-up", error: failure("unreachable") });
      expect(recorded).toEqual(["gonkagate unreachable"]);
    });
  });

  describe("finding a failure", () => {
    const entries = ["aaaaaa", "aabbbb", "cccccc"].map((id, index) =>
      toFailureEntry(new ZephError("unreachable", { requestId: `req_${index}` }), CONTEXT, { id, atMs: index }),
    );
    it.each([
      [undefined, "cccccc"],
      ["aaaaaa", "aaaaaa"],
      ["aa", "aabbbb"],
      ["AABB", "aabbbb"],
      ["req_0", "aaaaaa"],
      ["zz", undefined],
      ["", undefined],
    ])("by %s gives %s", (id, expected) => {
      expect(findFailure(entries, id)?.id).toBe(expected);
    });
  });

  describe("the story", () => {
    const story = (code: ZephErrorCode, more: object = {}) =>
      explainFailure(toFailureEntry(new ZephError(code, more), CONTEXT, { id: "x", atMs: 0 }));

    it("tells money from rate, and says what it cost", () => {
      expect(story("insufficient_quota").meaning).toMatch(/^It is about money, not about the rate/);
      expect(story("rate_limited", { retryAfterMs: 1500 }).meaning).toMatch(/rate, not about money.*wait 2 s\.$/);
      expect(story("rate_limited").charged).toBe("Nothing was charged.");
      expect(story("executor_failed", { charged: "maybe" }).charged).toMatch(/may already have charged/);
      expect(story("stream_cut", { charged: "yes" }).charged).toMatch(/was charged/);
    });

    it("has a meaning and a next step for every code", () => {
      for (const code of Object.keys(CATALOGUE) as ZephErrorCode[]) {
        expect(story(code).meaning.length).toBeGreaterThan(20);
        expect(story(code).next).toMatch(/\w{3}/);
      }
    });
  });
});

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

  it("forgets what is older than 400 days, and stays small on a busy one", async () => {
    const clock = manualClock();
    const now = localDay(clock.nowMs());
    const file = memoryFile(`{"day":"2000-01-01","usd":1}\n${`{"day":"${now}","usd":0.00001}\n`.repeat(20_000)}`);
    const budget = openBudget({ maxDailyCents: 0, file, clock });
    await budget.add({ usd: 0.5, answersOfUnknownCost: 0 });
    expect((await file.read())?.length).toBeLessThan(100);
    expect(parseSpending(await file.read())).toMatchObject([{ day: now, answers: 20_001 }]);
    expect(await budget.spentTodayUsd()).toBeCloseTo(0.7, 6);
  });

  it("reads sums that no single answer could cost, and no impossible ones", () => {
    const read = (more: object) => parseSpending(JSON.stringify({ day: "2026-11-28", ...more }));
    expect(read({ usd: 900, answers: 1_000 })).toMatchObject([{ usd: 900, answers: 1_000 }]);
    for (const bad of [{ usd: 900 }, { usd: 1, answers: 0 }, { usd: 1, answers: 1.5 }, { usd: 1, unknown: -1 }]) {
      expect(read(bad)).toEqual([]);
    }
    expect(read({ in: 1e9, out: "many", ngonka: "1e9" })).toMatchObject([
      { inputTokens: undefined, ngonka: undefined },
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
    expect([parseSpending(await file.read()).length, locks]).toEqual([50, 1]);
    queue.add(spent(0.01));
    await queue.flush();
    expect(parseSpending(await file.read())).toHaveLength(51);
  });

  it("goes on where nothing can be written", async () => {
    const file = { ...memoryFile(), append: async () => Promise.reject(new Error("full")) };
    await expect(addSpending(file, 0, [spent(1)])).rejects.toThrow("full");
    const queue = queueSpending({ file, clock: manualClock() });
    queue.add(spent(1));
    await expect(queue.flush()).resolves.toBeUndefined();
  });
});
