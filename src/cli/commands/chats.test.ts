import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { chatTerminal } from "../../../test/support/chat-terminal.ts";
import { manualClock } from "../../base/time.ts";
import type { CliContext, RunCommand } from "../../base/world.ts";
import { conversationStore, conversationsFolder } from "../../chat/conversations.ts";
import { UNKNOWN_USAGE } from "../../chat/session.ts";
import { zephFolders } from "../../config/files.ts";
import { runChatsDelete, runChatsExport, runChatsList, runChatsRename, runChatsShow } from "./chats.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "zeph-chats-"));
});

afterEach(() => rm(folder, { recursive: true, force: true }));

const clock = manualClock();

/** Keeps conversations with these first questions, oldest first, and gives their ids. */
async function kept(...questions: readonly string[]): Promise<readonly string[]> {
  const { context } = chatTerminal({ folder });
  let turn = 0;
  const random = () => (turn++ * 0.37) % 1;
  const store = conversationStore({ folder: conversationsFolder(zephFolders(context).state), clock, random });
  const ids: string[] = [];
  for (const question of questions) {
    const keeper = store.keeper();
    const exchange = { question, answer: `**Answer** to ${question}`, reasoning: "", state: "finished" as const };
    const facts = { providerName: "box", modelId: "owner/model-a", usage: UNKNOWN_USAGE, costUsd: undefined };
    const session = { providerName: "box", modelId: "owner/model-a" };
    await keeper.save({ exchanges: [{ ...exchange, ...facts }], system: undefined, session });
    clock.set(clock.nowMs() + 60_000);
    ids.push(keeper.id ?? "");
  }
  return ids;
}

async function run<Flags>(
  command: RunCommand<Flags>,
  flags: Flags,
  more: Partial<CliContext> & { columns?: number } = {},
): Promise<string> {
  const { context, stdout, stderr } = chatTerminal({ folder });
  Object.assign(stdout, { columns: more.columns ?? 80 });
  expect(await command({ ...context, ...more }, flags)).toBe(0);
  return stripVTControlCharacters(stdout.text + stderr.text);
}

describe("zeph chats", () => {
  it("says how to begin where there is none", async () => {
    expect(await run(runChatsList, {})).toContain("No conversation is kept yet.");
  });

  it("lists the newest first, finds words, and says what it does not show", async () => {
    const [one = "", two = ""] = await kept("the colour of the sky", "why water is wet");
    const lines = (await run(runChatsList, {})).trim().split("\n");
    expect(lines[1]).toMatch(new RegExp(`^${two} +\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d +1 +model-a +why water is wet$`));
    expect(lines[2]).toMatch(new RegExp(`^${one} .* the colour of the sky$`));
    expect(await run(runChatsList, { words: ["SKY", "answer"] })).not.toContain(two);
    expect(await run(runChatsList, { words: ["nothing"] })).toContain("No conversation has all of these words");
    expect(await run(runChatsList, { limit: "1" })).toContain("1 older ones are not shown");
    await expect(run(runChatsList, { limit: "0" })).rejects.toMatchObject({ code: "usage" });
    const { data } = JSON.parse(await run(runChatsList, {}, { json: true }));
    expect(data).toMatchObject({ total: 2, conversations: [{ id: two, title: "why water is wet" }, { id: one }] });
  });

  it.each([20, 32, 48, 60])("fits into %s columns", async (columns) => {
    const [id = ""] = await kept(`a long question ${"about 漢字 and more ".repeat(5)}`);
    const lines = (await run(runChatsList, {}, { columns })).trim().split("\n");
    expect(lines).toHaveLength(2);
    expect(lines[1]).toMatch(new RegExp(`^${id}.*a long.*…$`));
    expect(lines[1]?.length).toBeLessThanOrEqual(columns);
  });

  it("shows and exports what was said, into new files only", async () => {
    const [id = ""] = await kept("what?");
    expect(await run(runChatsShow, { id: "last" })).toContain(
      "## You\n\nwhat?\n\n## owner/model-a\n\n**Answer** to what?",
    );
    expect(await run(runChatsShow, { id }, { color: true })).toMatch(/Answer to what\?/);
    expect(await run(runChatsExport, { id })).toContain("# what?");
    expect(JSON.parse(await run(runChatsExport, { id, format: "json" }))).toMatchObject({
      exchanges: [{ question: "what?" }],
    });
    await run(runChatsExport, { id, output: "talk.json" });
    const path = join(folder, "talk.json");
    expect(JSON.parse(await readFile(path, "utf8"))).toMatchObject({ id, title: "what?" });
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    await writeFile(path, "precious");
    await expect(run(runChatsExport, { id, output: "talk.json" })).rejects.toMatchObject({ code: "file_unwritable" });
    expect(await readFile(path, "utf8")).toBe("precious");
    await expect(run(runChatsShow, { id: "nothing" })).rejects.toMatchObject({ hint: expect.stringContaining(id) });
  });

  it("renames and deletes", async () => {
    const [one = "", two = "", three = ""] = await kept("first", "second", "third");
    expect(await run(runChatsRename, { id: "first", title: ["a", "better", "name"] })).toContain("a better name");
    expect(await run(runChatsDelete, { ids: [one, two] })).toBe(
      `Deleted ${one}: a better name\nDeleted ${two}: second\n`,
    );
    await expect(run(runChatsDelete, { ids: [three, "gone"] })).rejects.toMatchObject({ code: "usage" });
    await expect(run(runChatsDelete, {})).rejects.toMatchObject({ code: "usage" });
    await expect(run(runChatsDelete, { all: true }, { interactive: false })).rejects.toMatchObject({
      code: "not_interactive",
    });
    expect(await run(runChatsList, {})).toContain(three);
    await run(runChatsDelete, { all: true, yes: true });
    expect(await run(runChatsList, {})).toContain("No conversation is kept yet.");
  });
});
