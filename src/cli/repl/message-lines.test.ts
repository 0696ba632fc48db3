import { describe, expect, it } from "vitest";
import { collectMessageLines } from "./message-lines.ts";

function messagesOf(...lines: readonly string[]): (string | undefined)[] {
  const collector = collectMessageLines();
  return lines.map((line) => collector.add(line));
}

describe("collectMessageLines", () => {
  it.each([
    [["hello"], ["hello"]],
    [
      ["one\\", "two\\", "three"],
      [undefined, undefined, "one\ntwo\nthree"],
    ],
    [["C:\\\\"], ["C:\\\\"]],
    [
      ['"""', "a", "b\\", '"""'],
      [undefined, undefined, undefined, "a\nb\\"],
    ],
    [
      ['"""a', 'b"""'],
      [undefined, "a\nb"],
    ],
    [['"""on one line"""'], ["on one line"]],
    [['say """this"""'], ['say """this"""']],
    [
      ["", "next"],
      ["", "next"],
    ],
  ])("puts %j together", (lines, messages) => expect(messagesOf(...lines)).toEqual(messages));

  it("knows whether a message is begun, and drops it", () => {
    const collector = collectMessageLines();
    collector.add("one\\");
    expect(collector.isOpen).toBe(true);
    collector.reset();
    expect(collector.isOpen).toBe(false);
    expect(collector.add("two")).toBe("two");
  });
});
