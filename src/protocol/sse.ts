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

const NEWLINE = 10;
const CARRIAGE_RETURN = 13;
/** Enough to recognise a line and to quote a bare one. */
const MAX_KEPT_BYTES = 256;
/** A line longer than this is not an event but a fault or an attack. Nodes themselves stop at 1 MiB. */
const MAX_LINE_BYTES = 4 * 1024 * 1024;

export function watchStream(): StreamWatch {
  let lineStart = "";
  let lineBytes = 0;
  let done = false;
  let failed = false;
  const decoder = new TextDecoder("utf-8", { ignoreBOM: false });

  function finishLine(): void {
    const line = lineStart;
    lineStart = "";
    lineBytes = 0;
    if (line === "" || line === "\r") return;
    if (line.startsWith("data:")) {
      const data = line.slice("data:".length).trim();
      if (data === "[DONE]") done = true;
      else if (/^\{\s*"error"\s*:\s*[{"]/.test(data)) failed = true;
      return;
    }
    if (/^(?::|event:|id:|retry:|\uFEFF)/.test(line)) return;
    throw new ZephError("stream_error", { detail: scrub(line) });
  }

  return {
    see(chunk) {
      let from = 0;
      while (from < chunk.length) {
        const newline = chunk.indexOf(NEWLINE, from);
        const to = newline === -1 ? chunk.length : newline;
        if (lineBytes < MAX_KEPT_BYTES && to > from) {
          lineStart += decoder.decode(chunk.subarray(from, Math.min(to, from + MAX_KEPT_BYTES - lineBytes)), {
            stream: true,
          });
        }
        lineBytes += to - from;
        if (lineBytes > MAX_LINE_BYTES) throw new ZephError("response_too_large", { detail: "one line of the stream" });
        if (newline === -1) return;
        finishLine();
        from = newline + 1;
      }
    },
    get done() {
      return done;
    },
    end() {
      if (lineBytes > 0 && !(lineBytes === 1 && lineStart.charCodeAt(0) === CARRIAGE_RETURN)) finishLine();
      if (!done && !failed) throw new ZephError("stream_cut", { detail: "the stream ended without [DONE]" });
    },
  };
}
