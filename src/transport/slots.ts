/** Bounds how many requests of one connection are under way at once; the rest wait in line. */
export interface Slots {
  /** Resolves with the function that gives the slot back; rejects with the signal's reason. */
  acquire(signal?: AbortSignal): Promise<() => void>;
}

/** @param maxConcurrent undefined or infinite: no limit */
export function slots(maxConcurrent = Number.POSITIVE_INFINITY): Slots {
  let used = 0;
  const waiting = new Set<() => void>();

  function release(): void {
    used -= 1;
    const [next] = waiting;
    if (next !== undefined) {
      waiting.delete(next);
      next();
    }
  }
  function take(): () => void {
    used += 1;
    let given = false;
    return () => {
      if (given) return;
      given = true;
      release();
    };
  }
  return {
    async acquire(signal) {
      signal?.throwIfAborted();
      if (used < maxConcurrent) return take();
      return new Promise((resolve, reject) => {
        const proceed = () => {
          signal?.removeEventListener("abort", leave);
          resolve(take());
        };
        const leave = () => {
          waiting.delete(proceed);
          reject(signal?.reason);
        };
        waiting.add(proceed);
        signal?.addEventListener("abort", leave, { once: true });
      });
    },
  };
}
