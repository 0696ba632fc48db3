import { Agent as HttpAgent, request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { Readable, type Transform } from "node:stream";
import type { ReadableStream as NodeStream } from "node:stream/web";
import { createBrotliDecompress, createGunzip, createInflate } from "node:zlib";
import type { Dispatcher } from "undici";
import { type Clock, systemClock } from "../base/time.ts";
import type { FetchFunction } from "../base/world.ts";
import { noteKeepAliveRace } from "../transport/attempt.ts";
import { contentCodings } from "../transport/body.ts";

/** How one request is sent, and what came back of it. */
type Exchange = (url: URL, request: SentRequest) => Promise<Upstream>;

interface SentRequest {
  readonly method: string;
  readonly headers: Record<string, string>;
  readonly body: string | Uint8Array | null;
  readonly signal: AbortSignal | null;
}

interface Upstream {
  readonly statusCode: number;
  readonly headers: IncomingHttpHeaders;
  /** The body, in the form that the next step takes. One of the two may be called, once. */
  stream(): ReadableStream<Uint8Array>;
  readable(): Readable;
}

/**
 * A `fetch` for programs that make thousands of requests: Node 20's own spends three to eight times the processor time
 * on each (bench/gateway.mjs). It takes what the transport gives it (an address, headers, a body of bytes or text, a
 * signal) and never follows a redirect.
 */
export function leanFetch(dispatcher: Dispatcher): FetchFunction {
  return fetchBy((url, request) => dispatched(dispatcher, url, request));
}

/** Bytes that may wait for their reader before the server is asked to wait. */
const MAX_WAITING_BYTES = 64 * 1024;

/** By undici's lowest door: bytes go from its parser to the reader, with nothing in between. */
function dispatched(
  dispatcher: Dispatcher,
  { origin, pathname, search }: URL,
  { method, signal, ...request }: SentRequest,
): Promise<Upstream> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    let connection: Dispatcher.DispatchController | undefined;
    let waiting: Uint8Array[] = [];
    let waitingBytes = 0;
    let state: "open" | "ended" | { readonly error: unknown } = "open";
    /** Called when there is something new for a reader that waits. */
    let wake: (() => void) | undefined;

    const leave = () => connection?.abort(toError(signal?.reason));
    signal?.addEventListener("abort", leave, { once: true });
    function settle(how: typeof state): void {
      state = how;
      signal?.removeEventListener("abort", leave);
      wake?.();
    }
    function taken(): Uint8Array {
      const [first = new Uint8Array()] = waiting;
      const all = waiting.length === 1 ? first : Buffer.concat(waiting, waitingBytes);
      waiting = [];
      waitingBytes = 0;
      return all;
    }
    const stream = () =>
      new ReadableStream<Uint8Array>(
        {
          async pull(controller) {
            if (waiting.length === 0 && state === "open") {
              if (connection?.paused === true) connection.resume();
              await new Promise<void>((resolve) => {
                wake = resolve;
              });
              wake = undefined;
            }
            // Pieces that came while nobody looked are given out as one: under load that saves most of the work.
            if (waiting.length > 0) controller.enqueue(taken());
            else if (typeof state === "object") throw state.error;
            else controller.close();
          },
          cancel: (reason) => connection?.abort(toError(reason)),
        },
        // Nothing ahead of the reader, so that a slow one slows the server.
        { highWaterMark: 0 },
      );
    dispatcher.dispatch(
      {
        ...request,
        origin,
        path: pathname + search,
        method: method as Dispatcher.HttpMethod,
        // The transport has deadlines of its own, which know more about slow nodes.
        headersTimeout: 0,
        bodyTimeout: 0,
      },
      {
        onRequestStart(controller) {
          connection = controller;
          if (signal?.aborted === true) leave();
        },
        onResponseStart(_controller, statusCode, headers) {
          if (statusCode < 200) return;
          resolve({
            statusCode,
            headers,
            stream,
            readable: () => Readable.fromWeb(stream() as NodeStream<Uint8Array>),
          });
        },
        onResponseData(controller, piece) {
          waiting.push(piece);
          waitingBytes += piece.byteLength;
          if (wake !== undefined) wake();
          else if (waitingBytes > MAX_WAITING_BYTES) controller.pause();
        },
        onResponseEnd: () => settle("ended"),
        onResponseError(_controller, error) {
          settle({ error });
          reject(error);
        },
      },
    );
  });
}

function toError(reason: unknown): Error {
  return reason instanceof Error ? reason : new DOMException("the reader has left", "AbortError");
}

/**
 * The same for commands that make a few requests and end: on `node:http`, which is there already, while Node's own fetch
 * compiles an HTTP parser of its own before the first request leaves.
 */
