import { describe, expect, it } from "vitest";
import { replyText } from "./reply-text.ts";

const reply = (...questions: string[]) => replyText(questions.map((content) => ({ role: "user", content })));

describe("replyText", () => {
  it.each([
    ["Count to 5", "1, 2, 3, 4, 5"],
    ["please count from 3 to 6!", "3, 4, 5, 6"],
    ["Say hello world", "hello world"],
    ['Reply with exactly: "ok"', "ok"],
    ["reply only with OK", "OK"],
    ["what is 6 * 7?", "6 * 7 = 42"],
    ["write 4 words", "the small network answers"],
  ])("%s → %s", (question, answer) => {
    expect(reply(question)).toBe(answer);
  });

  it("greets, and tells what it is", () => {
    expect(reply("Hello!")).toContain("zeph sandbox");
    expect(reply("Who are you?")).toContain("not a language model");
    expect(reply("Why is the sky blue?")).toContain('You wrote: "Why is the sky blue?"');
    expect(reply("")).toContain("without text");
    expect(reply("show me some markdown")).toContain("| model | tokens |");
  });

  it("remembers the conversation", () => {
    expect(reply("The word is plum.", "What did I say?")).toBe('Before this, you wrote: "The word is plum.".');
    expect(reply("What did I say?")).toBe("This is your first message.");
  });

  it("stays bounded", () => {
    expect(reply("count to 999999999").split(", ")).toHaveLength(1000);
    expect(reply("write 999999999 words").split(" ")).toHaveLength(20_000);
    expect(reply(`Is this long? ${"x".repeat(10_000)}`).length).toBeLessThan(400);
  });

  it("reads text parts", () => {
    const content = [
      { type: "text", text: "Say " },
      { type: "text", text: "both" },
    ];
    expect(replyText([{ role: "user", content }])).toBe("both");
  });
});
