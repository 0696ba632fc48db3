import type { TerminalStream, World } from "./context.ts";
import { foldFor } from "./render/fold-text.ts";

/** What a run has told so far. Kept by the stream it was told on: a command loads its set-up more than once. */
const told = new WeakMap<TerminalStream, Set<string>>();

/** One line on standard error, once in a run, with `--json` too: there it also stands in the object (`notices`). */
export function tellOnce({ stderr }: Pick<World, "stderr">, text: string): void {
  const before = told.get(stderr) ?? new Set();
  if (before.has(text)) return;
  told.set(stderr, before.add(text));
  stderr.write(`${foldFor(stderr, `! ${text}`)}\n`);
}

export function noticesTold({ stderr }: Pick<World, "stderr">): readonly string[] {
  return [...(told.get(stderr) ?? [])];
}
