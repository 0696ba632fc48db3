/**
 * Passes on what `source` yields until `signal` is aborted; then it ends, at once and without an error, even when the
 * source takes no notice of the signal. Ctrl-C must give the prompt back immediately.
 */
export async function* untilAborted<Item>(
  source: AsyncIterable<Item>,
  signal: AbortSignal,
): AsyncGenerator<Item, void> {
  const iterator = source[Symbol.asyncIterator]();
  // One promise for the whole stream would collect a reaction for each item.
  let wake = () => {};
  const onAbort = () => wake();
  signal.addEventListener("abort", onAbort, { once: true });
  let ended = false;
  try {
    for (;;) {
      const next = iterator.next();
      // After an abort nobody waits for this any more; its late failure is of no interest.
      next.catch(() => {});
      const result = await new Promise<IteratorResult<Item> | "aborted">((resolve, reject) => {
        wake = () => resolve("aborted");
        if (signal.aborted) wake();
        next.then(resolve, reject);
      });
      if (result === "aborted") return;
      if (result.done === true) {
        ended = true;
        return;
      }
      yield result.value;
    }
  } finally {
    signal.removeEventListener("abort", onAbort);
    if (!ended) iterator.return?.().catch(() => {});
  }
}
