import { ZephError } from "../errors/zeph-error.ts";
import type { DeadlineSignal } from "../internal/abort.ts";
import type { Clock } from "../internal/clock.ts";
import { type StreamWatch, watchStream } from "../protocol/sse.ts";
import { isDecodingFailure } from "./network-error.ts";

export interface GuardOptions {
  /** The attempt's signal, aborted when the upstream keeps us waiting for too long. */
  readonly deadline: DeadlineSignal;
  readonly idleMs: number;
  /** For the first chunk: some endpoints send headers at once and think before they speak. */
  readonly firstChunkMs: number;
  readonly clock: Pick<Clock, "nowMs">;
  /** Adds what only the loop knows to an error before the reader gets it. */
  readonly explain?: (error: ZephError) => ZephError;
  /** Called once, when the body has ended in whatever way; with the error when it did not end well. */
  readonly onEnd: (error: unknown) => void;
}

/** A JSON answer beyond this is refused while it arrives. */
const MAX_JSON_BYTES = 64 * 1024 * 1024;

/**
 * The upstream response with its bytes as they came, ended by an error when they stop coming (`timeout_idle`), break off
 * (`stream_cut`) or are too many (`response_too_large`).
 */
export function guardBody(
  response: Response,
  { deadline, idleMs, firstChunkMs, clock, explain, onEnd }: GuardOptions,
): Response {
  const headers = upstreamHeaders(response);
  // Fetch has decoded the body already, while the headers still announce the coded form.
  if (headers.has("content-encoding")) {
    headers.delete("content-encoding");
    headers.delete("content-length");
  }
  const shown = { status: response.status, statusText: response.statusText, headers };
  if (response.body === null) {
    onEnd(undefined);
    return new Response(null, shown);
  }
  const isStream = headers.get("content-type")?.includes("text/event-stream") === true;
  const watch = isStream ? watchStream() : undefined;
  const reader = response.body.getReader();
  let receivedBytes = 0;
  let ended = false;

  function finish(error: unknown): void {
    if (ended) return;
    ended = true;
    deadline.disarm();
    onEnd(error);
  }
  function fail(controller: ReadableStreamDefaultController<Uint8Array>, thrown: unknown): void {
    if (ended) return;
    if (watch?.done === true) {
      // Everything was said; how the connection ends after that matters to nobody.
      controller.close();
      finish(undefined);
    } else {
      const found = bodyError(thrown, deadline, watch);
      const error = ZephError.is(found) ? (explain?.(found) ?? found) : found;
      controller.error(error);
      finish(error);
    }
    reader.cancel().catch(() => {
      // The upstream is broken already; there is nothing left to cancel.
    });
  }
  const idle = idleAlarm(deadline, { idleMs, firstChunkMs, clock });
  const body = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        // Node 20's fetch (undici 6.24) never settles a read after an abort when the rest of the body came in one packet.
        deadline.signal.addEventListener("abort", () => fail(controller, deadline.signal.reason), { once: true });
      },
      async pull(controller) {
        try {
          idle.waiting();
          const { done, value } = await reader.read();
          if (ended) return;
          idle.served();
          if (done) {
            watch?.end();
            controller.close();
            return finish(undefined);
          }
          watch?.see(value);
          receivedBytes += value.byteLength;
          if (!isStream && receivedBytes > MAX_JSON_BYTES) throw new ZephError("response_too_large");
          controller.enqueue(value);
        } catch (thrown) {
          fail(controller, thrown);
        }
      },
      async cancel(reason) {
        finish(reason);
        await reader.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
  return new Response(body, shown);
}

/** What an upstream said of its answer. Headers that begin with zeph's own name are zeph's alone to set. */
export function upstreamHeaders(response: Response): Headers {
  const headers = new Headers(response.headers);
  for (const name of [...headers.keys()]) if (name.startsWith("x-zeph-")) headers.delete(name);
  return headers;
}

/**
 * Counts the time the upstream keeps us waiting, not the time a slow reader takes. One timer watches all chunks: when it
 * fires early it is set for the rest, which costs less than a timer for every chunk.
 */
function idleAlarm(
  deadline: DeadlineSignal,
  { idleMs, firstChunkMs, clock }: Pick<GuardOptions, "idleMs" | "firstChunkMs" | "clock">,
) {
  let limitMs = Math.max(idleMs, firstChunkMs);
  let waitingSinceMs: number | undefined;
  function postpone(): number | undefined {
    if (waitingSinceMs === undefined) return limitMs;
    const leftMs = waitingSinceMs + limitMs - clock.nowMs();
    return leftMs > 0 ? leftMs : undefined;
  }
  deadline.arm("timeout_idle", limitMs, postpone);
  return {
    waiting() {
      waitingSinceMs = clock.nowMs();
    },
    served() {
      waitingSinceMs = undefined;
      if (limitMs === idleMs) return;
      limitMs = idleMs;
      deadline.arm("timeout_idle", limitMs, postpone);
    },
  };
}

/** A timeout and the caller's abort arrive as the signal's reason; any other failure of the read is a broken stream. */
function bodyError(thrown: unknown, deadline: DeadlineSignal, watch: StreamWatch | undefined): unknown {
  if (deadline.signal.aborted) return deadline.signal.reason;
  if (ZephError.is(thrown)) return thrown;
  if (isDecodingFailure(thrown)) {
    return new ZephError("bad_response", { detail: "it is not coded as its content-encoding says", cause: thrown });
  }
  const detail =
    watch === undefined ? "the connection was closed in the middle of the answer" : "the connection was closed";
  return new ZephError("stream_cut", { detail, cause: thrown });
}