export function plainFetch(clock: Clock = systemClock): FetchFunction {
  const agents = { "http:": new HttpAgent(KEPT), "https:": new HttpsAgent(KEPT) };
  const promised = new WeakMap<object, boolean>();
  return fetchBy(
    (url, { method, headers, body, signal }) =>
      new Promise((resolve, reject) => {
        signal?.throwIfAborted();
        const isSecure = url.protocol === "https:";
        const agent = isSecure ? agents["https:"] : agents["http:"];
        const sent = { accept: "*/*", "user-agent": "node", ...headers };
        const request = (isSecure ? httpsRequest : httpRequest)(url, { agent, method, headers: sent });
        let answer: IncomingMessage | undefined;
        const leave = () => (answer ?? request).destroy(signal?.reason);
        signal?.addEventListener("abort", leave, { once: true });
        request.once("socket", (socket) => {
          if (!socket.connecting) return;
          const cancel = clock.schedule(CONNECT_MS, () => request.destroy(new ConnectTimeout()));
          socket.once(isSecure ? "secureConnect" : "connect", cancel).once("close", cancel);
        });
        request.once("response", (response) => {
          answer = response;
          promised.set(response.socket, /timeout\s*=\s*\d/i.test(String(response.headers["keep-alive"])));
          response.once("close", () => signal?.removeEventListener("abort", leave));
          const { statusCode = 0, headers } = response;
          resolve({ statusCode, headers, stream: () => toStream(response), readable: () => response });
        });
        request.on("error", (error) => {
          signal?.removeEventListener("abort", leave);
          const { socket } = request;
          if (request.reusedSocket && socket !== null && promised.get(socket) === false) noteKeepAliveRace(error);
          reject(error);
        });
        request.end(body ?? undefined);
      }),
  );
}

/** Idle connections are kept for as long as undici keeps them. */
const KEPT = { keepAlive: true, timeout: 4_000 } as const;
const CONNECT_MS = 10_000;

class ConnectTimeout extends Error {
  readonly code = "UND_ERR_CONNECT_TIMEOUT";
}

function fetchBy(exchange: Exchange): FetchFunction {
  return async (input, init = {}) => {
    const url = new URL(input instanceof Request ? input.url : input);
    const upstream = await exchange(url, {
      method: init.method ?? "GET",
      headers: toRecord(init.headers),
      body: toBody(init.body),
      signal: init.signal ?? null,
    });
    return toResponse(upstream);
  };
}

function toRecord(headers: RequestInit["headers"]): Record<string, string> {
  return headers === undefined ? {} : Object.fromEntries(new Headers(headers));
}

function toBody(body: RequestInit["body"]): string | Uint8Array | null {
  if (body === undefined || body === null || typeof body === "string" || body instanceof Uint8Array)
    return body ?? null;
  throw new TypeError("this fetch takes text and bytes only");
}

/** Statuses that have no body; `Response` refuses one. */
const BODILESS: ReadonlySet<number> = new Set([101, 103, 204, 205, 304]);

function toResponse({ statusCode: status, headers: given, stream, readable }: Upstream): Response {
  const headers = new Headers();
  for (const [name, value] of Object.entries(given)) {
    for (const each of Array.isArray(value) ? value : [value]) if (each !== undefined) headers.append(name, each);
  }
  if (BODILESS.has(status)) {
    readable().resume();
    return new Response(null, { status, headers });
  }
  const codings = contentCodings(headers.get("content-encoding"));
  if (codings.length === 0) {
    headers.delete("content-encoding");
    return new Response(stream(), { status, headers });
  }
  const decoders = codings.map(decoderFor);
  // What cannot be decoded keeps its header, by which the transport names it.
  if (!decoders.every((decoder) => decoder !== undefined)) return new Response(stream(), { status, headers });
  headers.delete("content-encoding");
  return new Response(toStream(decoded(readable(), decoders)), { status, headers });
}

/** Nothing coded is asked for; some servers send it all the same. The coding applied last comes off first. */
function decoded(body: Readable, decoders: readonly Transform[]): Readable {
  return decoders.reduceRight<Readable>((source, decoder) => {
    source.on("error", (error) => decoder.destroy(error));
    decoder.on("close", () => source.destroy());
    return source.pipe(decoder);
  }, body);
}

function decoderFor(coding: string): Transform | undefined {
  switch (coding) {
    case "gzip":
    case "x-gzip":
      return createGunzip();
    case "br":
      return createBrotliDecompress();
    case "deflate":
      return createInflate();
    default:
      return undefined;
  }
}

/** The body as a web stream. Pieces that came while nobody looked are given out as one: under load that saves most of the work. */
function toStream(body: Readable): ReadableStream<Uint8Array> {
  /** Gives out what is there; false when the reader has to wait. */
  let give: (() => boolean) | undefined;
  const look = () => {
    if (give?.() === true) give = undefined;
  };
  body.on("readable", look).on("end", look).on("error", look).on("close", look);
  return new ReadableStream<Uint8Array>(
    {
      pull: (controller) =>
        new Promise<void>((resolve, reject) => {
          give = () => {
            const piece: Uint8Array | null = body.read();
            if (piece !== null) controller.enqueue(piece);
            else if (body.readableEnded) controller.close();
            else if (body.destroyed) reject(body.errored ?? new Error("the connection was closed"));
            else return false;
            resolve();
            return true;
          };
          look();
        }),
      cancel() {
        give = undefined;
        body.destroy();
      },
    },
    // Nothing ahead of the reader, so that a slow one slows the server.
    { highWaterMark: 0 },
  );
}
