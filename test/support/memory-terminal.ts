import { PassThrough, Writable } from "node:stream";

/** An output that keeps what is written to it; a terminal when `columns` is given. */
export interface MemoryOutput extends Writable {
  readonly text: string;
  readonly isTTY?: boolean;
  readonly columns?: number;
  /** Resolves as soon as what was written since the last call contains `words`. */
  waitFor(words: string): Promise<string>;
}

export function memoryOutput({ columns }: { readonly columns?: number } = {}): MemoryOutput {
  let text = "";
  let seen = 0;
  const checks = new Set<() => void>();
  const stream = new Writable({
    decodeStrings: false,
    write(chunk: string | Buffer, _encoding, done) {
      text += chunk.toString();
      done();
      for (const check of checks) check();
    },
  });
  return Object.defineProperties(
    Object.assign(stream, {
      ...(columns === undefined ? {} : { isTTY: true, columns }),
      waitFor: (words: string) =>
        new Promise<string>((resolve) => {
          const check = () => {
            const at = text.indexOf(words, seen);
            if (at === -1) return;
            checks.delete(check);
            const part = text.slice(seen, at + words.length);
            seen = at + words.length;
            resolve(part);
          };
          checks.add(check);
          check();
        }),
    }),
    { text: { get: () => text } },
  ) as MemoryOutput;
}

/** A keyboard: a terminal input to write to. */
export function memoryKeyboard(): PassThrough & { readonly isTTY: true } {
  return Object.assign(new PassThrough(), { isTTY: true as const });
}
