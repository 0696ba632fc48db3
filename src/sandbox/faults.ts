import type { HttpBindings } from "@hono/node-server";
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import type { Clock } from "../base/time.ts";
import { ZephError } from "../errors.ts";
import { dataFrame, errorObject, htmlPage, refusalResponse, streamBody } from "./answers.ts";
import { aborted } from "./server.ts";

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
const DEFAULT_AFTER_FRAMES = 4;

/** Whether a fault is meant for a request to `path`. */
function appliesTo(fault: Fault, path: string): boolean {
  const on = fault.on ?? (IN_STREAM.has(fault.kind) ? "/chat/completions" : "");
  return path.endsWith(on);
}

type Parse = (value: string) => Fault;

const frames = (value: string) => (value === "" ? {} : { afterFrames: wholeNumber(value) });

/** Every fault by the name it has on the command line, with what may follow the colon. */
const FORMS: Readonly<Record<string, readonly [value: string, parse: Parse]>> = {
  refuse: ["", () => ({ kind: "refuse" })],
  reset: ["", () => ({ kind: "refuse", how: "reset" })],
  hang: ["", () => ({ kind: "hang" })],
  delay: [":MS", (value) => ({ kind: "delay", delayMs: wholeNumber(value) })],
  status: [":CODE", (value) => ({ kind: "status", status: wholeNumber(value) })],
  html: ["[:STATUS]", (value) => ({ kind: "html-page", ...(value === "" ? {} : { status: wholeNumber(value) }) })],
  redirect: [":URL", (value) => ({ kind: "redirect", location: value })],
  moved: [":URL", (value) => ({ kind: "moved", newUrl: value })],
  "bad-json": ["[:FRAMES]", (value) => ({ kind: "bad-json", ...frames(value) })],
  oversized: ["", () => ({ kind: "oversized", of: "answer" })],
  "oversized-line": ["", () => ({ kind: "oversized", of: "line" })],
  "hang-mid-stream": ["[:FRAMES]", (value) => ({ kind: "hang-mid-stream", ...frames(value) })],
  cut: ["[:FRAMES]", (value) => ({ kind: "cut", ...frames(value) })],
  "no-done": ["", () => ({ kind: "no-done" })],
  "error-in-stream": ["[:FRAMES]", (value) => ({ kind: "error-in-stream", ...frames(value) })],
  drip: [
    "[:BYTES]",
    (value) => ({ kind: "drip", delayMs: 5, ...(value === "" ? {} : { chunkBytes: wholeNumber(value) }) }),
  ],
  crlf: ["", () => ({ kind: "crlf" })],
  "multi-line-data": ["", () => ({ kind: "multi-line-data" })],
  comments: ["", () => ({ kind: "comments" })],
  "usage-only": ["", () => ({ kind: "usage-only" })],
};

/** The names `--fault` takes, for help and messages. */
export const FAULT_FORMS: readonly string[] = Object.entries(FORMS).map(([name, [value]]) => name + value);

/**
 * Reads a fault as it is written on the command line: `NAME[:VALUE][@/path]`. Throws `usage`.
 * @example parseFault("status:503@/chat/completions")
 */
export function parseFault(text: string): Fault {
  const [, name = "", value = "", on] = /^([a-z-]+)(?::(.*?))?(?:@(\/[\w/.-]+))?$/.exec(text.trim()) ?? [];
  const form = FORMS[name];
  if (form === undefined || ((form[0] === "") !== (value === "") && !form[0].startsWith("["))) {
    throw new ZephError("usage", {
      detail: `"${text}" is not a fault`,
      hint: `Give one of ${FAULT_FORMS.join(", ")}; @/chat/completions at the end limits it to that path.`,
    });
  }
  return { ...form[1](value), ...(on === undefined ? {} : { on }) };
}

function wholeNumber(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new ZephError("usage", { detail: `"${text}" is not a whole number` });
  return Number(text);
}

/** What a test sets before it sends requests. */
export interface FaultControl {
  /** Plays a fault on the next request it applies to, `times` times. Several wait in line, in order. */
  next(fault: Fault, times?: number): void;
  /** Plays a fault on every request it applies to, until `clear`. Those from `next` come first. */
  always(fault: Fault): void;
  /** Forgets all of them. */
  clear(): void;
  /** Faults from `next` that have not been played. */
  readonly waiting: number;
}

export interface FaultPlan extends FaultControl {
  /** The fault for a request to `path`; one from `next` is used up. */
  take(path: string): Fault | undefined;
}

