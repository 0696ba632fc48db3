import type { OnTransportEvent } from "../transport/events.ts";
import type { FailureContext } from "./failure-entry.ts";
import type { FailureJournal } from "./failure-journal.ts";

/**
 * A listener for a connection's events that notes every request it gave up on. Give it to `openProvider` as `onEvent`,
 * beside others.
 *
 * @example
 * ```ts
 * const opened = await openProvider(setup, { onEvent: recordFailures(journal, { provider: "gonkagate", model }) });
 * ```
 */
export function recordFailures(journal: FailureJournal, context: FailureContext): OnTransportEvent {
  return (event) => {
    if (event.type === "gave-up") journal.record(event.error, context);
  };
}
