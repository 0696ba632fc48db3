import type { Clock } from "../internal/clock.ts";
import { type Filler, fillSilence, type SilenceFiller } from "./stream/fill-silence.ts";

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
  readonly body: string | Uint8Array<ArrayBuffer> | ByteSource | null;
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
  return new Response(isByteSource(body) ? toStream(body, clock) : body, { status, headers });
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
