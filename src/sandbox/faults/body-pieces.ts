export type Pieces = AsyncGenerator<string | Uint8Array<ArrayBuffer>>;

export function isEventStream(response: Response): boolean {
  return response.headers.get("content-type")?.startsWith("text/event-stream") === true;
}

/** A body cut where a fault may strike: a stream at the end of each frame, any other body once, in its middle. */
export function bodyPieces(response: Response): AsyncGenerator<string> {
  return isEventStream(response) ? frames(response) : halves(response);
}

async function* frames(response: Response): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const bytes of response.body ?? []) {
    text += decoder.decode(bytes, { stream: true });
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      yield text.slice(0, end + 2);
      text = text.slice(end + 2);
    }
  }
  if (text !== "") yield text;
}

async function* halves(response: Response): AsyncGenerator<string> {
  const text = await response.text();
  const middle = Math.floor(text.length / 2);
  yield text.slice(0, middle);
  yield text.slice(middle);
}

/** The first `count` pieces. */
export async function* firstPieces(pieces: AsyncGenerator<string>, count: number): AsyncGenerator<string> {
  for (let index = 0; index < count; index += 1) {
    const step = await pieces.next();
    if (step.done === true) return;
    yield step.value;
  }
}