export function faultPlan(): FaultPlan {
  let queue: Fault[] = [];
  let standing: Fault[] = [];
  return {
    next(fault, times = 1) {
      queue.push(...Array.from({ length: times }, () => fault));
    },
    always(fault) {
      standing.push(fault);
    },
    clear() {
      queue = [];
      standing = [];
    },
    get waiting() {
      return queue.length;
    },
    take(path) {
      const index = queue.findIndex((fault) => appliesTo(fault, path));
      if (index >= 0) return queue.splice(index, 1)[0];
      return standing.findLast((fault) => appliesTo(fault, path));
    },
  };
}

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

type Pieces = AsyncGenerator<string | Uint8Array<ArrayBuffer>>;

function isEventStream(response: Response): boolean {
  return response.headers.get("content-type")?.startsWith("text/event-stream") === true;
}

/** A body cut where a fault may strike: a stream at the end of each frame, any other body once, in its middle. */
function bodyPieces(response: Response): AsyncGenerator<string> {
  return isEventStream(response) ? framesOf(response) : halves(response);
}

async function* framesOf(response: Response): AsyncGenerator<string> {
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
async function* firstPieces(pieces: AsyncGenerator<string>, count: number): AsyncGenerator<string> {
  for (let index = 0; index < count; index += 1) {
    const step = await pieces.next();
    if (step.done === true) return;
    yield step.value;
  }
}

const DEFAULT_BYTES = 32 * 1024 * 1024;
const PADDING = "x".repeat(64 * 1024);

/** One SSE line of at least `bytes`, after the first frame; then the rest of the stream. */
async function* oversizedLine(frames: AsyncGenerator<string>, bytes = DEFAULT_BYTES): Pieces {
  const first = await frames.next();
  if (first.done !== true) yield first.value;
  yield 'data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"';
  yield* padding(bytes);
  yield '"},"finish_reason":null}]}\n\n';
  yield* frames;
}

/** A stream of at least `bytes` more in many frames, or a JSON object with a field of that size put in front. */
async function* oversizedAnswer(pieces: AsyncGenerator<string>, bytes = DEFAULT_BYTES): Pieces {
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

const CODES: Readonly<Record<number, string>> = {
  401: "invalid_api_key",
  404: "model_not_found",
  429: "rate_limit_exceeded",
  503: "service_unavailable",
};

const TITLES: Readonly<Record<number, string>> = {
  500: "Internal Server Error",
  502: "Bad Gateway",
  503: "Service Temporarily Unavailable",
  504: "Gateway Time-out",
};

/** What is answered in place of the real thing, for the faults that do so. */
export function replacement(fault: Fault): Response | undefined {
  switch (fault.kind) {
    case "status": {
      const code = fault.code ?? CODES[fault.status];
      return refusalResponse({
        status: fault.status,
        message: fault.message ?? `The sandbox was told to answer ${fault.status}.`,
        ...(code === undefined ? {} : { code }),
        ...(fault.retryAfter === undefined ? {} : { headers: { "retry-after": fault.retryAfter } }),
      });
    }
    case "html-page": {
      const status = fault.status ?? 502;
      return htmlPage(status, TITLES[status] ?? "Error");
    }
    case "redirect":
      return new Response(null, { status: fault.status ?? 307, headers: { location: fault.location } });
    case "moved": {
      const body = { error: { message: "This gateway has moved." }, new_url: fault.newUrl };
      return Response.json(body, { status: 308, headers: { location: fault.newUrl } });
    }
    default:
      return undefined;
  }
}

/** The TCP connection under a request, for the faults that HTTP has no word for. */
interface RawConnection {
  /** Ends it after what was written has left, without the end that HTTP wants. */
  close(): void;
  /** Ends it with a TCP reset. */
  reset(): void;
}

/** The connection of a request that came through our server; none when the app was called as a function. */
export function rawConnection(bindings: Partial<HttpBindings> | undefined): RawConnection | undefined {
  const socket = bindings?.incoming?.socket;
  if (socket === undefined) return undefined;
  return {
    close: () => socket.destroySoon(),
    reset: () => {
      // The empty write is called back after all earlier ones; a reset before that would take them along.
      socket.write("", () => socket.resetAndDestroy());
    },
  };
}

const MARKS = [...RESPONSE_ALREADY_SENT.headers.keys()];

/** The stand-in for an answer that is not given: tells the server that there is nothing to send. */
export function unanswered(): Response {
  return new Response(null, { headers: RESPONSE_ALREADY_SENT.headers });
}

export function isUnanswered(response: Response): boolean {
  return MARKS.every((name) => response.headers.has(name));
}
