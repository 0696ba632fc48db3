import type { Clock } from "../internal/clock.ts";
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

/** Lines are kept together for this long before they are written. */
const GATHER_MS = 25;
const MAX_GATHERED_CHARS = 64 * 1024;

/** A place for lines that come by the thousand: one write for many, because each write waits for whoever reads it. */
export interface GatheredLines {
  /** The first line after a silence is written at once. */
  add(line: string): void;
  /** Writes what is still held. */
  flush(): void;
}

export function gatheredLines(write: (text: string) => void, clock: Pick<Clock, "schedule">): GatheredLines {
  let held = "";
  let isGathering = false;
  function flush(): void {
    if (held === "") return;
    const text = held;
    held = "";
    write(text);
  }
  function gather(): void {
    isGathering = true;
    clock.schedule(GATHER_MS, () => {
      isGathering = held !== "";
      flush();
      if (isGathering) gather();
    });
  }
  return {
    add(line) {
      held += `${line}\n`;
      if (!isGathering) {
        flush();
        gather();
      } else if (held.length > MAX_GATHERED_CHARS) flush();
    },
    flush,
  };
}
