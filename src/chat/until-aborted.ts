/**
 * Passes on what `source` yields until `signal` is aborted; then it ends, at once and without an error, even when the
 * source takes no notice of the signal. Ctrl-C must give the prompt back immediately.
 */
export async function* untilAborted<Item>(
  source: AsyncIterable<Item>,
  signal: AbortSignal,
): AsyncGenerator<Item, void> {
  const iterator = source[Symbol.asyncIterator]();
  let onAbort = () => {};
  const aborted = new Promise<"aborted">((resolve) => {
    onAbort = () => resolve("aborted");
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
  });
  let ended = false;
  try {
    for (;;) {
      const next = iterator.next();
      // After an abort nobody waits for this any more; its late failure is of no interest.
      next.catch(() => {});
      const result = await Promise.race([aborted, next]);
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
