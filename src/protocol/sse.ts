import { ZephError } from "../errors/zeph-error.ts";
import { scrub } from "../internal/redact.ts";

/** Watches the bytes of an event stream as they pass, without changing or holding them back. */
export interface StreamWatch {
  /** Throws `stream_error` at a line that is not SSE: a node writes bare text when it fails after it began. */
  see(chunk: Uint8Array): void;
  /** Was `data: [DONE]` seen? */
  readonly done: boolean;
  /** Throws `stream_cut` when the stream may not end here. An error object inside the stream is an end. */
  end(): void;
}

const NEWLINE = 0x0a;
/** Enough of a line to recognise it and to quote a bare one. */
const MAX_KEPT_BYTES = 256;
/** A line longer than this is not an event but a fault or an attack. Nodes themselves stop at 1 MiB. */
const MAX_LINE_BYTES = 4 * 1024 * 1024;
/** `data: {"` and the first letter: an ordinary event's first field is seldom called e… */
const ORDINARY_EVENT = new TextEncoder().encode('data: {"');
const LETTER_E = 0x65;

/**
 * Written for speed where it counts: of the thousands of ordinary lines in a stream, only the first nine bytes are
 * looked at. Lines that could mean something are decoded.
 */
export function watchStream(): StreamWatch {
  const decoder = new TextDecoder();
  /** The beginning of a line that runs over from an earlier chunk. */
  let carried = new Uint8Array();
  let lineBytes = 0;
  let done = false;
  let failed = false;

  function judge(bytes: Uint8Array): void {
    const line = decoder.decode(bytes);
    if (line === "" || line === "\r") return;
    if (line.startsWith("data:")) {
      const data = line.slice("data:".length).trim();
      if (data === "[DONE]") done = true;
      else if (/^\{\s*"error"\s*:\s*[{"]/.test(data)) failed = true;
      return;
    }
    if (/^(?::|event:|id:|retry:)/.test(line)) return;
    throw new ZephError("stream_error", { detail: scrub(line) });
  }
  function carry(part: Uint8Array): void {
    lineBytes += part.length;
    if (lineBytes > MAX_LINE_BYTES) throw new ZephError("response_too_large", { detail: "one line of the stream" });
    const kept = part.subarray(0, MAX_KEPT_BYTES - carried.length);
    if (kept.length === 0) return;
    const joined = new Uint8Array(carried.length + kept.length);
    joined.set(carried);
    joined.set(kept, carried.length);
    carried = joined;
  }
  function finishCarried(): void {
    const line = carried;
    carried = new Uint8Array();
    lineBytes = 0;
    judge(line);
  }

  return {
    see(chunk) {
      let from = 0;
      while (from < chunk.length) {
        const newline = chunk.indexOf(NEWLINE, from);
        if (newline === -1) return carry(chunk.subarray(from));
        if (lineBytes > 0) {
          carry(chunk.subarray(from, newline));
          finishCarried();
        } else if (newline > from && !isOrdinary(chunk, from, newline)) {
          judge(chunk.subarray(from, Math.min(newline, from + MAX_KEPT_BYTES)));
        }
        from = newline + 1;
      }
    },
    get done() {
      return done;
    },
    end() {
      if (lineBytes > 0) finishCarried();
      if (!done && !failed) throw new ZephError("stream_cut", { detail: "the stream ended without [DONE]" });
    },
  };
}

/** An event with a JSON object whose first field does not begin with "e", as "error" would. */
function isOrdinary(chunk: Uint8Array, from: number, to: number): boolean {
  if (to - from <= ORDINARY_EVENT.length) return false;
  for (let index = 0; index < ORDINARY_EVENT.length; index += 1) {
    if (chunk[from + index] !== ORDINARY_EVENT[index]) return false;
  }
  return chunk[from + ORDINARY_EVENT.length] !== LETTER_E;
}
