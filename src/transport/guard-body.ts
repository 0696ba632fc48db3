import { ZephError } from "../errors/zeph-error.ts";
import type { DeadlineSignal } from "../internal/abort.ts";
import type { Clock } from "../internal/clock.ts";
import { type ChatBodyOptions, type ChatBodyReader, chatBodyReader } from "../wire/chat-body.ts";
import { serverError } from "../wire/chat-shape.ts";
import { sseReader } from "../wire/sse.ts";
import { isDecodingFailure } from "./network-error.ts";

export interface GuardOptions {
  /** The attempt's signal, aborted when the upstream keeps us waiting for too long. */
  readonly deadline: DeadlineSignal;
  readonly idleMs: number;
  /** For the first chunk: some endpoints send headers at once and think before they speak. */
  readonly firstChunkMs: number;
  readonly clock: Pick<Clock, "nowMs">;
  /** Present where the answer is one to a chat: it is then brought into the form that was asked for. */
  readonly chat?: Pick<ChatBodyOptions, "asked" | "request" | "needsDone"> | undefined;
  /** Adds what only the loop knows to an error before the reader gets it. */
  readonly explain?: (error: ZephError) => ZephError;
  /** Called with what a person should know about the answer. */
  readonly onNotice?: (text: string) => void;
  /** Called once, when the body has ended in whatever way; with the error when it did not end well. */
  readonly onEnd: (error: unknown) => void;
}

/** A JSON answer beyond this is refused while it arrives. */
const MAX_JSON_BYTES = 64 * 1024 * 1024;

/** What looks at the bytes of a body while they pass. */
interface BodyWatch {
  /** Everything was said: how the connection ends after that matters to nobody. */
  readonly isDone: boolean;
  /** What may be passed on. */
  push(bytes: Uint8Array): Uint8Array | undefined;
  /** Set once the answer is known to have failed. */
  readonly error: ZephError | undefined;
  end(isBroken: boolean): { readonly bytes?: Uint8Array | undefined; readonly error?: ZephError | undefined };
  readonly notices: readonly string[];
}

/**
 * The upstream response, ended by an error when its bytes stop coming (`timeout_idle`), break off (`stream_cut`), are too
 * many (`response_too_large`), or tell of an error with a good status (`stream_error`, `upstream_error`, `bad_response`).
 * Chat answers come out in OpenAI's form whatever form they came in; what needs no change passes as the same bytes.
 */
export function guardBody(response: Response, options: GuardOptions): Response {
  const { deadline, clock, chat, explain, onNotice, onEnd } = options;
  const headers = shownHeaders(upstreamHeaders(response), chat);
  const shown = { status: response.status, statusText: response.statusText, headers };
  if (response.body === null) {
    onEnd(undefined);
    return new Response(null, shown);
  }
  const contentType = response.headers.get("content-type");
  const watch =
    chat !== undefined
      ? chatWatch(
          chatBodyReader({ ...chat, thinking: "kept", contentType, createdSeconds: Math.floor(clock.nowMs() / 1000) }),
        )
      : /^\s*text\/event-stream\b/i.test(contentType ?? "")
        ? eventWatch()
        : jsonWatch();
  const reader = response.body.getReader();
  let ended = false;

  function finish(error: unknown): void {
    if (ended) return;
    ended = true;
    deadline.disarm();
    for (const text of watch.notices) onNotice?.(text);
    onEnd(error);
  }
  function leaveUpstream(): void {
    reader.cancel().catch(() => {
      // The upstream is broken already; there is nothing left to cancel.
    });
  }
  function fail(controller: ReadableStreamDefaultController<Uint8Array>, thrown: unknown): void {
    if (ended) return;
    const error = ZephError.is(thrown) ? (explain?.(thrown) ?? thrown) : thrown;
    controller.error(error);
    finish(error);
    leaveUpstream();
  }
  function close(controller: ReadableStreamDefaultController<Uint8Array>): void {
    if (ended) return;
    controller.close();
    finish(undefined);
  }
  /**
   * The end of the bytes. Nothing is read ahead, so a reader is waiting whenever this is called: the last bytes reach it
   * before the error does.
   */
  function conclude(
    controller: ReadableStreamDefaultController<Uint8Array>,
    broken?: { readonly reason: unknown },
  ): void {
    if (ended) return;
    const { bytes, error } = watch.end(broken !== undefined);
    if (bytes !== undefined && bytes.length > 0) controller.enqueue(bytes);
    const reason = ZephError.is(broken?.reason) ? broken.reason : (error ?? broken?.reason);
    if (reason === undefined) close(controller);
    else fail(controller, reason);
  }
  function breakOff(controller: ReadableStreamDefaultController<Uint8Array>, thrown: unknown): void {
    if (ended) return;
    const reason: unknown = deadline.signal.aborted ? deadline.signal.reason : decodingError(thrown);
    if (watch.isDone) {
      close(controller);
      leaveUpstream();
    } else if (deadline.signal.aborted && !ZephError.is(reason)) fail(controller, reason);
    else conclude(controller, { reason });
  }
  const idle = idleAlarm(options);
  const body = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        // Node 20's fetch (undici 6.24) never settles a read after an abort when the rest of the body came in one packet.
        deadline.signal.addEventListener("abort", () => breakOff(controller, deadline.signal.reason), { once: true });
      },
      async pull(controller) {
        try {
          for (;;) {
            idle.waiting();
            const { done, value } = await reader.read();
            if (ended) return;
            idle.served();
            if (done) return conclude(controller);
            const bytes = watch.push(value);
            if (bytes !== undefined && bytes.length > 0) controller.enqueue(bytes);
            if (watch.error !== undefined) return fail(controller, watch.error);
            if (bytes !== undefined && bytes.length > 0) return;
          }
        } catch (thrown) {
          breakOff(controller, thrown);
        }
      },
      async cancel(reason) {
        finish(reason);
        await reader.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
  return new Response(body, shown);
}

