import type { Clock } from "../base/time.ts";
import { ZephError } from "../errors.ts";

/** Bytes that arrive over time, pulled by whoever sends them on. Nothing is read ahead. */
export interface ByteSource {
  /** The next piece, or `undefined` at the end. Rejects when the bytes broke off and nothing better could be said. */
  next(): Promise<Uint8Array | string | undefined>;
  /** The reader has left: stops the work behind it. */
  cancel(reason?: unknown): void;
  /** What may be sent in between while the reader waits. Pieces end where it may stand. */
  readonly filler?: Filler;
}

/** What the gateway answers, before it takes the form of a `Response` or of bytes on a socket. */
export interface Answer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array | ByteSource | null;
}

export function isByteSource(body: Answer["body"]): body is ByteSource {
  return typeof body === "object" && body !== null && "next" in body;
}

export function jsonAnswer(
  value: unknown,
  status = 200,
  headers: Readonly<Record<string, string>> = {},
): Answer & { readonly body: string } {
  return { status, headers: { "content-type": "application/json", ...headers }, body: JSON.stringify(value) };
}

/** The answer as fetch knows it. */
export function toResponse({ status, headers, body }: Answer, clock: Clock): Response {
  return new Response(isByteSource(body) ? toStream(body, clock) : (body as string | Uint8Array<ArrayBuffer> | null), {
    status,
    headers,
  });
}

const encoder = new TextEncoder();

function toStream(source: ByteSource, clock: Clock): ReadableStream<Uint8Array> {
  let silence: SilenceFiller | undefined;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        silence ??= fillSilence(clock, source.filler, (piece) => controller.enqueue(encoder.encode(piece)));
        silence.waiting();
        const piece = await source.next().catch((error: unknown) => {
          silence?.stop();
          throw error;
        });
        silence.served();
        if (piece === undefined) {
          silence.stop();
          controller.close();
        } else controller.enqueue(typeof piece === "string" ? encoder.encode(piece) : piece);
      },
      cancel(reason) {
        silence?.stop();
        source.cancel(reason);
      },
    },
    // Nothing ahead of the reader, so that a slow one slows the upstream too.
    { highWaterMark: 0 },
  );
}

/** `error.type` by status, as OpenAI's own API names them. */
const TYPES: Readonly<Record<number, string>> = {
  401: "authentication_error",
  402: "insufficient_quota",
  403: "permission_error",
  429: "rate_limit_error",
};

interface ErrorObject {
  readonly message: string;
  readonly type: string;
  readonly code: string;
  readonly param: string | null;
}

/** A `ZephError` as the object OpenAI clients look for, in an answer or inside a stream. */
export function errorObject(error: ZephError, param: string | null = null): { readonly error: ErrorObject } {
  const { code, httpStatus, message, hint } = error;
  const type = TYPES[httpStatus] ?? (httpStatus >= 500 ? "server_error" : "invalid_request_error");
  return { error: { message: `${message}. ${hint}`, type, code, param } };
}

/** A refusal of the gateway's own. SDKs on top are told not to try again what zeph has given up on. */
export function errorAnswer(
  error: ZephError,
  given: { readonly param?: string | undefined; readonly headers?: Readonly<Record<string, string>> } = {},
): Answer {
  return jsonAnswer(errorObject(error, given.param), error.httpStatus, {
    "x-should-retry": "false",
    "x-zeph-error-code": error.code,
    ...(error.retryAfterMs === undefined ? {} : { "retry-after": String(Math.ceil(error.retryAfterMs / 1000)) }),
    ...given.headers,
  });
}

/** Anything thrown, as the error to answer with. What zeph did not expect is not described to the caller. */
export function toZephError(thrown: unknown): ZephError {
  return ZephError.is(thrown) ? thrown : new ZephError("internal", { cause: thrown });
}

/** A comment: every SSE parser skips it, and every proxy on the way sees that the connection lives. */
export const HEARTBEAT = ": waiting\n\n";

/** What to say, and after how much silence. */
interface Filler {
  readonly piece: string;
  readonly afterMs: number;
}

interface SilenceFiller {
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

/** The result of `work`, or `silence` when it took longer than `limitMs`. The work goes on; its failure is the caller's to see. */
export function firstOf<Result>(work: Promise<Result>, clock: Clock, limitMs: number): Promise<Result | "silence"> {
  return new Promise((resolve, reject) => {
    const cancel = clock.schedule(limitMs, () => resolve("silence"));
    work.then(resolve, reject).finally(cancel);
  });
}
