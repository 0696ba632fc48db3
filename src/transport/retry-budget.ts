import type { Clock } from "../internal/clock.ts";

/** Bounds retries over all requests of a connection, so that a failing service is not buried under repetitions. */
export interface RetryBudget {
  /** A request begins: every one pays a little in. */
  deposit(): void;
  /** May one more retry be made? Takes it out when yes. */
  withdraw(): boolean;
}

const PER_REQUEST = 0.2;
const PER_SECOND = 10;
const CAPACITY = 100;

/** One retry for every five requests, plus ten each second for those who send few. */
export function retryBudget(clock: Pick<Clock, "nowMs">): RetryBudget {
  let tokens = CAPACITY;
  let refilledAtMs = clock.nowMs();
  function refill(): void {
    const now = clock.nowMs();
    tokens = Math.min(CAPACITY, tokens + (Math.max(0, now - refilledAtMs) / 1000) * PER_SECOND);
    refilledAtMs = now;
  }
  return {
    deposit() {
      tokens = Math.min(CAPACITY, tokens + PER_REQUEST);
    },
    withdraw() {
      refill();
      if (tokens < 1) return false;
      tokens -= 1;
      return true;
    },
  };
}
