import { HeaderFields, type HeaderList, type HeaderView } from "../base/header-fields.ts";
import { asObject, jsonFault, parseForeignJson, SMALL_ANSWER_LIMITS } from "../base/json.ts";
import { scrub } from "../base/secret.ts";
import { isZephErrorCode, ZephError } from "../errors.ts";
import { ask, type BegunAnswer, BODILESS, type ExchangeRequest } from "../transport/exchange.ts";
import { VERSION } from "../version.ts";
import { requestIdOf } from "../wire/refusals.ts";
import { type Answer, type ByteSource, errorObject, jsonAnswer, toZephError } from "./answer.ts";
import { readUsage, type Usage, usageInLines } from "./exchange.ts";
import type { RouteContext } from "./state.ts";

/** Whole answers up to this size are read before a byte is sent, so that one that breaks off is an error with a status. */
const MAX_HELD_BYTES = 1024 * 1024;

/** The upstream's answer as the gateway's: bytes as they came, headers by a list, refusals without secrets. */
export async function upstreamAnswer(context: RouteContext, begun: BegunAnswer): Promise<Answer> {
  const headers = noteUpstream(context, begun.headers);
  const { status } = begun;
  if (!isGood(begun)) return refusalAnswer(context, begun, headers);
  if (BODILESS.has(status)) {
    await readText(begun);
    return { status, headers, body: null };
  }
  if (isEventStream(begun))
    return { status, headers: streamHeaders(headers), body: passStream(begun, watcher(context)) };
  return wholeAnswer(context, begun, headers);
}

export function isGood({ status }: Pick<BegunAnswer, "status">): boolean {
  return status >= 200 && status < 300;
}

/** All of an answer. */
export async function readText(begun: BegunAnswer, maxBytes = Number.POSITIVE_INFINITY): Promise<string> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for (let piece = await begun.next(); piece !== undefined; piece = await begun.next()) {
    pieces.push(piece);
    length += piece.byteLength;
    if (length <= maxBytes) continue;
    begun.cancel();
    throw new ZephError("response_too_large", { detail: `more than ${maxBytes} bytes` });
  }
  return Buffer.concat(pieces, length).toString("utf8");
}

/** Notes who answered, and gives the headers that go back to the caller. */
export function noteUpstream({ exchange }: RouteContext, upstream: HeaderList): Record<string, string> {
  const { headers, upstreamRequestId } = responseHeaders(upstream);
  exchange.record.upstreamRequestId = upstreamRequestId;
  exchange.record.fallbackProvider = headers["x-zeph-fallback-provider"];
  return headers;
}

export function isEventStream({ headers }: Pick<BegunAnswer, "headers">): boolean {
  return /^\s*text\/event-stream\b/i.test(headers.get("content-type") ?? "");
}

/** Proxies on the way (nginx and others) must not hold a stream back. */
export function streamHeaders(headers: Readonly<Record<string, string>> = {}): Record<string, string> {
  return {
    "content-type": "text/event-stream; charset=utf-8",
    ...headers,
    "cache-control": "no-cache",
    "x-accel-buffering": "no",
  };
}

/** What a stream tells its exchange while it passes. */
export function watcher({ exchange }: RouteContext) {
  return {
    onPiece: exchange.firstByte,
    onUsage(usage: NonNullable<typeof exchange.record.usage>) {
      exchange.record.usage = usage;
    },
    onEnd({ outcome, error }: StreamEnd) {
      if (outcome === "failed") exchange.record.errorCode = toZephError(error).code;
      exchange.end(outcome);
    },
  };
}

/** A refusal keeps its status and words; a key that an operator repeats in them goes no further. */
async function refusalAnswer(
  { state, exchange }: RouteContext,
  begun: BegunAnswer,
  headers: Readonly<Record<string, string>>,
): Promise<Answer> {
  const { status, error } = begun;
  exchange.record.errorCode = error?.code ?? "upstream_error";
  const given = errorIn(await readText(begun)) ?? errorObject(error ?? new ZephError("upstream_error")).error;
  const { message, type = null, code = null, param = null } = given;
  const words = type === "zeph_error" ? String(message) : scrub(String(message ?? ""));
  const shown = status === 401 ? `${words} (${keyNote(state.options.providerName, error)})` : words;
  const body = { error: { message: shown, type, code, param } };
  return jsonAnswer(body, status, { ...headers, "content-type": "application/json" });
}

