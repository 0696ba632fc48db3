import { ZephError } from "../errors.ts";

/** Time and waiting, injected everywhere so that no test sleeps. */
export interface Clock {
  /** Wall time, milliseconds since the Unix epoch. */
  nowMs(): number;
  /** Resolves after `delayMs`, or rejects at once with the signal's reason. The only sleep of the program. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
  /** Calls `callback` once after `delayMs`; the returned function cancels it. Never keeps the process alive. */
  schedule(delayMs: number, callback: () => void): () => void;
  /** Milliseconds since some moment, by a clock that nobody can set. Absent: `nowMs` has to do. */
  elapsedMs?(): number;
}

/** For measuring how long something takes. */
export function elapsedMs(clock: Pick<Clock, "nowMs" | "elapsedMs">): number {
  return clock.elapsedMs?.() ?? clock.nowMs();
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
  elapsedMs: () => performance.now(),
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

/** How long to wait, milliseconds. Each is separate: a long answer that keeps arriving is ended by `totalMs` only. */
export interface Deadlines {
  /** Connect, send and receive the response headers, per attempt. Default 120 000: first bytes above 100 s were reported. */
  readonly headersMs: number;
  /** Between two chunks of the body; the first one has `headersMs`. Default 60 000. */
  readonly idleMs: number;
  /** From the first attempt to the last byte, waits and retries included. Default 600 000. */
  readonly totalMs: number;
}

export const DEFAULT_DEADLINES: Deadlines = { headersMs: 120_000, idleMs: 60_000, totalMs: 600_000 };

/** A limit that can be set, moved and dropped for the price of a number. */
export interface Alarm {
  /** From now on counted anew. */
  arm(limitMs: number): void;
  disarm(): void;
}

/** A timer may come this much before its time. */
const EARLY_MS = 1;

/**
 * Alarms for very many things under way, kept by one timer: it waits for the earliest, and then looks at all. Requests
 * end long before their limits, so that as a rule it has nothing to do.
 */
export function alarmSweep(clock: Clock): (onDue: () => void) => Alarm {
  const armed = new Map<Alarm, { dueMs: number; readonly onDue: () => void }>();
  let wakesAtMs = Number.POSITIVE_INFINITY;
  let cancel = () => {};

  function wakeAt(dueMs: number, nowMs: number): void {
    if (dueMs >= wakesAtMs) return;
    cancel();
    wakesAtMs = dueMs;
    cancel = clock.schedule(dueMs - nowMs, sweep);
  }
  function sweep(): void {
    const nowMs = elapsedMs(clock);
    wakesAtMs = Number.POSITIVE_INFINITY;
    let next = wakesAtMs;
    const due: (() => void)[] = [];
    for (const [alarm, { dueMs, onDue }] of armed) {
      if (dueMs > nowMs + EARLY_MS) next = Math.min(next, dueMs);
      else {
        armed.delete(alarm);
        due.push(onDue);
      }
    }
    wakeAt(next, nowMs);
    for (const onDue of due) onDue();
  }
  return (onDue) => {
    const entry = { dueMs: 0, onDue };
    const alarm: Alarm = {
      arm(limitMs) {
        const nowMs = elapsedMs(clock);
        entry.dueMs = nowMs + limitMs;
        armed.set(alarm, entry);
        wakeAt(entry.dueMs, nowMs);
      },
      disarm() {
        if (!armed.delete(alarm) || armed.size > 0) return;
        cancel();
        wakesAtMs = Number.POSITIVE_INFINITY;
      },
    };
    return alarm;
  };
}

type TimeoutCode = "timeout_headers" | "timeout_idle" | "timeout_total";

/** A signal with a changeable alarm. The reason tells a timeout (may fail over) from the caller's abort (never). */
interface DeadlineSignal {
  readonly signal: AbortSignal;
  /**
   * Sets the one alarm of this signal anew; an earlier one is dropped. `postpone`, asked when it fires, may give
   * milliseconds to wait on.
   */
  arm(code: TimeoutCode, limitMs: number, postpone?: () => number | undefined): void;
  disarm(): void;
  /** Drops the alarm and lets go of the parent signal. */
  release(): void;
}

/** A signal that follows `parent` and can also time out. Both reasons arrive unchanged as `signal.reason`. */
export function deadlineSignal(clock: Clock, parent?: AbortSignal | null): DeadlineSignal {
  const controller = new AbortController();
  let cancelAlarm: (() => void) | undefined;
  const onParentAbort = () => {
    cancelAlarm?.();
    controller.abort(parent?.reason);
  };
  if (parent?.aborted === true) controller.abort(parent.reason);
  else parent?.addEventListener("abort", onParentAbort, { once: true });

  function disarm(): void {
    cancelAlarm?.();
    cancelAlarm = undefined;
  }
  return {
    signal: controller.signal,
    arm(code, limitMs, postpone) {
      const set = (delayMs: number) => {
        cancelAlarm = clock.schedule(delayMs, () => {
          const moreMs = postpone?.();
          if (moreMs === undefined) controller.abort(timeoutError(code, limitMs));
          else set(moreMs);
        });
      };
      disarm();
      set(limitMs);
    },
    disarm,
    release() {
      disarm();
      parent?.removeEventListener("abort", onParentAbort);
    },
  };
}

export function timeoutError(code: TimeoutCode, limitMs: number): ZephError {
  return new ZephError(code, { detail: `after ${limitMs / 1000} s` });
}

/** Waits for work that is shared with others, and so not ended by this caller's abort, but no longer than the caller does. */
export async function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  let leave = () => {};
  const aborted = new Promise<never>((_resolve, reject) => {
    leave = () => reject(signal.reason);
    signal.addEventListener("abort", leave, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener("abort", leave);
  }
}

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
    elapsedMs: () => elapsed,
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

/**
 * Makes something at most once, for all who ask. A failure is not remembered: what was missing or out of reach may be there
 * when the next one asks.
 */
export function once<Result>(make: () => Promise<Result>): () => Promise<Result> {
  let made: Promise<Result> | undefined;
  return () => {
    made ??= make().catch((thrown: unknown) => {
      made = undefined;
      throw thrown;
    });
    return made;
  };
}
