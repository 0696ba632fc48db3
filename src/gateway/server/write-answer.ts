import type { ServerResponse } from "node:http";
import type { Clock } from "../../internal/clock.ts";
import { type Answer, type ByteSource, isByteSource } from "../answer.ts";
import { fillSilence } from "../stream/fill-silence.ts";

export interface WriteOptions {
  readonly clock: Clock;
  /** How long a caller may take no byte at all before it is given up on. */
  readonly stallMs: number;
}

/** Writes an answer to a socket, as fast as the caller reads and no faster. Resolves when nothing more will be written. */
export async function writeAnswer(outgoing: ServerResponse, answer: Answer, options: WriteOptions): Promise<void> {
  const { status, headers, body } = answer;
  if (outgoing.destroyed) {
    if (isByteSource(body)) body.cancel(leftReason());
    return;
  }
  if (isByteSource(body)) {
    outgoing.writeHead(status, headers);
    outgoing.flushHeaders();
    return pump(outgoing, body, options);
  }
  const length = body === null ? 0 : Buffer.byteLength(body);
  outgoing.writeHead(status, status === 204 ? headers : { ...headers, "content-length": length });
  outgoing.end(body ?? undefined);
  if (outgoing.writableNeedDrain) await finished(outgoing, options);
}

async function pump(outgoing: ServerResponse, source: ByteSource, options: WriteOptions): Promise<void> {
  const leave = () => source.cancel(leftReason());
  const silence = fillSilence(options.clock, source.filler, (piece) => outgoing.write(piece));
  outgoing.once("close", leave);
  try {
    for (;;) {
      silence.waiting();
      const piece = await source.next();
      silence.served();
      if (outgoing.destroyed) return;
      if (piece === undefined) break;
      if (!outgoing.write(piece)) await drained(outgoing, options);
      if (outgoing.destroyed) return;
    }
    outgoing.end();
    outgoing.off("close", leave);
    if (outgoing.writableLength > 0) await finished(outgoing, options);
  } catch {
    // The answer broke off where no words can be added: a connection that ends is all that is left to say it with.
    outgoing.destroy();
  } finally {
    silence.stop();
  }
}

function leftReason(): DOMException {
  return new DOMException("the caller closed the connection", "AbortError");
}

function drained(outgoing: ServerResponse, options: WriteOptions): Promise<void> {
  return untilEvent(outgoing, "drain", options);
}

function finished(outgoing: ServerResponse, options: WriteOptions): Promise<void> {
  return untilEvent(outgoing, "finish", options);
}

/** Waits for the event or the end of the connection; a caller that takes nothing for too long is disconnected. */
function untilEvent(outgoing: ServerResponse, event: "drain" | "finish", options: WriteOptions): Promise<void> {
  return new Promise((resolve) => {
    const cancelStall = options.clock.schedule(options.stallMs, () => outgoing.destroy());
    const settle = () => {
      cancelStall();
      outgoing.off(event, settle);
      outgoing.off("close", settle);
      resolve();
    };
    outgoing.once(event, settle);
    outgoing.once("close", settle);
  });
}
