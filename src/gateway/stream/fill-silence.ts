import type { Clock } from "../../internal/clock.ts";

/** A comment: every SSE parser skips it, and every proxy on the way sees that the connection lives. */
export const HEARTBEAT = ": waiting\n\n";

/** What to say, and after how much silence. */
export interface Filler {
  readonly piece: string;
  readonly afterMs: number;
}

export interface SilenceFiller {
  /** From now on somebody waits for the next piece. */
  waiting(): void;
  /** A piece has come; nobody waits. */
  served(): void;
  /** Ends it; no timer stays. */
  stop(): void;
}

const NO_FILLER: SilenceFiller = { waiting: () => {}, served: () => {}, stop: () => {} };

/**
 * Calls `say` whenever somebody has waited for as long as the filler tells. One timer serves a whole stream: when it
 * fires early it is set for the rest, which costs less than a timer for every piece.
 */
export function fillSilence(clock: Clock, filler: Filler | undefined, say: (piece: string) => void): SilenceFiller {
  if (filler === undefined) return NO_FILLER;
  const { piece, afterMs } = filler;
  let silentSinceMs: number | undefined;
  let cancel = clock.schedule(afterMs, onTimer);

  function onTimer(): void {
    // While nobody waits there is no silence to fill: a slow reader is not kept company.
    const leftMs = silentSinceMs === undefined ? afterMs : silentSinceMs + afterMs - clock.nowMs();
    if (leftMs <= 0) {
      silentSinceMs = clock.nowMs();
      say(piece);
    }
    cancel = clock.schedule(leftMs > 0 ? leftMs : afterMs, onTimer);
  }
  return {
    waiting() {
      silentSinceMs = clock.nowMs();
    },
    served() {
      silentSinceMs = undefined;
    },
    stop: () => cancel(),
  };
}
