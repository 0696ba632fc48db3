import { PassThrough } from "node:stream";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { collectMessageLines, keepPastedText, pasteFilter } from "./line-editor.ts";

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

const ESC = "\u001b";

async function filter(chunks: readonly (string | Buffer)[]): Promise<{ keys: string; pastes: string[] }> {
  const pastes: string[] = [];
  const keyboard = new PassThrough();
  const output = keyboard.pipe(pasteFilter(keyboard, (text) => pastes.push(text)));
  for (const chunk of chunks) keyboard.write(chunk);
  keyboard.end();
  const keys = await output.toArray();
  return { keys: Buffer.concat(keys).toString(), pastes };
}

describe("pasteFilter", () => {
  it("takes what is pasted out of the keys, in one piece", async () => {
    expect(await filter([`a${ESC}[200~one\r\ntwo\rthree\t${ESC}[201~b\r`])).toEqual({
      keys: "ab\r",
      pastes: ["one\ntwo\nthree\t"],
    });
  });

  it("lets other keys through, Escape at once", async () => {
    const keyboard = new PassThrough();
    const output = keyboard.pipe(pasteFilter(keyboard, () => {}));
    keyboard.write(`${ESC}[A${ESC}[3~${ESC}`);
    await new Promise((resolve) => output.once("readable", resolve));
    expect(output.read()?.toString()).toBe(`${ESC}[A${ESC}[3~${ESC}`);
  });

  it("gives a paste that never ended when the keyboard is gone", async () => {
    expect((await filter([`${ESC}[200~half`])).pastes).toEqual(["half"]);
  });

  it("does not depend on how the bytes arrive", async () => {
    const bytes = Buffer.from(`x${ESC}[200~päste ${ESC}[20 1\r${ESC}[201~y${ESC}[B`);
    const whole = await filter([bytes]);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: bytes.length }), { maxLength: 6 }), async (cuts) => {
        // Not between the first signs of a mark: a lone Escape is a key and may not wait.
        const at = cuts.filter((cut) => ![2, 3].includes(cut)).sort((a, b) => a - b);
        const chunks = [0, ...at].map((start, index) => bytes.subarray(start, at[index] ?? bytes.length));
        expect(await filter(chunks)).toEqual(whole);
      }),
      { numRuns: 60 },
    );
  });
});

describe("keepPastedText", () => {
  it("shows a short paste in the line and sends it with its line breaks", () => {
    const pasted = keepPastedText();
    expect(pasted.insert("a\nb\n")).toBe("a⏎b");
    expect(pasted.expand("look: a⏎b")).toBe("look: a\nb");
  });

  it("shows a sign for a long one and sends all of it", () => {
    const pasted = keepPastedText();
    const code = Array.from({ length: 20 }, (_, index) => `\tline ${index} $& $1`).join("\n");
    const sign = pasted.insert(code);
    expect(sign).toBe("[paste 1: 20 lines]");
    expect(pasted.insert("x".repeat(500))).toBe("[paste 2: 500 characters]");
    expect(pasted.expand(`Explain ${sign}!`)).toBe(`Explain ${code}!`);
  });

  it("makes escape sequences harmless in the line", () => {
    expect(keepPastedText().insert("a\u001b[2Jb")).toBe("a␛[2Jb");
  });
});