function errorIn(bodyText: string): Readonly<Record<string, unknown>> | undefined {
  try {
    return asObject(asObject(parseForeignJson(bodyText, SMALL_ANSWER_LIMITS))?.error);
  } catch {
    // A page or bare text; the error behind the response has the words.
    return undefined;
  }
}

/** A 401 from here is about the provider's key, while the caller has only the local one to look at. */
function keyNote(providerName = "gonka", error: ZephError | undefined): string {
  const hint = error === undefined ? "" : ` ${error.hint}`;
  return `the local key is good; it is the key of the provider "${providerName}" that was refused.${hint}`;
}

/** JSON: read as far as {@link MAX_HELD_BYTES}; what is longer is passed on while it arrives. */
async function wholeAnswer(
  context: RouteContext,
  begun: BegunAnswer,
  headers: Readonly<Record<string, string>>,
): Promise<Answer> {
  const { status } = begun;
  const chunks: Uint8Array[] = [];
  let length = 0;
  while (length <= MAX_HELD_BYTES) {
    const chunk = await begun.next();
    if (chunk === undefined) {
      const [only] = chunks;
      const body = chunks.length === 1 && only !== undefined ? asBuffer(only) : Buffer.concat(chunks, length);
      // What was read on its way is known to be an answer.
      const value = begun.usageIn === undefined ? parseWhole(body) : begun.usageIn();
      if (value !== undefined) context.exchange.record.usage = readUsage(value, begun.headers);
      return { status, headers, body };
    }
    chunks.push(chunk);
    length += chunk.byteLength;
  }
  return { status, headers, body: longAnswer(context, begun, chunks) };
}

const EVENT_LINE = /^\s*(?::|data|event|id|retry)/;

/** An answer that no client could read is the upstream's failure, and said to be. Undefined for events, which are read elsewhere. */
function parseWhole(body: Buffer): unknown {
  const text = body.toString("utf8");
  if (EVENT_LINE.test(text)) return undefined;
  try {
    return parseForeignJson(text, SMALL_ANSWER_LIMITS);
  } catch (cause) {
    const detail = text.trim() === "" ? "an empty answer came" : `the answer ${jsonFault(cause)}`;
    throw new ZephError("bad_response", { detail, charged: "yes", cause });
  }
}

function longAnswer({ exchange }: RouteContext, begun: BegunAnswer, read: Uint8Array[]): ByteSource {
  return {
    async next() {
      const first = read.shift();
      if (first !== undefined) return first;
      try {
        const piece = await begun.next();
        if (piece === undefined) exchange.end("complete");
        return piece;
      } catch (thrown) {
        exchange.record.errorCode = toZephError(thrown).code;
        exchange.end("failed");
        throw thrown;
      }
    },
    cancel(reason) {
      exchange.end("caller-left");
      begun.cancel(reason);
    },
  };
}

interface StreamEnd {
  readonly outcome: "complete" | "failed" | "caller-left";
  readonly error?: unknown;
}

