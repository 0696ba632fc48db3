import type { Clock } from "../../internal/clock.ts";
import { aborted } from "../aborted.ts";
import { dataFrame } from "../answer/chat-frames.ts";
import { streamBody } from "../answer/stream-body.ts";
import { errorObject } from "../broker/broker-refusal.ts";
import { bodyPieces, firstPieces, isEventStream, type Pieces } from "./body-pieces.ts";
import { DEFAULT_AFTER_FRAMES, type Fault } from "./fault.ts";
import { oversizedAnswer, oversizedLine } from "./oversized.ts";
import type { RawConnection } from "./raw-connection.ts";

/** What a fault may need besides the response it spoils. */
export interface FaultSurroundings {
  readonly connection: RawConnection | undefined;
  readonly clock: Clock;
  /** Aborted when the client goes away. */
  readonly signal: AbortSignal;
}

/** A good response, spoilt on its way. A refusal passes as it is, and so does JSON where only streams can be spoilt. */
export function spoilBody(response: Response, fault: Fault, surroundings: FaultSurroundings): Response {
  if (!response.ok || response.body === null) return response;
  const pieces = isEventStream(response) ? spoiltStream(response, fault, surroundings) : undefined;
  const spoilt = pieces ?? spoiltPieces(response, fault, surroundings);
  if (spoilt === undefined) return response;
  const headers = new Headers(response.headers);
  headers.delete("content-length");
  headers.set("transfer-encoding", "chunked");
  return new Response(streamBody(spoilt), { status: response.status, headers });
}

/** Faults that a stream and a JSON body can have. */
function spoiltPieces(response: Response, fault: Fault, surroundings: FaultSurroundings): Pieces | undefined {
  const after = (frames: number | undefined) =>
    firstPieces(bodyPieces(response), isEventStream(response) ? (frames ?? DEFAULT_AFTER_FRAMES) : 1);
  switch (fault.kind) {
    case "cut":
      return cut(after(fault.afterFrames), fault.how ?? "close", surroundings);
    case "hang-mid-stream":
      return hang(after(fault.afterFrames), surroundings.signal);
    case "bad-json":
      return isEventStream(response)
        ? followedBy(after(fault.afterFrames), 'data: {"choices":[{"delta":\n\n')
        : after(undefined);
    case "oversized":
      return fault.of === "line" && isEventStream(response)
        ? oversizedLine(bodyPieces(response), fault.bytes)
        : oversizedAnswer(bodyPieces(response), fault.bytes);
    case "drip":
      return drip(bodyPieces(response), fault, surroundings);
    default:
      return undefined;
  }
}

/** Faults that only a stream can have. */
function spoiltStream(response: Response, fault: Fault, surroundings: FaultSurroundings): Pieces | undefined {
  switch (fault.kind) {
    case "no-done":
      return mapFrames(response, (frame) => (isDone(frame) ? "" : frame));
    case "error-in-stream": {
      const { code = "upstream_error", message = "The model's host failed.", afterFrames } = fault;
      const before = firstPieces(bodyPieces(response), afterFrames ?? DEFAULT_AFTER_FRAMES);
      return followedBy(before, dataFrame(errorObject({ status: 502, code, message })));
    }
    case "crlf":
      return mapFrames(response, (frame) => frame.replaceAll("\n", "\r\n"));
    case "comments":
      return mapFrames(response, (frame) => `: still here\n${frame}`);
    case "multi-line-data":
      return mapFrames(response, overSeveralLines);
    case "usage-only":
      return mapFrames(response, (frame) => (isDone(frame) || frame.includes('"choices":[],') ? frame : ""));
    default:
      return spoiltPieces(response, fault, surroundings);
  }
}

const isDone = (frame: string) => frame.startsWith("data: [DONE]");

async function* mapFrames(response: Response, change: (frame: string) => string): Pieces {
  for await (const frame of bodyPieces(response)) {
    const changed = change(frame);
    if (changed !== "") yield changed;
  }
}

function overSeveralLines(frame: string): string {
  if (isDone(frame) || !frame.startsWith("data: ")) return frame;
  const lines = JSON.stringify(JSON.parse(frame.slice("data: ".length)), null, 1).split("\n");
  return `${lines.map((line) => `data: ${line}`).join("\n")}\n\n`;
}

async function* followedBy(pieces: AsyncGenerator<string>, last: string): Pieces {
  yield* pieces;
  yield last;
}

async function* cut(pieces: AsyncGenerator<string>, how: "close" | "reset", surroundings: FaultSurroundings): Pieces {
  yield* pieces;
  const { connection, signal } = surroundings;
  // Called as a function there is no connection to end; a body that breaks off is the nearest thing.
  if (connection === undefined) throw new TypeError("terminated");
  connection[how]();
  await aborted(signal);
}

async function* hang(pieces: AsyncGenerator<string>, signal: AbortSignal): Pieces {
  yield* pieces;
  await aborted(signal);
}

async function* drip(
  pieces: AsyncGenerator<string>,
  fault: { readonly chunkBytes?: number; readonly delayMs?: number },
  { clock, signal }: FaultSurroundings,
): Pieces {
  const { chunkBytes = 7, delayMs = 1 } = fault;
  for await (const piece of pieces) {
    const bytes = new TextEncoder().encode(piece);
    for (let start = 0; start < bytes.length; start += chunkBytes) {
      // A client that leaves ends the wait; nobody is left to tell.
      await clock.sleep(delayMs, signal).catch(() => undefined);
      if (signal.aborted) return;
      yield bytes.slice(start, start + chunkBytes);
    }
  }
}
