import { type Clock, systemClock } from "../../src/base/time.ts";

/** Real time, sped up: cooldowns and deadlines of minutes pass in seconds, and everything that shares it agrees. */
export function fastClock(speed: number): Clock {
  const startMs = systemClock.nowMs();
  return {
    nowMs: () => startMs + (systemClock.nowMs() - startMs) * speed,
    sleep: (delayMs, signal) => systemClock.sleep(delayMs / speed, signal),
    schedule: (delayMs, callback) => systemClock.schedule(delayMs / speed, callback),
  };
}
