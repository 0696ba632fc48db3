import { PassThrough } from "node:stream";
import { describe, expect, it } from "vitest";
import { manualClock } from "../internal/manual-clock.ts";
import { readQuestion as readParts } from "./read-question.ts";

function context(stdin: PassThrough & { isTTY?: boolean }) {
  const controller = new AbortController();
  const { signal } = controller;
  return { stdin, stderr: new PassThrough(), clock: manualClock(0, "manual"), signal, controller };
}

async function readQuestion(given: Parameters<typeof readParts>[0], words: readonly string[]): Promise<string> {
  const { typed, piped } = await readParts(given, words);
  return [typed, piped].filter((part) => part !== "").join("\n\n");
}

describe("readQuestion", () => {
  it("joins the words and what is piped in, words first", async () => {
    expect(await readQuestion(context(new PassThrough().end("a report\n")), ["summarise", "this"])).toBe(
      "summarise this\n\na report",
    );
    expect(await readQuestion(context(new PassThrough().end("only this")), [])).toBe("only this");
  });

  it("does not touch a terminal", async () => {
    expect(await readQuestion(context(Object.assign(new PassThrough(), { isTTY: true })), ["hi"])).toBe("hi");
  });

  it("asks for a question when there is none", async () => {
    await expect(readQuestion(context(new PassThrough().end("  \n")), [])).rejects.toMatchObject({
      code: "missing_input",
    });
  });

  it("stops waiting at Ctrl-C", async () => {
    const given = context(new PassThrough());
    const question = readQuestion(given, ["hi"]);
    given.controller.abort();
    await expect(question).rejects.toMatchObject({ code: "cancelled" });
    expect(given.clock.pendingTimers).toBe(0);
  });

  it("says what it waits for when a pipe stays open", async () => {
    const stdin = new PassThrough();
    const given = context(stdin);
    const question = readQuestion(given, ["hi"]);
    await given.clock.advance(1000);
    expect(String(given.stderr.read())).toContain("Waiting for standard input");
    stdin.end("late");
    expect(await question).toBe("hi\n\nlate");
  });
});
