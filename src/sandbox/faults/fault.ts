/**
 * Something that goes wrong on purpose. `on` limits it to paths that end so (`/models`, `/chat/completions`); faults
 * inside a stream default to `/chat/completions`, the others to every path.
 */
export type Fault = { readonly on?: string } & FaultKind;

export type FaultKind =
  /** The connection ends without an answer. `reset` sends a TCP reset. */
  | { readonly kind: "refuse"; readonly how?: "close" | "reset" }
  /** No headers, ever. */
  | { readonly kind: "hang" }
  /** The right answer, late. */
  | { readonly kind: "delay"; readonly delayMs: number }
  /** A refusal in the broker's JSON shape. `retryAfter` is the header's value, seconds or date. */
  | {
      readonly kind: "status";
      readonly status: number;
      readonly code?: string;
      readonly message?: string;
      readonly retryAfter?: string;
    }
  /** A web server's or a proxy's page in place of JSON. Default 502. */
  | { readonly kind: "html-page"; readonly status?: number }
  /** Default 307. */
  | { readonly kind: "redirect"; readonly location: string; readonly status?: 301 | 302 | 303 | 307 | 308 }
  /** 308 with `new_url` in the body, as a network gateway that has moved answers. */
  | { readonly kind: "moved"; readonly newUrl: string }
  /** 200 with a body that breaks off in the middle of its JSON (or of a stream's JSON). */
  | { readonly kind: "bad-json"; readonly afterFrames?: number }
  /** An answer of many frames (or, in JSON, one padded field), or one line, of at least this size. Default 32 MiB. */
  | { readonly kind: "oversized"; readonly of?: "answer" | "line"; readonly bytes?: number }
  /** The stream stands still, the connection stays. */
  | { readonly kind: "hang-mid-stream"; readonly afterFrames?: number }
  /** The connection ends in the middle of the answer. */
  | { readonly kind: "cut"; readonly afterFrames?: number; readonly how?: "close" | "reset" }
  /** The stream ends in order, but without `[DONE]`. */
  | { readonly kind: "no-done" }
  /** `data: {"error":…}` in the middle of the stream, then its end. */
  | {
      readonly kind: "error-in-stream";
      readonly afterFrames?: number;
      readonly code?: string;
      readonly message?: string;
    }
  /**
   * The bytes arrive a few at a time, so that letters and frames are cut anywhere. Default 7 bytes each millisecond;
   * without a real delay a client's own buffers put them together again.
   */
  | { readonly kind: "drip"; readonly chunkBytes?: number; readonly delayMs?: number }
  /** Lines end in CRLF. */
  | { readonly kind: "crlf" }
  /** Every frame's JSON is spread over several `data:` lines. */
  | { readonly kind: "multi-line-data" }
  /** A comment line before every frame. */
  | { readonly kind: "comments" }
  /** Only the usage comes, no choice. */
  | { readonly kind: "usage-only" };

const IN_STREAM: ReadonlySet<Fault["kind"]> = new Set([
  "hang-mid-stream",
  "cut",
  "no-done",
  "error-in-stream",
  "drip",
  "crlf",
  "multi-line-data",
  "comments",
  "usage-only",
]);

/** Frames that pass before a fault in the middle of a stream, where the fault does not say. */
export const DEFAULT_AFTER_FRAMES = 4;

/** Whether a fault is meant for a request to `path`. */
export function appliesTo(fault: Fault, path: string): boolean {
  const on = fault.on ?? (IN_STREAM.has(fault.kind) ? "/chat/completions" : "");
  return path.endsWith(on);
}
