// One clock for both processes of the soak: ten times as fast as the wall's, so that pauses of half a minute
// and deadlines of an hour are part of a run of minutes.
import { systemClock } from "../dist/base/time.js";

const SPEED = 10;

/** @param startMs wall time at which it shows the wall's own time */
export function fastClock(startMs) {
  let aheadMs = 0;
  return {
    ...systemClock,
    nowMs: () => startMs + (Date.now() - startMs) * SPEED + aheadMs,
    sleep: (delayMs, signal) => systemClock.sleep(delayMs / SPEED, signal),
    schedule: (delayMs, run) => systemClock.schedule(delayMs / SPEED, run),
    advance: (byMs) => {
      aheadMs += byMs;
    },
  };
}