/** What an upstream said of its answer. Headers that begin with zeph's own name are zeph's alone to set. */
export function upstreamHeaders(response: Response): Headers {
  const headers = new Headers(response.headers);
  for (const name of [...headers.keys()]) if (name.startsWith("x-zeph-")) headers.delete(name);
  return headers;
}

function decodingError(thrown: unknown): unknown {
  if (!isDecodingFailure(thrown)) return thrown;
  return new ZephError("bad_response", { detail: "it is not coded as its content-encoding says", cause: thrown });
}

function shownHeaders(headers: Headers, chat: GuardOptions["chat"]): Headers {
  // Fetch has decoded the body already, while the headers still announce the coded form.
  if (headers.has("content-encoding") || chat !== undefined) headers.delete("content-length");
  headers.delete("content-encoding");
  if (chat === undefined) return headers;
  const type = headers.get("content-type") ?? "";
  if (chat.asked === "stream") {
    if (!/^text\/event-stream\b/.test(type)) headers.set("content-type", "text/event-stream");
  } else if (!/^application\/json\b/.test(type)) headers.set("content-type", "application/json");
  return headers;
}

function chatWatch(reader: ChatBodyReader): BodyWatch {
  return {
    get isDone() {
      return reader.isDone;
    },
    get error() {
      return reader.error;
    },
    get notices() {
      return reader.notices;
    },
    push: (bytes) => reader.push(bytes),
    end(isBroken) {
      const { bytes, end } = reader.end(isBroken);
      return { bytes, error: end.error };
    },
  };
}

/** Streams that are no chats pass as they are; they too must say that they are done. */
function eventWatch(): BodyWatch {
  let isDone = false;
  let hasFailed = false;
  let bare = "";
  const events = sseReader({
    event(event) {
      if (event.bare !== "") bare ||= event.bare;
      if (event.dataLines !== 1 || event.end - event.start > MAX_MARK_BYTES) return;
      const data = event.data().trim();
      if (data === "[DONE]") isDone = true;
      else if (/^\{\s*"error"\s*:\s*[{"]/.test(data)) hasFailed = true;
    },
  });
  return {
    notices: [],
    error: undefined,
    get isDone() {
      return isDone;
    },
    push(bytes) {
      events.push(bytes);
      return bytes;
    },
    end(isBroken) {
      events.end();
      if (isDone || (hasFailed && !isBroken)) return {};
      if (bare !== "") return { error: serverError(bare, "stream_error") };
      const detail = isBroken ? "the connection was closed" : "the stream ended without [DONE]";
      return { error: new ZephError("stream_cut", { detail }) };
    },
  };
}

/** Errors and end marks are short. */
const MAX_MARK_BYTES = 16 * 1024;

function jsonWatch(): BodyWatch {
  let receivedBytes = 0;
  return {
    notices: [],
    error: undefined,
    isDone: false,
    push(bytes) {
      receivedBytes += bytes.byteLength;
      if (receivedBytes > MAX_JSON_BYTES) throw new ZephError("response_too_large");
      return bytes;
    },
    end(isBroken) {
      const detail = "the connection was closed in the middle of the answer";
      return isBroken ? { error: new ZephError("stream_cut", { detail }) } : {};
    },
  };
}

/**
 * Counts the time the upstream keeps us waiting, not the time a slow reader takes. One timer watches all chunks: when it
 * fires early it is set for the rest, which costs less than a timer for every chunk.
 */
function idleAlarm({
  deadline,
  idleMs,
  firstChunkMs,
  clock,
}: Pick<GuardOptions, "deadline" | "idleMs" | "firstChunkMs" | "clock">) {
  let limitMs = Math.max(idleMs, firstChunkMs);
  let waitingSinceMs: number | undefined;
  function postpone(): number | undefined {
    if (waitingSinceMs === undefined) return limitMs;
    const leftMs = waitingSinceMs + limitMs - clock.nowMs();
    return leftMs > 0 ? leftMs : undefined;
  }
  deadline.arm("timeout_idle", limitMs, postpone);
  return {
    waiting() {
      waitingSinceMs = clock.nowMs();
    },
    served() {
      waitingSinceMs = undefined;
      if (limitMs === idleMs) return;
      limitMs = idleMs;
      deadline.arm("timeout_idle", limitMs, postpone);
    },
  };
}
