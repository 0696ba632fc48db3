import { ZephError } from "../errors/zeph-error.ts";
import type { Clock } from "./clock.ts";

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

type TimeoutCode = "timeout_headers" | "timeout_idle" | "timeout_total";

/** A signal with a changeable alarm. The reason tells a timeout (may fail over) from the caller's abort (never). */
export interface DeadlineSignal {
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

function timeoutError(code: TimeoutCode, limitMs: number): ZephError {
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
