import { DEFAULT_DEADLINES } from "../internal/abort.ts";
import { systemClock } from "../internal/clock.ts";
import type { FailoverOptions } from "../transport/failover.ts";
import type { FetchFunction } from "../transport/fetch-function.ts";
import { retryBudget } from "../transport/retry-budget.ts";
import { slots } from "../transport/slots.ts";
import type { ConnectionOptions } from "./connection.ts";

/** Attempts in all, the first included. */
export const DEFAULT_MAX_ATTEMPTS = 3;

/** What both kinds of connection share. The only place where the global `fetch` is the default. */
export function connectionDefaults(connection: ConnectionOptions) {
  const clock = connection.clock ?? systemClock;
  return {
    fetch: connection.fetch ?? ((input, init) => globalThis.fetch(input, init)),
    maxAttempts: connection.maxAttempts ?? DEFAULT_MAX_ATTEMPTS,
    deadlines: { ...DEFAULT_DEADLINES, ...connection.deadlines },
    budget: retryBudget(clock),
    slots: slots(connection.maxConcurrent),
    clock,
    random: connection.random ?? Math.random,
    retryCharged: connection.retryCharged ?? false,
    hints: connection.hints ?? {},
    onEvent: connection.onEvent ?? (() => {}),
  } satisfies Partial<FailoverOptions> & { fetch: FetchFunction };
}
