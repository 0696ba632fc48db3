import type { Clock } from "../../internal/clock.ts";

/** A comment frame: keeps proxies from closing a connection while the model thinks. */
export const KEEP_ALIVE = ": keep-alive\n\n";

/** The same items, with {@link KEEP_ALIVE} in between whenever `intervalMs` passed without one. */
export async function* withKeepAlives<Item>(
  items: AsyncIterable<Item>,
  clock: Clock,
  intervalMs: number,
): AsyncGenerator<Item | typeof KEEP_ALIVE> {
  const iterator = items[Symbol.asyncIterator]();
  try {
    for (;;) {
      const pending = iterator.next();
      let step = await nextOrSilence(pending, clock, intervalMs);
      while (step === "silence") {
        yield KEEP_ALIVE;
        step = await nextOrSilence(pending, clock, intervalMs);
      }
      if (step.done === true) return;
      yield step.value;
    }
  } finally {
    await iterator.return?.();
  }
}

function nextOrSilence<Result>(pending: Promise<Result>, clock: Clock, intervalMs: number) {
  return new Promise<Result | "silence">((resolve, reject) => {
    const cancel = clock.schedule(intervalMs, () => resolve("silence"));
    pending.then(resolve, reject).finally(cancel);
  });
}
