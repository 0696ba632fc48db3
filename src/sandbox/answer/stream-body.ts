const encoder = new TextEncoder();

/** A response body of `pieces`. One is made only when the client reads; a client that leaves ends the generator. */
export function streamBody(
  pieces: AsyncIterator<string | Uint8Array<ArrayBuffer>>,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  return new ReadableStream(
    {
      async pull(controller) {
        const step = await pieces.next();
        if (step.done === true) controller.close();
        else controller.enqueue(typeof step.value === "string" ? encoder.encode(step.value) : step.value);
      },
      async cancel() {
        await pieces.return?.();
      },
    },
    // Nothing ahead of the reader: what was given out has been written when the next piece is asked for.
    { highWaterMark: 0 },
  );
}
