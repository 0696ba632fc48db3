/** Bytes that arrive over time, pulled by whoever sends them on. Nothing is read ahead. */
export interface ByteSource {
  /** The next piece, or `undefined` at the end. Rejects when the bytes broke off and nothing better could be said. */
  next(): Promise<Uint8Array | string | undefined>;
  /** The reader has left: stops the work behind it. */
  cancel(reason?: unknown): void;
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
export function toResponse({ status, headers, body }: Answer): Response {
  return new Response(isByteSource(body) ? toStream(body) : body, { status, headers });
}

const encoder = new TextEncoder();

function toStream(source: ByteSource): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const piece = await source.next();
        if (piece === undefined) controller.close();
        else controller.enqueue(typeof piece === "string" ? encoder.encode(piece) : piece);
      },
      cancel: (reason) => source.cancel(reason),
    },
    // Nothing ahead of the reader, so that a slow one slows the upstream too.
    { highWaterMark: 0 },
  );
}
