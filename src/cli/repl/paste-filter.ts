import { Transform } from "node:stream";
import type { CliContext } from "../context.ts";

const START = Buffer.from("\u001b[200~");
const END = Buffer.from("\u001b[201~");

/** Written to a terminal, these switch bracketed paste on and off: pasted text then comes between two marks. */
export const BRACKETED_PASTE = { on: "\u001b[?2004h", off: "\u001b[?2004l" } as const;

/**
 * Keys pass through; text that is pasted does not, it goes to `onPaste` in one piece. Without this every line break in
 * it would send a message, and every tab would ask for a completion.
 */
export function pasteFilter(
  keyboard: CliContext["stdin"],
  onPaste: (text: string) => void,
): Transform & { setRawMode(isRaw: boolean): void } {
  let held = Buffer.alloc(0);
  let pasted: Buffer[] | undefined;

  function endPaste(): void {
    const text = Buffer.concat(pasted ?? []).toString("utf8");
    pasted = undefined;
    onPaste(text.replace(/\r\n?/g, "\n"));
  }

  const filter = new Transform({
    transform(chunk: Buffer | string, _encoding, done) {
      held = Buffer.concat([held, Buffer.from(chunk)]);
      for (;;) {
        const mark: Buffer = pasted === undefined ? START : END;
        const at = held.indexOf(mark);
        const length = at === -1 ? held.length - possibleMarkLength(held, mark, pasted !== undefined) : at;
        const before = held.subarray(0, length);
        if (pasted !== undefined) pasted.push(before);
        else if (before.length > 0) this.push(before);
        held = held.subarray(at === -1 ? length : at + mark.length);
        if (at === -1) break;
        if (pasted === undefined) pasted = [];
        else endPaste();
      }
      done();
    },
    flush(done) {
      if (pasted !== undefined) endPaste();
      if (held.length > 0) this.push(held);
      done();
    },
  });
  return Object.assign(filter, {
    setRawMode(isRaw: boolean) {
      if ("setRawMode" in keyboard && typeof keyboard.setRawMode === "function") keyboard.setRawMode(isRaw);
    },
  });
}

/**
 * How many bytes at the end could be the beginning of `mark`. A lone Escape, or Escape and `[`, must not wait for more:
 * they are keys. Inside a paste there are no keys.
 */
function possibleMarkLength(bytes: Buffer, mark: Buffer, insidePaste: boolean): number {
  for (let length = Math.min(mark.length - 1, bytes.length); length >= (insidePaste ? 1 : 3); length--) {
    if (bytes.subarray(-length).equals(mark.subarray(0, length))) return length;
  }
  return 0;
}
