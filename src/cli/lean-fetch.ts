import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import type { Readable, Transform } from "node:stream";
import { createBrotliDecompress, createGunzip, createInflate } from "node:zlib";
import type { Dispatcher } from "undici";
import { type Clock, systemClock } from "../internal/clock.ts";
import { contentCodings } from "../transport/content-coding.ts";
import type { FetchFunction } from "../transport/fetch-function.ts";
import { noteKeepAliveRace } from "../transport/keep-alive-race.ts";

/** How one request is sent, and what came back of it. */
type Exchange = (
  url: URL,
  request: {
    readonly method: string;
    readonly headers: Record<string, string>;
    readonly body: string | Uint8Array | null;
    readonly signal: AbortSignal | null;
  },
) => Promise<Pick<Dispatcher.ResponseData, "statusCode" | "headers"> & { readonly body: Readable }>;

/**
 * A `fetch` for programs that make thousands of requests: Node 20's own spends three to eight times the processor time
 * on each (bench/gateway.mjs). It takes what the transport gives it (an address, headers, a body of bytes or text, a
 * signal) and never follows a redirect.
 */
export function leanFetch(dispatcher: Dispatcher): FetchFunction {
  return fetchBy(({ origin, pathname, search }, { method, ...request }) =>
    dispatcher.request({
      ...request,
      origin,
      path: pathname + search,
      method: method as Dispatcher.HttpMethod,
      // The transport has deadlines of its own, which know more about slow nodes.
      headersTimeout: 0,
      bodyTimeout: 0,
    }),
  );
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
          resolve({ statusCode: response.statusCode ?? 0, headers: response.headers, body: response });
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
    const { statusCode, headers, body } = await exchange(url, {
      method: init.method ?? "GET",
      headers: toRecord(init.headers),
      body: toBody(init.body),
      signal: init.signal ?? null,
    });
    return toResponse(statusCode, headers, body);
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

function toResponse(status: number, given: Dispatcher.ResponseData["headers"], body: Readable): Response {
  const headers = new Headers();
  for (const [name, value] of Object.entries(given)) {
    for (const each of Array.isArray(value) ? value : [value]) if (each !== undefined) headers.append(name, each);
  }
  if (BODILESS.has(status)) {
    body.resume();
    return new Response(null, { status, headers });
  }
  const codings = contentCodings(headers.get("content-encoding"));
  const decoders = codings.map(decoderFor);
  // What cannot be decoded keeps its header, by which the transport names it.
  if (!decoders.every((decoder) => decoder !== undefined)) return new Response(toStream(body), { status, headers });
  headers.delete("content-encoding");
  return new Response(toStream(decoded(body, decoders)), { status, headers });
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
