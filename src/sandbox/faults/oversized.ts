import { dataFrame } from "../answer/chat-frames.ts";
import type { Pieces } from "./body-pieces.ts";

const DEFAULT_BYTES = 32 * 1024 * 1024;
const PADDING = "x".repeat(64 * 1024);

/** One SSE line of at least `bytes`, after the first frame; then the rest of the stream. */
export async function* oversizedLine(frames: AsyncGenerator<string>, bytes = DEFAULT_BYTES): Pieces {
  const first = await frames.next();
  if (first.done !== true) yield first.value;
  yield 'data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"';
  yield* padding(bytes);
  yield '"},"finish_reason":null}]}\n\n';
  yield* frames;
}

/** A stream of at least `bytes` more in many frames, or a JSON object with a field of that size put in front. */
export async function* oversizedAnswer(pieces: AsyncGenerator<string>, bytes = DEFAULT_BYTES): Pieces {
  const first = await pieces.next();
  const start = first.done === true ? "" : first.value;
  if (start.startsWith("{")) {
    yield '{"padding":"';
    yield* padding(bytes);
    yield `",${start.slice(1)}`;
  } else {
    yield start;
    const choices = [{ index: 0, delta: { content: PADDING }, finish_reason: null }];
    const frame = dataFrame({ object: "chat.completion.chunk", choices });
    for (let sent = 0; sent < bytes; sent += PADDING.length) yield frame;
  }
  yield* pieces;
}

async function* padding(bytes: number): Pieces {
  for (let sent = 0; sent < bytes; sent += PADDING.length)
    yield PADDING.slice(0, Math.min(PADDING.length, bytes - sent));
}
