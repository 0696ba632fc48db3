import { mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { manualClock } from "../internal/manual-clock.ts";
import { openAnswerCache } from "./answer-cache.ts";

const ANSWER = { text: "Blue.", reasoning: "sky" };
const ttlMs = 3_600_000;

let folder: string;
beforeEach(async () => {
  folder = join(await mkdtemp(join(tmpdir(), "zeph-answers-")), "answers");
});
afterEach(() => rm(join(folder, ".."), { recursive: true, force: true }));

describe("the answer cache", () => {
  it("gives an answer again to the same question only, and only for its time", async () => {
    const clock = manualClock();
    const cache = openAnswerCache({ folder, ttlMs, clock });
    await cache.put({ model: "a", question: "?" }, ANSWER);
    expect(await cache.get({ model: "a", question: "?" })).toEqual(ANSWER);
    expect(await cache.get({ model: "b", question: "?" })).toBeUndefined();
    await clock.advance(ttlMs);
    expect(await cache.get({ model: "a", question: "?" })).toBeUndefined();
  });

  it("keeps private files, and deletes those that have expired", async () => {
    const clock = manualClock();
    const cache = openAnswerCache({ folder, ttlMs, clock });
    await cache.put({ question: 1 }, ANSWER);
    await clock.advance(ttlMs);
    await cache.put({ question: 2 }, ANSWER);
    const [file = "", ...others] = await readdir(folder);
    expect(others).toEqual([]);
    if (process.platform !== "win32") expect((await stat(join(folder, file))).mode & 0o777).toBe(0o600);
    await writeFile(join(folder, file), "{");
    expect(await cache.get({ question: 2 })).toBeUndefined();
  });

  it("does not mind a folder that cannot be written", async () => {
    await writeFile(folder, "in the way");
    const cache = openAnswerCache({ folder, ttlMs, clock: manualClock() });
    await cache.put({ question: 1 }, ANSWER);
    expect(await cache.get({ question: 1 })).toBeUndefined();
  });
});
