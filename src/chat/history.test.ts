import { describe, expect, it } from "vitest";
import { memoryFile } from "../../test/support/memory-file.ts";
import { isWorthKeeping, openLineHistory } from "./history.ts";

describe("openLineHistory", () => {
  it("gives the lines of earlier runs, newest first, several lines in one entry included", async () => {
    const file = memoryFile();
    const first = openLineHistory({ file });
    for (const line of ["one", "two\nlines", "two\nlines", "three"]) await first.add(line);
    expect(await openLineHistory({ file }).load()).toEqual(["three", "two\nlines", "one"]);
  });

  it("does not repeat the last line of the run before", async () => {
    const file = memoryFile('"same"\n');
    const history = openLineHistory({ file });
    await history.load();
    await history.add("same");
    expect(await file.read()).toBe('"same"\n');
  });

  it("is bounded, in what it gives and in the file", async () => {
    const file = memoryFile(Array.from({ length: 25 }, (_, index) => `"line ${index}"\n`).join(""));
    expect(await openLineHistory({ file, maxLines: 10 }).load()).toHaveLength(10);
    expect((await file.read())?.trim().split("\n")).toHaveLength(10);
    expect((await file.read())?.startsWith('"line 15"')).toBe(true);
  });

  it("reads past lines that are not entries", async () => {
    expect(await openLineHistory({ file: memoryFile('"a"\n{"b":1}\ntorn"\n"c"') }).load()).toEqual(["c", "a"]);
  });
});

describe("isWorthKeeping", () => {
  it.each([
    "gp-abcdefghijklmnop0123456789",
    "my key is sk-abcdefghijkl",
    "Authorization: Bearer abcdef",
    `key ${"ab".repeat(32)}`,
    "AGE-SECRET-KEY-1QQQQQQQQQQQQ",
    `${"filler ".repeat(300)} gp-abcdefghijklmnop`,
    "abandon ability able about above absent absorb abstract absurd abuse access accident",
    "   ",
    "x".repeat(5_000),
  ])("refuses %.40s", (line) => expect(isWorthKeeping(line)).toBe(false));

  it.each([
    "how do I bake bread?",
    "please write a short poem about rain and then about the sun over the hill",
    "/model kimi",
    `${"filler ".repeat(300)}`,
  ])("keeps %.40s", (line) => expect(isWorthKeeping(line)).toBe(true));
});
