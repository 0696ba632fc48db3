import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { manualClock } from "../internal/manual-clock.ts";
import { fastestFirst, latencyMemory } from "./latencies.ts";

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "zeph-latencies-"));
});
afterEach(() => rm(home, { recursive: true, force: true }));

const open = () => latencyMemory({ env: {}, homeDir: home, platform: "linux", clock: manualClock(5_000) });

describe("the memory of speeds", () => {
  it("averages, newer answers more, across runs, in a private file", async () => {
    for (const elapsedMs of [1_000, 2_000]) await open().note("a", elapsedMs);
    expect(await open().read()).toEqual({ a: { answers: 2, averageMs: 1_300, lastAtMs: 5_000 } });
    if (process.platform !== "win32") expect((await stat(open().path)).mode & 0o777).toBe(0o600);
    await open().reset();
    await open().reset();
    expect(await open().read()).toEqual({});
  });

  it("keeps what several zephs note at the same moment", async () => {
    const names = ["a", "b", "c", "d"];
    await Promise.all(names.map((name) => open().note(name, 5)));
    expect(Object.keys(await open().read()).sort()).toEqual(names);
  });

  it.each(["{", "[]", "null", '{"a":{"answers":"x"},"b":null}'])("believes no damaged file: %s", async (text) => {
    await open().note("a", 1);
    await writeFile(open().path, text);
    expect(await open().read()).toEqual({});
  });
});

describe("who is asked first", () => {
  const latency = (averageMs: number) => ({ answers: 1, averageMs, lastAtMs: 0 });

  it("is the fastest, but after those nobody has asked yet", () => {
    const known = { a: latency(900), c: latency(300) };
    expect(fastestFirst(["a", "b", "c", "d"], known)).toEqual(["b", "d", "c", "a"]);
    expect(fastestFirst(["a", "b"], {})).toEqual(["a", "b"]);
  });
});
