import type { Clock } from "../internal/clock.ts";

/** The result of `work`, or `silence` when it took longer than `limitMs`. The work goes on; its failure is the caller's to see. */
export function firstOf<Result>(work: Promise<Result>, clock: Clock, limitMs: number): Promise<Result | "silence"> {
  return new Promise((resolve, reject) => {
    const cancel = clock.schedule(limitMs, () => resolve("silence"));
    work.then(resolve, reject).finally(cancel);
  });
}
