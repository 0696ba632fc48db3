import type { Clock } from "../internal/clock.ts";
import type { InitWorld } from "./init-world.ts";
import { printableLine } from "./printable.ts";

/** Shorter waits are not worth a line. */
const SHOW_AFTER_MS = 200;
const REDRAW_MS = 100;
const FRAMES = ["◒", "◐", "◓", "◑"];
const ERASE_LINE = "\r\u001b[2K";

/**
 * Shows a line with what is waited for and the seconds so far while a task runs, and removes it at the end. The terminal
 * stays as it is, so that Ctrl-C reaches the program as a signal and ends the request.
 */
export async function withStatusLine<T>(
  { stderr, clock }: { readonly stderr: InitWorld["stderr"]; readonly clock: Clock },
  label: string,
  task: () => Promise<T>,
): Promise<T> {
  if (stderr.isTTY !== true) return task();
  const startedAtMs = clock.nowMs();
  let frame = 0;
  let isShown = false;
  const draw = () => {
    isShown = true;
    const seconds = ((clock.nowMs() - startedAtMs) / 1000).toFixed(1);
    const line = `${FRAMES[frame++ % FRAMES.length]}  ${printableLine(label)} … ${seconds} s`;
    stderr.write(`${ERASE_LINE}${line.slice(0, Math.max(20, (stderr.columns ?? 80) - 1))}`);
    cancel = clock.schedule(REDRAW_MS, draw);
  };
  let cancel = clock.schedule(SHOW_AFTER_MS, draw);
  try {
    return await task();
  } finally {
    cancel();
    if (isShown) stderr.write(ERASE_LINE);
  }
}
