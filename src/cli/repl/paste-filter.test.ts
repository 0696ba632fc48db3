import { PassThrough } from "node:stream";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { pasteFilter } from "./paste-filter.ts";

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
