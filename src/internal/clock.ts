/** Time and waiting, injected everywhere so that no test sleeps. */
export interface Clock {
  /** Wall time, milliseconds since the Unix epoch. */
  nowMs(): number;
  /** Resolves after `delayMs`, or rejects at once with the signal's reason. The only sleep of the program. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
  /** Calls `callback` once after `delayMs`; the returned function cancels it. Never keeps the process alive. */
  schedule(delayMs: number, callback: () => void): () => void;
}

/** Longest delay a timer can hold; longer ones would fire at once. */
const MAX_TIMER_MS = 2_147_483_647;

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  sleep: (delayMs, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted === true) return reject(signal.reason);
      const onAbort = () => {
        clearTimeout(timer);
        reject(signal?.reason);
      };
      const timer = setTimeout(
        () => {
          signal?.removeEventListener("abort", onAbort);
          resolve();
        },
        Math.min(Math.max(delayMs, 0), MAX_TIMER_MS),
      );
      signal?.addEventListener("abort", onAbort, { once: true });
    }),
  schedule: (delayMs, callback) => {
    const timer = setTimeout(callback, Math.min(Math.max(delayMs, 0), MAX_TIMER_MS));
    // Browsers and edge runtimes return a number, which has no unref.
    if (typeof timer === "object") timer.unref();
    return () => clearTimeout(timer);
  },
};

/** A source of unique nanosecond timestamps. */
export interface NanosClock {
  /** Nanoseconds since the Unix epoch: never a value given before, and greater than every value since the last correction. */
  next(): bigint;
  /** Shifts later values by the difference between a server's clock and ours. They may step back, once. */
  correct(serverNowMs: number): void;
  /** How far the server was ahead of this computer when last corrected, milliseconds. */
  readonly offsetMs: number;
}

/** Values of one clock between two corrections are equal modulo this, so that corrections cannot make two alike. */
const STEP_NANOS = 10_000n;
const NANOS_PER_MS = 1_000_000n;

/**
 * Timestamps for signing: wall clock in milliseconds, plus a random part below one millisecond that is drawn once and
 * keeps two processes apart. While the wall clock stands still or is set back, the value goes on upwards in steps.
 */
export function nanosClock(clock: Pick<Clock, "nowMs"> = systemClock, random: () => number = Math.random): NanosClock {
  let subMillisecondNanos = BigInt(Math.floor(random() * Number(NANOS_PER_MS)));
  let previous = 0n;
  let offsetMs = 0;
  const wallNanos = () => BigInt(Math.floor(clock.nowMs() + offsetMs)) * NANOS_PER_MS + subMillisecondNanos;
  return {
    next() {
      const wall = wallNanos();
      const steps = wall > previous ? 0n : (previous - wall) / STEP_NANOS + 1n;
      previous = wall + steps * STEP_NANOS;
      return previous;
    },
    correct(serverNowMs) {
      offsetMs = serverNowMs - clock.nowMs();
      subMillisecondNanos = (subMillisecondNanos + 1n) % NANOS_PER_MS;
      // A clock that ran ahead must be able to go back; the new residue keeps the old values from coming again.
      if (wallNanos() < previous) previous = 0n;
    },
    get offsetMs() {
      return offsetMs;
    },
  };
}
