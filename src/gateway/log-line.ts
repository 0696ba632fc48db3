import type { ExchangeRecord } from "./exchange.ts";
import { joinNames } from "./shown-names.ts";

/** One request as a line of JSON: no body, no header, no key, no address of a caller. */
export function logLine(record: ExchangeRecord, nowMs: number): string {
  const { elapsedMs, firstByteMs, removed, changed, usage, ...rest } = record;
  return JSON.stringify({
    time: new Date(nowMs).toISOString(),
    event: "request",
    ...rest,
    elapsedMs: Math.round(elapsedMs),
    firstByteMs: firstByteMs === undefined ? undefined : Math.round(firstByteMs),
    removed: removed.length === 0 ? undefined : joinNames(removed),
    changed: changed.length === 0 ? undefined : joinNames(changed),
    ...usage,
  });
}
