import type { Clock } from "../internal/clock.ts";
import type { OnTransportEvent } from "./events.ts";
import { SANE_SKEW_MS } from "./retry-policy.ts";

export interface SkewWatchOptions {
  /** A broker does not care what time it is here. */
  readonly path: "broker" | "native";
  readonly clock: Clock;
  /** What earlier corrections add to our clock when a request is signed, milliseconds. */
  readonly signingOffsetMs?: () => number;
  readonly onEvent: OnTransportEvent;
}

/**
 * Compares clocks on every accepted answer of a node, and tells once per connection of a clock that is wrong while
 * signatures still pass: another program, or a little more of it, would be refused.
 */
export function skewWatch({ path, clock, signingOffsetMs, onEvent }: SkewWatchOptions): (response: Response) => void {
  let isTold = path !== "native";
  return ({ ok, headers }) => {
    if (isTold || !ok) return;
    const serverMs = Date.parse(headers.get("date") ?? "");
    const offsetMs = serverMs - (clock.nowMs() + (signingOffsetMs?.() ?? 0));
    // `Date` has whole seconds; without one this is not a number, and says nothing.
    if (!(Math.abs(offsetMs) > SANE_SKEW_MS)) return;
    isTold = true;
    onEvent({ type: "clock-off", offsetMs });
  };
}
