import { HeaderFields, type HeaderRecord } from "../base/header-fields.ts";
import { asObject } from "../base/json.ts";
import { type Alarm, type Clock, elapsedMs, timeoutError } from "../base/time.ts";
import { ZephError } from "../errors.ts";
import { type ChatBodyOptions, type ChatBodyReader, chatBodyReader } from "../wire/chat-body.ts";
import { serverError } from "../wire/chat-shape.ts";
import { isDecodingFailure } from "../wire/refusals.ts";
import { sseReader } from "../wire/sse.ts";
import { type AnswerHead, type AnswerSink, BODILESS, type ExchangeRequest } from "./exchange.ts";

export type OutgoingRequest = ExchangeRequest;

/** Reads are never signed: no node looks at a signature on them. */
export function isRead({ method }: Pick<OutgoingRequest, "method">): boolean {
  return method === "GET" || method === "HEAD";
}

/**
 * What a chat request asked for, and the request itself, parsed when somebody needs it. `undefined` for every request that
 * is no chat: its answer is nobody's to change.
 */
export function chatOf({ method, path, body, chat }: OutgoingRequest): OutgoingRequest["chat"] {
  if (chat !== undefined) return chat;
  if (method !== "POST" || body === undefined || !/^\/chat\/completions\/?(?:\?|$)/.test(path)) return undefined;
  const text = new TextDecoder().decode(body);
  let parsed: { readonly value: Readonly<Record<string, unknown>> | undefined } | undefined;
  const request = () => {
    parsed ??= { value: asObject(parseText(text)) };
    return parsed.value;
  };
  // The field may also stand deeper, as in a tool's schema; a body that is dear to parse is taken at its word.
  const isStream = STREAM_FIELD.test(text) && (text.length > MAX_PARSED_CHARS || request()?.stream === true);
  return { asked: isStream ? "stream" : "whole", request };
}

const STREAM_FIELD = /"stream"\s*:\s*true\b/;
const MAX_PARSED_CHARS = 64 * 1024;

function parseText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The endpoint will say what is wrong with it.
    return undefined;
  }
}

/**
 * Turns what a caller of `fetch` gave into an {@link OutgoingRequest}. Only addresses below one of `baseURLs` are taken
 * (`foreign_origin`), and only bodies that can be repeated byte for byte (`unsupported_body`).
 */
export async function toOutgoing(
  input: string | URL | Request,
  init: RequestInit | undefined,
  baseURLs: readonly string[],
): Promise<OutgoingRequest & { readonly signal: AbortSignal | undefined }> {
  const request = input instanceof Request ? input : undefined;
  const url = request?.url ?? String(input);
  const headers = new Headers(init?.headers ?? request?.headers);
  const body = await readBody(init?.body, request, headers);
  return {
    method: (init?.method ?? request?.method ?? "GET").toUpperCase(),
    path: pathBelow(url, baseURLs),
    headers: HeaderFields.from(headers),
    body,
    signal: init?.signal ?? request?.signal ?? undefined,
  };
}

function pathBelow(url: string, baseURLs: readonly string[]): string {
  if (!URL.canParse(url)) throw new ZephError("foreign_origin", { detail: "not an absolute URL" });
  const { origin, pathname, search } = new URL(url);
  for (const baseURL of baseURLs) {
    const base = new URL(baseURL);
    if (base.origin === origin && (pathname === base.pathname || pathname.startsWith(`${base.pathname}/`))) {
      return pathname.slice(base.pathname.length) + search;
    }
  }
  throw new ZephError("foreign_origin", {
    detail: `${origin} is not ${baseURLs.map((baseURL) => new URL(baseURL).origin).join(" or ")}`,
  });
}

/** Fetch's own default content type per body kind is kept, so that nothing changes for a caller who relied on it. */
async function readBody(
  body: RequestInit["body"],
  request: Request | undefined,
  headers: Headers,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  if (body === undefined || body === null) {
    if (request === undefined || request.body === null) return undefined;
    refuseMultipart(headers);
    return new Uint8Array(await request.arrayBuffer());
  }
  const withType = (type: string, bytes: Uint8Array<ArrayBuffer>) => {
    if (type !== "" && !headers.has("content-type")) headers.set("content-type", type);
    return bytes;
  };
  if (typeof body === "string") return withType("text/plain;charset=UTF-8", encode(body));
  if (body instanceof URLSearchParams) {
    return withType("application/x-www-form-urlencoded;charset=UTF-8", encode(body.toString()));
  }
  if (body instanceof Blob) return withType(body.type, new Uint8Array(await body.arrayBuffer()));
  // Copied, because the caller may change its buffer while a retry is waiting.
  if (body instanceof ArrayBuffer) return new Uint8Array(body.slice(0));
  if (ArrayBuffer.isView(body)) return new Uint8Array(new Uint8Array(body.buffer, body.byteOffset, body.byteLength));
  const kind =
    body instanceof FormData ? "a multipart form" : body instanceof ReadableStream ? "a stream" : typeof body;
  throw new ZephError("unsupported_body", { detail: kind });
}