interface PassStreamOptions {
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
function passStream(begun: BegunAnswer, { onPiece, onUsage, onEnd }: PassStreamOptions): ByteSource {
  /** The beginning of a line whose end has not come. */
  let tail: Uint8Array | undefined;
  let ended = false;
  let toldIn: unknown;

  function end(how: StreamEnd): void {
    if (!ended) onEnd(how);
    ended = true;
  }
  function usageBy(lines: Buffer): Usage | undefined {
    if (begun.usageIn === undefined) return usageInLines(lines);
    const told = begun.usageIn();
    if (told === undefined || told === toldIn) return undefined;
    toldIn = told;
    return readUsage(told);
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
          const piece = await begun.next();
          if (piece === undefined) {
            end({ outcome: "complete" });
            return tail;
          }
          const lines = wholeLines(piece);
          if (lines === undefined) continue;
          const usage = usageBy(lines);
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
      begun.cancel(reason);
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

/** Of a caller's headers only these go on: the rest names the caller, or belongs to the connection or its key. */
const SENT_ON = ["accept", "idempotency-key", "x-idempotency-key", "traceparent", "tracestate"] as const;

export function requestHeaders(given: HeaderView): HeaderFields {
  const headers: Record<string, string> = { "content-type": "application/json", "user-agent": `zeph/${VERSION}` };
  for (const name of SENT_ON) {
    const value = given.get(name);
    if (value !== null) headers[name] = value;
  }
  return new HeaderFields(headers);
}

/** Of an upstream's headers these come back, and those of rate limits. */
const PASSED_BACK: ReadonlySet<string> = new Set([
  "content-type",
  "retry-after",
  "retry-after-ms",
  "x-should-retry",
  "deprecation",
  "sunset",
  "openai-model",
  "openai-processing-ms",
  "openai-version",
]);

const ERROR_CODE = "x-zeph-error-code";
const FALLBACK_PROVIDER = "x-zeph-fallback-provider";

/** As names of provider records are. */
const PROVIDER_NAME = /^[A-Za-z0-9][\w.-]{0,63}$/;

/** What the connection below marks its answers with, when it can have come from there. */
function ownHeaders(upstream: HeaderView): Record<string, string> {
  const headers: Record<string, string> = {};
  const code = upstream.get(ERROR_CODE);
  if (isZephErrorCode(code)) headers[ERROR_CODE] = code;
  const provider = upstream.get(FALLBACK_PROVIDER);
  if (provider !== null && PROVIDER_NAME.test(provider)) headers[FALLBACK_PROVIDER] = provider;
  return headers;
}

/** Headers of the answer, with the upstream's request id under a name of its own: `x-request-id` is the gateway's. */
function responseHeaders(upstream: HeaderList): {
  readonly headers: Record<string, string>;
  readonly upstreamRequestId: string | undefined;
} {
  const headers = ownHeaders(upstream);
  for (const [name, value] of upstream) {
    if (name.startsWith("x-zeph-")) continue;
    if (PASSED_BACK.has(name) || name.startsWith("x-ratelimit-") || name.endsWith("-cost-usd")) headers[name] = value;
  }
  const upstreamRequestId = requestIdOf(upstream);
  if (upstreamRequestId !== undefined) headers["x-upstream-request-id"] = upstreamRequestId;
  return { headers, upstreamRequestId };
}

/** What is sent: the caller's own bytes where nothing was changed. */
interface Forwarded extends Pick<ExchangeRequest, "chat"> {
  readonly text: string;
  readonly bytes?: Uint8Array | undefined;
}

/**
 * Sends a JSON text to a path below the upstream's base URL: the one way out for everything that may cost money. Keeps to
 * the daily limit, and keeps the user's secrets here. Ends when the caller leaves.
 */
export async function forward(
  { state, exchange, request }: RouteContext,
  path: string,
  { text, bytes, chat }: Forwarded,
): Promise<BegunAnswer> {
  const masked = state.mask(text);
  if (masked !== text) exchange.record.changed = [...exchange.record.changed, MASKED];
  const { checkBudget } = state.options;
  const { requestId, model } = exchange.record;
  if (checkBudget !== undefined) await checkBudget({ requestId, model, body: masked });
  const body = masked === text && bytes !== undefined ? bytes : Buffer.from(masked);
  const headers = requestHeaders(request.headers);
  return begin(state, request, { method: "POST", path, headers, body, chat });
}

/** One exchange with the upstream, which the caller ends by leaving. */
export function begin(
  { exchange }: Pick<RouteContext["state"], "exchange">,
  request: RouteContext["request"],
  asked: ExchangeRequest,
): Promise<BegunAnswer> {
  const under = ask((sink) => exchange(asked, sink));
  request.onLeave((reason) => under.abort(reason));
  return under.begun;
}

/** How a request is marked in which one of the user's secrets stood. */
const MASKED = "secrets";
