import { appendFile, mkdtemp, readdir, readFile, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { manualClock } from "../base/time.ts";
import { CATALOGUE, ZephError, type ZephErrorCode } from "../errors.ts";
import {
  explainFailure,
  type FailureJournal,
  failureJournal,
  findFailure,
  parseFailureEntry,
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
