import type { ByteSource } from "../answer.ts";
import { errorObject, toZephError } from "../error-answer.ts";
import type { Usage } from "../exchange.ts";
import { usageInLines } from "../usage.ts";

export interface StreamEnd {
  readonly outcome: "complete" | "failed" | "caller-left";
  readonly error?: unknown;
}

export interface PassStreamOptions {
  /** Called with each piece that is given out. */
  readonly onPiece: () => void;
  /** Called with what a usage chunk says. */
  readonly onUsage: (usage: Usage) => void;
  /** Called once, when nothing more will come. */
  readonly onEnd: (end: StreamEnd) => void;
}

const NEWLINE = 0x0a;

/**
 * An event stream with its bytes as they came. Only whole lines are given out, so that what is added never lands inside
 * one: a comment when the upstream is silent, and an error event when its stream breaks off, without `[DONE]`.
 */
export function passStream(
  body: ReadableStream<Uint8Array>,
  { onPiece, onUsage, onEnd }: PassStreamOptions,
): ByteSource {
  const reader = body.getReader();
  /** The beginning of a line whose end has not come. */
  let tail: Uint8Array | undefined;
  let ended = false;

  function end(how: StreamEnd): void {
    if (!ended) onEnd(how);
    ended = true;
  }
  function wholeLines(chunk: Uint8Array): Buffer | undefined {
    const joined = tail === undefined ? asBuffer(chunk) : Buffer.concat([tail, chunk]);
    if (joined[joined.length - 1] === NEWLINE) {
      tail = undefined;
      return joined;
    }
    const length = joined.lastIndexOf(NEWLINE) + 1;
    tail = joined.subarray(length);
    return length === 0 ? undefined : joined.subarray(0, length);
  }
  return {
    async next() {
      if (ended) return undefined;
      try {
        for (;;) {
          const { done, value } = await reader.read();
          if (done) {
            end({ outcome: "complete" });
            return tail;
          }
          const lines = wholeLines(value);
          if (lines === undefined) continue;
          const usage = usageInLines(lines);
          if (usage !== undefined) onUsage(usage);
          onPiece();
          return lines;
        }
      } catch (error) {
        end({ outcome: "failed", error });
        return errorEvent(error);
      }
    },
    cancel(reason) {
      if (ended) return;
      end({ outcome: "caller-left" });
      reader.cancel(reason).catch(() => {
        // The upstream is broken already; there is nothing left to cancel.
      });
    },
  };
}

/** An error inside a stream, in the form OpenAI clients look for. The empty line ends an event that was left open. */
export function errorEvent(error: unknown): string {
  const { code, detail } = toZephError(error);
  const told = errorObject(toZephError(error));
  // What the endpoint said about itself is passed on in its own words.
  const shown = code === "stream_error" && detail !== undefined ? { error: { ...told.error, message: detail } } : told;
  return `\ndata: ${JSON.stringify(shown)}\n\n`;
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
