import { errorBehind } from "../../client/error-response.ts";
import { ZephError } from "../../errors/zeph-error.ts";
import { scrub } from "../../internal/redact.ts";
import { jsonFault, parseForeignJson, SMALL_ANSWER_LIMITS } from "../../internal/scan-json.ts";
import { type Answer, type ByteSource, jsonAnswer } from "../answer.ts";
import { errorObject, toZephError } from "../error-answer.ts";
import { responseHeaders } from "../forward-headers.ts";
import type { RouteContext } from "../gateway-state.ts";
import { asObject } from "../read-json-body.ts";
import { passStream, type StreamEnd } from "../stream/pass-stream.ts";
import { readUsage } from "../usage.ts";

/** Whole answers up to this size are read before a byte is sent, so that one that breaks off is an error with a status. */
const MAX_HELD_BYTES = 1024 * 1024;

/** The upstream's response as the gateway's answer: bytes as they came, headers by a list, refusals without secrets. */
export async function upstreamAnswer(context: RouteContext, response: Response): Promise<Answer> {
  const headers = noteUpstream(context, response.headers);
  if (!response.ok) return refusalAnswer(context, response, headers);
  if (response.body === null) return { status: response.status, headers, body: null };
  if (isEventStream(response)) {
    return {
      status: response.status,
      headers: streamHeaders(headers),
      body: passStream(response.body, watcher(context)),
    };
  }
  return wholeAnswer(context, response, response.body, headers);
}

/** Notes who answered, and gives the headers that go back to the caller. */
export function noteUpstream({ exchange }: RouteContext, upstream: Headers): Record<string, string> {
  const { headers, upstreamRequestId } = responseHeaders(upstream);
  exchange.record.upstreamRequestId = upstreamRequestId;
  exchange.record.fallbackProvider = headers["x-zeph-fallback-provider"];
  return headers;
}

export function isEventStream(response: Response): boolean {
  return /^\s*text\/event-stream\b/i.test(response.headers.get("content-type") ?? "");
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
  response: Response,
  headers: Readonly<Record<string, string>>,
): Promise<Answer> {
  const error = errorBehind(response);
  exchange.record.errorCode = error?.code ?? "upstream_error";
  const given = errorIn(await response.text()) ?? errorObject(error ?? new ZephError("upstream_error")).error;
  const { message, type = null, code = null, param = null } = given;
  const words = type === "zeph_error" ? String(message) : scrub(String(message ?? ""));
  const shown = response.status === 401 ? `${words} (${keyNote(state.options.providerName, error)})` : words;
  const body = { error: { message: shown, type, code, param } };
  return jsonAnswer(body, response.status, { ...headers, "content-type": "application/json" });
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
  { status, headers: upstreamHeaders }: Response,
  stream: ReadableStream<Uint8Array>,
  headers: Readonly<Record<string, string>>,
): Promise<Answer> {
  const reader = stream.getReader();
  const chunks: Uint8Array[] = [];
  let length = 0;
  while (length <= MAX_HELD_BYTES) {
    const { done, value } = await reader.read();
    if (done) {
      const body = Buffer.concat(chunks, length);
      const value = parseWhole(body);
      if (value !== undefined) context.exchange.record.usage = readUsage(value, upstreamHeaders);
      return { status, headers, body };
    }
    chunks.push(value);
    length += value.byteLength;
  }
  return { status, headers, body: longAnswer(context, reader, chunks) };
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

function longAnswer(
  { exchange }: RouteContext,
  reader: ReadableStreamDefaultReader<Uint8Array>,
  read: Uint8Array[],
): ByteSource {
  return {
    async next() {
      const first = read.shift();
      if (first !== undefined) return first;
      try {
        const { done, value } = await reader.read();
        if (!done) return value;
        exchange.end("complete");
        return undefined;
      } catch (thrown) {
        exchange.record.errorCode = toZephError(thrown).code;
        exchange.end("failed");
        throw thrown;
      }
    },
    cancel(reason) {
      exchange.end("caller-left");
      reader.cancel(reason).catch(() => {
        // The upstream is broken already; there is nothing left to cancel.
      });
    },
  };
}
