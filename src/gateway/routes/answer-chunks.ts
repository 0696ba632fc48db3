import { ZephError } from "../../errors/zeph-error.ts";
import { chatBodyReader } from "../../wire/chat-body.ts";
import { chatStreamReader } from "../../wire/chat-stream.ts";
import { asChunk, type ChatChunk, type ChatCompletion } from "../dialects/dialect.ts";
import type { RouteContext } from "../gateway-state.ts";
import type { JsonObject } from "../read-json-body.ts";
import { isEventStream } from "./upstream-answer.ts";

/** An answer's chunks, pulled. */
export interface ChunkReader {
  /** What has arrived, at times nothing; undefined at the end. Rejects with what the answer broke off with. */
  next(): Promise<readonly ChatChunk[] | undefined>;
  cancel(reason?: unknown): void;
}

/** The chunks of an answer that was asked for as a stream, in whatever form it came. */
export function readChunks(response: Response, context: RouteContext, request: JsonObject): ChunkReader {
  if (!isEventStream(response) || response.body === null) return wholeAsChunks(response, context, request);
  const bytes: ReadableStreamDefaultReader<Uint8Array> = response.body.getReader();
  const reader = chatStreamReader({ request: () => request, createdSeconds: nowSeconds(context) });
  let isOver = false;

  function ended(): readonly ChatChunk[] {
    const { pieces, end } = reader.end();
    isOver = true;
    if (end.error !== undefined) throw end.error;
    return chunksIn(pieces);
  }
  return {
    async next() {
      if (isOver) return undefined;
      if (reader.error !== undefined) throw reader.error;
      const { value } = await bytes.read();
      if (value === undefined) return ended();
      const chunks = chunksIn(reader.push(value));
      if (!reader.isDone) return chunks;
      // Everything is said. The caller need not wait for the connection, which is used again once it is read out.
      readOut(bytes);
      return [...chunks, ...ended()];
    },
    cancel(reason) {
      bytes.cancel(reason).catch(() => {
        // The upstream is broken already; there is nothing left to cancel.
      });
    },
  };
}

/** A whole answer, from whatever form the upstream gave it. Throws what it broke off with, and `bad_response`. */
export async function readWhole(
  response: Response,
  context: RouteContext,
  request: JsonObject,
): Promise<ChatCompletion> {
  const reader = chatBodyReader({
    asked: "whole",
    contentType: response.headers.get("content-type"),
    request: () => request,
    createdSeconds: nowSeconds(context),
  });
  for await (const bytes of response.body ?? []) reader.push(bytes);
  const { end, answer } = reader.end();
  if (end.error !== undefined) throw end.error;
  if (answer === undefined) throw new ZephError("bad_response", { detail: "the answer holds no choices" });
  return answer;
}

function wholeAsChunks(response: Response, context: RouteContext, request: JsonObject): ChunkReader {
  let isOver = false;
  return {
    async next() {
      if (isOver) return undefined;
      isOver = true;
      return [asChunk(await readWhole(response, context, request))];
    },
    cancel() {
      // Reading it ends by itself: the request's signal is its signal too.
    },
  };
}

type Pieces = ReturnType<ReturnType<typeof chatStreamReader>["push"]>;

function chunksIn(pieces: Pieces): readonly ChatChunk[] {
  return pieces.flatMap((piece) => (piece.type === "chunk" ? [piece.chunk] : []));
}

function readOut(bytes: ReadableStreamDefaultReader<Uint8Array>): void {
  const rest = async () => {
    while (!(await bytes.read()).done);
  };
  rest().catch(() => {
    // Nothing that was said is lost.
  });
}

function nowSeconds({ state }: RouteContext): number {
  return Math.floor(state.clock.nowMs() / 1000);
}
