import type { Clock } from "./clock.ts";

/** A clock that moves only when told: for tests of ours and of our users. Waits are recorded in `sleepsMs`. */
export interface ManualClock extends Clock {
  /** Moves time forward and fires what is due, in order. */
  advance(byMs: number): Promise<void>;
  /** Sets wall time without firing timers, as an operator changing the clock does. */
  set(nowMs: number): void;
  readonly sleepsMs: readonly number[];
  readonly pendingTimers: number;
}

/**
 * @param startMs wall time at the start
 * @param mode `auto`: a sleep returns at once and moves time by its length; `manual`: only `advance` moves time.
 */
export function manualClock(startMs = 1_700_000_000_000, mode: "auto" | "manual" = "auto"): ManualClock {
  let now = startMs;
  let elapsed = 0;
  const sleepsMs: number[] = [];
  const timers = new Set<{ dueMs: number; fire: () => void }>();

  function schedule(delayMs: number, callback: () => void): () => void {
    const timer = { dueMs: elapsed + delayMs, fire: callback };
    timers.add(timer);
    return () => timers.delete(timer);
  }

  async function advance(byMs: number): Promise<void> {
    const target = elapsed + byMs;
    for (;;) {
      const due = [...timers].filter((timer) => timer.dueMs <= target).sort((a, b) => a.dueMs - b.dueMs)[0];
      if (due === undefined) break;
      timers.delete(due);
      now += due.dueMs - elapsed;
      elapsed = due.dueMs;
      due.fire();
      await Promise.resolve();
    }
    now += target - elapsed;
    elapsed = target;
    await Promise.resolve();
  }

  return {
    nowMs: () => now,
    schedule,
    sleep(delayMs, signal) {
      sleepsMs.push(delayMs);
      if (signal?.aborted === true) return Promise.reject(signal.reason);
      if (mode === "auto") return advance(delayMs).then(() => signal?.throwIfAborted());
      return new Promise((resolve, reject) => {
        const cancel = schedule(delayMs, resolve);
        signal?.addEventListener(
          "abort",
          () => {
            cancel();
            reject(signal.reason);
          },
          { once: true },
        );
      });
    },
    advance,
    set: (nowMs) => {
      now = nowMs;
    },
    sleepsMs,
    get pendingTimers() {
      return timers.size;
    },
  };
}