function refuseMultipart(headers: Headers): void {
  if (headers.get("content-type")?.startsWith("multipart/") === true) {
    throw new ZephError("unsupported_body", { detail: "a multipart form" });
  }
}

function encode(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

interface GuardOptions {
  readonly sink: AnswerSink;
  /** Gives up what is left of the upstream's answer. */
  readonly leave: () => void;
  readonly idleMs: number;
  /** For the first chunk: some endpoints send headers at once and think before they speak. */
  readonly firstChunkMs: number;
  readonly clock: Clock;
  readonly alarm: (onDue: () => void) => Alarm;
  /** Present where the answer is one to a chat: it is then brought into the form that was asked for. */
  readonly chat?: Pick<ChatBodyOptions, "asked" | "request" | "needsDone"> | undefined;
  /** Adds what only the loop knows to an error before the reader gets it. */
  readonly explain: (error: ZephError) => ZephError;
  /** Called with what a person should know about the answer. */
  readonly onNotice: (text: string) => void;
  /** Called once, when the body has ended in whatever way; with the error when it did not end well. */
  readonly onEnd: (error: unknown) => void;
}

/** What stands between an upstream's bytes and their sink. */
export interface BodyGuard extends Omit<AnswerSink, "head"> {
  /** The sink waits for bytes: from here on the upstream is silent. */
  waiting(): void;
  /** The end by a deadline, or by the caller. */
  breakOff(reason: unknown): void;
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
  readonly usageIn?: AnswerHead["usageIn"];
}

/**
 * Passes an upstream's answer on, ended by an error when its bytes stop coming (`timeout_idle`), break off (`stream_cut`),
 * are too many (`response_too_large`), or tell of an error with a good status (`stream_error`, `upstream_error`,
 * `bad_response`). Chat answers come out in OpenAI's form whatever form they came in; what needs no change passes as the
 * same bytes.
 */
export function guardBody(head: AnswerHead, options: GuardOptions): BodyGuard {
  const { sink, clock, explain, onNotice, onEnd } = options;
  const chat = BODILESS.has(head.status) ? undefined : options.chat;
  const contentType = head.headers.get("content-type");
  const watch =
    chat !== undefined
      ? chatWatch(
          chatBodyReader({ ...chat, thinking: "kept", contentType, createdSeconds: Math.floor(clock.nowMs() / 1000) }),
        )
      : /^\s*text\/event-stream\b/i.test(contentType ?? "")
        ? eventWatch()
        : jsonWatch();
  let ended = false;

  function finish(error: unknown): void {
    ended = true;
    idle.stop();
    for (const text of watch.notices) onNotice(text);
    onEnd(error);
  }
  function fail(thrown: unknown): void {
    if (ended) return;
    const error = ZephError.is(thrown) ? explain(thrown) : thrown;
    finish(error);
    sink.fail(error);
    options.leave();
  }
  function close(): void {
    if (ended) return;
    finish(undefined);
    sink.end();
  }
  /** The end of the bytes: the last ones go before the error. */
  function conclude(broken?: { readonly reason: unknown }): void {
    if (ended) return;
    const { bytes, error } = watch.end(broken !== undefined);
    if (bytes !== undefined && bytes.length > 0) sink.data(bytes);
    const reason = ZephError.is(broken?.reason) ? broken.reason : (error ?? broken?.reason);
    if (reason === undefined) close();
    else fail(reason);
  }
  function breakOff(reason: unknown): void {
    if (ended) return;
    if (!watch.isDone) conclude({ reason });
    else {
      close();
      options.leave();
    }
  }
  const idle = idleAlarm(options, breakOff);
  sink.head({ ...head, headers: shownHeaders(head.headers, chat), usageIn: watch.usageIn });
  return {
    data(bytes) {
      if (ended) return false;
      try {
        const shown = watch.push(bytes);
        idle.served(shown === undefined || shown.length === 0);
        const wantsMore = shown === undefined || shown.length === 0 || sink.data(shown);
        if (watch.error !== undefined) fail(watch.error);
        return wantsMore;
      } catch (thrown) {
        breakOff(thrown);
        return false;
      }
    },
    end: () => conclude(),
    fail: (thrown) => breakOff(undecodable(thrown) ?? thrown),
    waiting: idle.waiting,
    breakOff(reason) {
      // The caller's own reason goes back as it is; a deadline of ours still lets the last words out.
      if (watch.isDone || ZephError.is(reason)) breakOff(reason);
      else fail(reason);
    },
  };
}

/** What an upstream said of its answer. Headers that begin with zeph's own name are zeph's alone to set. */
export function upstreamHeaders(
  { record }: HeaderFields,
  without: readonly string[] = [],
): Record<string, HeaderRecord[string]> {
  const headers: Record<string, HeaderRecord[string]> = {};
  for (const name of Object.keys(record)) {
    if (!name.startsWith("x-zeph-") && !without.includes(name)) headers[name] = record[name];
  }
  return headers;
}

function undecodable(thrown: unknown): ZephError | undefined {
  if (!isDecodingFailure(thrown)) return undefined;
  return new ZephError("bad_response", { detail: "it is not coded as its content-encoding says", cause: thrown });
}

const CODING = ["content-encoding"];
const CODING_AND_LENGTH = ["content-encoding", "content-length"];

function shownHeaders(upstream: HeaderFields, chat: GuardOptions["chat"]): HeaderFields {
  // The body is decoded already, while the headers still announce the coded form.
  const isOtherLength = chat !== undefined || upstream.has("content-encoding");
  const headers = upstreamHeaders(upstream, isOtherLength ? CODING_AND_LENGTH : CODING);
  if (chat !== undefined) {
    const type = upstream.get("content-type") ?? "";
    if (chat.asked === "stream") {
      if (!/^text\/event-stream\b/.test(type)) headers["content-type"] = "text/event-stream";
    } else if (!/^application\/json\b/.test(type)) headers["content-type"] = "application/json";
  }
  return new HeaderFields(headers);
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
    usageIn: () => reader.usageIn,
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

/** Counts the time the upstream keeps us waiting, not the time a slow reader takes. Looks at it when the alarm is due. */
function idleAlarm(
  { idleMs, firstChunkMs, clock, alarm: makeAlarm }: GuardOptions,
  onSilence: (error: ZephError) => void,
) {
  let limitMs = Math.max(idleMs, firstChunkMs);
  let waitingSinceMs: number | undefined;
  const alarm = makeAlarm(() => {
    const leftMs = waitingSinceMs === undefined ? limitMs : waitingSinceMs + limitMs - elapsedMs(clock);
    if (leftMs > 1) alarm.arm(leftMs);
    else onSilence(timeoutError("timeout_idle", limitMs));
  });
  alarm.arm(limitMs);
  return {
    waiting() {
      waitingSinceMs ??= elapsedMs(clock);
    },
    /** @param isStillWaited these bytes were nothing that a reader could have */
    served(isStillWaited: boolean) {
      waitingSinceMs = isStillWaited && waitingSinceMs !== undefined ? elapsedMs(clock) : undefined;
      if (limitMs === idleMs) return;
      limitMs = idleMs;
      alarm.arm(limitMs);
    },
    stop: () => alarm.disarm(),
  };
}

/** What fetch decodes by itself, whatever the letter case (https://fetch.spec.whatwg.org/#handle-content-codings). */
const DECODED: ReadonlySet<string> = new Set(["gzip", "x-gzip", "deflate", "br"]);

/** Words that servers put there although nothing is coded. */
const PLAIN: ReadonlySet<string> = new Set([
  "",
  "identity",
  "none",
  "utf-8",
  "utf8",
  "chunked",
  "binary",
  "7bit",
  "8bit",
]);

/** The codings of a `content-encoding` header, in the order in which they were applied; none for a plain body. */
export function contentCodings(header: string | null): readonly string[] {
  const names = (header ?? "").split(",").map((name) => name.trim().replace(/^"|"$/g, "").toLowerCase());
  return names.filter((name) => !PLAIN.has(name));
}

/**
 * A coding that the body still has after fetch: one that it does not know, or any beside a word that is none, which keeps
 * it from decoding at all. Undefined for a body that can be read.
 */
export function codingLeft(header: string | null): string | undefined {
  const codings = contentCodings(header);
  const unknown = codings.find((name) => !DECODED.has(name));
  if (unknown !== undefined || codings.length === 0) return unknown;
  return codings.length === (header ?? "").split(",").length && !/"/.test(header ?? "") ? undefined : codings[0];
}
