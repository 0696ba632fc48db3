import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { memoryFile } from "../../test/support/memory-file.ts";
import { Secret } from "../base/secret.ts";
import { manualClock } from "../base/time.ts";
import { maskOf } from "../provider/without-secrets.ts";
import type { Exchange } from "./conversation.ts";
import { conversationStore, isWorthKeeping, openLineHistory, toMarkdown, toPlainData } from "./conversations.ts";
import { UNKNOWN_USAGE } from "./session.ts";

describe("conversations", () => {
  let folder: string;
  let clock: ReturnType<typeof manualClock>;

  beforeEach(async () => {
    folder = join(await mkdtemp(join(tmpdir(), "zeph-conversations-")), "state", "conversations");
    clock = manualClock();
  });

  afterEach(() => rm(join(folder, "../.."), { recursive: true, force: true }));

  let turn = 0;
  const random = () => {
    turn = (turn * 7919 + 104_729) % 999_983;
    return turn / 999_983;
  };

  const open = (limits: { maxConversations?: number; maxBytes?: number } = {}) =>
    conversationStore({ folder, clock, random, ...limits });

  const exchange = (question: string, more: Partial<Exchange> = {}): Exchange => ({
    question,
    answer: `answer to ${question}`,
    reasoning: "",
    state: "finished",
    providerName: "box",
    modelId: "owner/model",
    usage: UNKNOWN_USAGE,
    costUsd: undefined,
    ...more,
  });

  const state = (exchanges: readonly Exchange[], more: object = {}) => ({
    exchanges,
    system: undefined,
    session: { providerName: "box", modelId: "owner/model" },
    ...more,
  });

  async function kept(...questions: readonly string[]) {
    const keeper = open().keeper();
    await keeper.save(state(questions.map((question) => exchange(question))));
    clock.set(clock.nowMs() + 1_000);
    return keeper;
  }

  describe("the store of conversations", () => {
    it("keeps nothing of a conversation in which nothing was said", async () => {
      await kept();
      expect(await open().list()).toEqual([]);
      await expect(open().find("last")).rejects.toMatchObject({ code: "usage", detail: "no conversation is kept yet" });
    });

    it("gives back what was kept, of one private file", async () => {
      const keeper = open().keeper();
      const first = exchange("why?", {
        costUsd: 0.25,
        costNgonka: 9_007_199_254_740_993n,
        usage: { ...UNKNOWN_USAGE, input: 3 },
        reasoning: "hm",
        atMs: 5,
      });
      await keeper.save(state([first], { system: "Be brief." }));
      await keeper.save(state([first, exchange("and?", { state: "cancelled" })], { system: "Be brief." }));
      const [summary] = await open().list();
      expect(summary).toMatchObject({ id: keeper.id, title: "why?", exchangeCount: 2, modelId: "owner/model" });
      const found = await open().find("last");
      expect(found).toMatchObject({
        system: "Be brief.",
        exchanges: [first, exchange("and?", { state: "cancelled" })],
      });
      expect(await readdir(folder)).toEqual([`${keeper.id}.json`]);
      expect((await stat(join(folder, `${keeper.id}.json`))).mode & 0o777).toBe(0o600);
      expect((await stat(folder)).mode & 0o777).toBe(0o700);
      expect(toMarkdown(found)).toContain("# why?");
      expect(JSON.parse(JSON.stringify(toPlainData(found)))).toMatchObject({
        exchanges: [{ costNgonka: "9007199254740993" }, { state: "cancelled" }],
      });
    });

    it("finds by id, its beginning and the title, and says what there is otherwise", async () => {
      const one = await kept("the colour of the sky");
      const two = await kept("the colour of the sea");
      const store = open();
      expect((await store.find("last")).id).toBe(two.id);
      expect((await store.find("SEA")).id).toBe(two.id);
      expect((await store.find(one.id?.slice(0, 5) ?? "")).id).toBe(one.id);
      await expect(store.find("colour")).rejects.toMatchObject({ detail: 'several conversations fit "colour"' });
      await expect(store.find("../../etc")).rejects.toMatchObject({ detail: 'no conversation is called "../../etc"' });
      await expect(store.find("")).rejects.toMatchObject({ code: "usage" });
      expect(await store.search("SKY answer")).toMatchObject([{ id: one.id }]);
      expect(await store.search("sky sea")).toEqual([]);
    });

    it("masks secrets before anything is written", async () => {
      const known = "planted-known-secret-1234";
      const words = "legal winner thank year wave sausage worth useful legal winner thank yellow";
      const session = { providerName: "box", modelId: "m", mask: maskOf([new Secret(known)]) };
      const long = `${"word ".repeat(500)} gp-abcdefghijklmnop ${known} 0x${"a1".repeat(32)}`;
      await open()
        .keeper()
        .save(state([exchange(long, { answer: long, reasoning: long }), exchange(words)], { session, system: long }));
      clock.set(clock.nowMs() + 1_000);
      await open()
        .keeper()
        .save(state([exchange(`my key ${known}`)], { session }));
      const files = await Promise.all((await readdir(folder)).map((name) => readFile(join(folder, name), "utf8")));
      expect(files.join()).not.toMatch(/planted|abcdefghij|a1a1a1|sausage/);
      expect((await open().find("last")).title).toContain("[redacted]");
    });

    it("renames, also while the conversation goes on, and deletes for good", async () => {
      const keeper = await kept("first words");
      const id = keeper.id ?? "";
      await open().rename(id, "  A better\u001b[31m\nname ");
      await keeper.save(state([exchange("first words"), exchange("more")]));
      expect(await open().find(id)).toMatchObject({ title: "A better [31m name", exchangeCount: 2 });
      await expect(open().rename(id, " \n")).rejects.toMatchObject({ code: "usage" });
      await open().remove(id);
      await keeper.save(state([exchange("first words"), exchange("more"), exchange("still here")]));
      expect(await readdir(folder)).toEqual([]);
    });

    it("makes two of one conversation that goes on in two places", async () => {
      const { id = "" } = await kept("shared");
      const [left, right] = [open().keeper(await open().find(id)), open().keeper(await open().find(id))];
      await left.save(state([exchange("shared"), exchange("left")]));
      await right.save(state([exchange("shared"), exchange("right")]));
      await left.save(state([exchange("shared"), exchange("left"), exchange("left again")]));
      const all = await Promise.all((await open().list()).map((each) => open().find(each.id)));
      expect(all.map(({ exchanges }) => exchanges.map(({ question }) => question)).sort()).toEqual([
        ["shared", "left", "left again"],
        ["shared", "right"],
      ]);
    });

    it("forgets what was taken back", async () => {
      const keeper = await kept("only one");
      await keeper.save(state([]));
      expect(await open().list()).toEqual([]);
      await keeper.save(state([exchange("another")]));
      expect(await open().list()).toMatchObject([{ title: "another" }]);
    });

    it("is bounded: the oldest go, of conversations and in one", async () => {
      const store = open({ maxConversations: 2, maxBytes: 20_000 });
      for (const question of ["one", "two", "three"]) {
        await store.keeper().save(state([exchange(question)]));
        clock.set(clock.nowMs() + 1_000);
      }
      expect((await store.list()).map(({ title }) => title)).toEqual(["three", "two"]);
      const keeper = store.keeper(await store.find("three"));
      const long = Array.from({ length: 20 }, (_, index) => exchange(`${index} ${"x".repeat(2_000)}`));
      await keeper.save(state(long));
      const found = await store.find("last");
      expect((await stat(join(folder, `${found.id}.json`))).size).toBeLessThan(20_000);
      expect(found.exchanges.at(-1)?.question).toBe(long.at(-1)?.question);
      expect(found.droppedCount + found.exchanges.length).toBe(20);
      const resumed = store.keeper(found);
      await resumed.save(state([...found.exchanges, exchange("x".repeat(50_000))]));
      const after = await store.find("last");
      expect(after.droppedCount + after.exchangeCount).toBe(21);
      expect(after.exchanges.at(-1)?.question).toMatch(/^x{2500}\n\[…\]$/);
    });

    it("passes over files that are none of its own, and damaged lines", async () => {
      const { id = "" } = await kept("good", "better");
      const path = join(folder, `${id}.json`);
      const lines = (await readFile(path, "utf8")).split("\n");
      await writeFile(path, [lines[0], '{"question":5}', "{torn", "[]", lines[2]].join("\n"));
      await writeFile(join(folder, "aaaaaa.json"), "not ours");
      await writeFile(join(folder, "bbbbbb.json"), '{"zeph":1,"title":"x"}\n');
      await writeFile(join(folder, "notes.txt"), "");
      await mkdir(join(folder, "cccccc.json"));
      await writeFile(join(folder, "dddddd.json"), lines[0] ?? "", { mode: 0o000 });
      await chmod(join(folder, "dddddd.json"), 0o000);
      const readable = (await open().list()).filter((each) => each.id !== "dddddd");
      expect(readable).toMatchObject([{ id, exchangeCount: 2 }]);
      expect((await open().find(id)).exchanges.map(({ question }) => question)).toEqual(["better"]);
    });
  });
});

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
