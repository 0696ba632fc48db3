import type { InitWorld } from "./init-world.ts";
import { printable } from "./printable.ts";

/** Progress and findings, for whoever watches. */
export interface Tell {
  info(text: string): void;
  done(text: string): void;
  warn(text: string): void;
  fail(text: string): void;
  /** Does the work, and shows what is waited for and how long once it takes a moment. */
  work<T>(label: string, task: () => Promise<T>): Promise<T>;
}

/** More than the longest report of a doctor. */
const MAX_CHARS = 20_000;

/** Plain lines on standard error, for runs without questions. */
export function plainTell({ stderr }: Pick<InitWorld, "stderr">): Tell {
  const line = (sign: string) => (text: string) => {
    stderr.write(`${sign} ${printable(text, MAX_CHARS).replaceAll("\n", "\n  ")}\n`);
  };
  return { info: line("·"), done: line("✓"), warn: line("!"), fail: line("✗"), work: (_label, task) => task() };
}

/** Says nothing: for `--json`, where the result has it all. Warnings still matter to people who read logs. */
export function quietTell(world: Pick<InitWorld, "stderr">): Tell {
  const { warn, fail, work } = plainTell(world);
  return { info: () => {}, done: () => {}, warn, fail, work };
}
