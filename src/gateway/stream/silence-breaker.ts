import type { Clock } from "../../internal/clock.ts";
import type { ByteSource } from "../answer.ts";

/** A comment: every SSE parser skips it, and every proxy on the way sees that the connection lives. */
export const HEARTBEAT = ": waiting\n\n";

type Piece = Uint8Array | string | undefined;

/**
 * The same pieces, with {@link HEARTBEAT} in between whenever a reader waited for `heartbeatMs`. One timer serves a whole
 * stream: when it fires early it is set for the rest, which costs less than a timer for every piece.
 */
export function silenceBreaker(
  source: ByteSource,
  { clock, heartbeatMs }: { readonly clock: Clock; readonly heartbeatMs: number },
): ByteSource {
  let reading: Promise<Piece> | undefined;
  let breakSilence: (() => void) | undefined;
  let waitingSinceMs = 0;
  let cancelTimer: (() => void) | undefined;

  function onTimer(): void {
    // While nobody waits there is no silence to break: a slow reader is not kept company.
    const leftMs = breakSilence === undefined ? heartbeatMs : waitingSinceMs + heartbeatMs - clock.nowMs();
    if (leftMs <= 0) breakSilence?.();
    cancelTimer = clock.schedule(leftMs > 0 ? leftMs : heartbeatMs, onTimer);
  }
  function stopTimer(): void {
    cancelTimer?.();
    cancelTimer = () => {};
  }
  return {
    next() {
      waitingSinceMs = clock.nowMs();
      cancelTimer ??= clock.schedule(heartbeatMs, onTimer);
      reading ??= source.next();
      const current = reading;
      return new Promise<Piece>((resolve, reject) => {
        breakSilence = () => {
          breakSilence = undefined;
          resolve(HEARTBEAT);
        };
        current.then(
          (piece) => {
            reading = undefined;
            breakSilence = undefined;
            if (piece === undefined) stopTimer();
            resolve(piece);
          },
          (reason: unknown) => {
            stopTimer();
            reject(reason);
          },
        );
      });
    },
    cancel(reason) {
      stopTimer();
      source.cancel(reason);
    },
  };
}
