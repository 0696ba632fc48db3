import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import type { Transform } from "node:stream";
import { createBrotliDecompress, createGunzip, createInflate } from "node:zlib";
import type { Dispatcher } from "undici";
import { HeaderFields } from "../base/header-fields.ts";
import { type Clock, systemClock } from "../base/time.ts";
import { noteKeepAliveRace } from "../transport/attempt.ts";
import { contentCodings } from "../transport/body.ts";
import {
  type AnswerSink,
  askForResponse,
  type Carry,
  type CarryingFetch,
  type Underway,
} from "../transport/exchange.ts";

/**
 * A `fetch` for programs that make thousands of requests: Node 20's own spends three to eight times the processor time
 * on each (bench/gateway.mjs). It takes what the transport gives it (an address, headers, a body of bytes or text, a
 * signal) and never follows a redirect. The transport itself goes by what lies below it, without web objects.
 */
export function leanFetch(dispatcher: Dispatcher): CarryingFetch {
  return fetchOver(decoding((request, sink) => dispatched(dispatcher, request, sink)));
}

/** By undici's lowest door: bytes go from its parser to the sink, with nothing in between. */
function dispatched(
  dispatcher: Dispatcher,
  { url, method, headers, body }: Parameters<Carry>[0],
  sink: AnswerSink,
): Underway {
  let connection: Dispatcher.DispatchController | undefined;
  let leaving: { readonly reason: unknown } | undefined;
  let isOver = false;
  const pathAt = url.indexOf("/", url.indexOf("://") + "://".length);

  function fail(error: unknown): void {
    if (isOver) return;
    isOver = true;
    sink.fail(error);
  }
  const options: Dispatcher.DispatchOptions = {
    origin: url.slice(0, pathAt),
    path: url.slice(pathAt),
    method: method as Dispatcher.HttpMethod,
    headers,
    body: body ?? null,
    // The transport has deadlines of its own, which know more about slow nodes.
    headersTimeout: 0,
    bodyTimeout: 0,
  };
  const handler: Dispatcher.DispatchHandler = {
    onRequestStart(controller) {
      connection = controller;
      if (leaving !== undefined) controller.abort(toError(leaving.reason));
    },
    onResponseStart(_controller, status, fields, statusText = "") {
      if (status >= 200 && !isOver) sink.head({ status, statusText, headers: new HeaderFields(fields) });
    },
    onResponseData(controller, piece) {
      if (!isOver && !sink.data(piece)) controller.pause();
    },
    onResponseEnd() {
      if (isOver) return;
      isOver = true;
      sink.end();
    },
    onResponseError: (_controller, error) => fail(error),
  };
  try {
    dispatcher.dispatch(options, handler);
  } catch (error) {
    // What cannot be sent at all. A sink hears nothing before its exchange has begun.
    queueMicrotask(() => fail(error));
  }
  return {
    abort(reason) {
      if (isOver) return;
      leaving = { reason };
      fail(reason);
      connection?.abort(toError(reason));
    },
    resume() {
      if (connection?.paused === true) connection.resume();
    },
  };
}

function toError(reason: unknown): Error {
  return reason instanceof Error ? reason : new DOMException("the reader has left", "AbortError");
}

/**
 * The same for commands that make a few requests and end: on `node:http`, which is there already, while Node's own fetch
 * compiles an HTTP parser of its own before the first request leaves.
 */
export function plainFetch(clock: Clock = systemClock): CarryingFetch {
  const agents = { "http:": new HttpAgent(KEPT), "https:": new HttpsAgent(KEPT) };
  const promised = new WeakMap<object, boolean>();
  return fetchOver(
    decoding(({ url, method, headers, body }, sink) => {
      const isSecure = url.startsWith("https:");
      const agent = isSecure ? agents["https:"] : agents["http:"];
      const sent = { accept: "*/*", "user-agent": "node", ...headers };
      let isOver = false;
      let answer: IncomingMessage | undefined;
      function fail(error: unknown): void {
        if (isOver) return;
        isOver = true;
        sink.fail(error);
      }
      const request = (isSecure ? httpsRequest : httpRequest)(url, { agent, method, headers: sent });
      request.once("socket", (socket) => {
        if (!socket.connecting) return;
        const cancel = clock.schedule(CONNECT_MS, () => request.destroy(new ConnectTimeout()));
        socket.once(isSecure ? "secureConnect" : "connect", cancel).once("close", cancel);
      });
      request.once("response", (response) => {
        answer = response;
        promised.set(response.socket, /timeout\s*=\s*\d/i.test(String(response.headers["keep-alive"])));
        response.on("data", (piece: Buffer) => {
          if (!isOver && !sink.data(piece)) response.pause();
        });
        response.once("end", () => {
          if (isOver) return;
          isOver = true;
          sink.end();
        });
        response.once("error", fail);
        response.once("close", () => fail(new Error("the connection was closed")));
        const { statusCode: status = 0, statusMessage: statusText = "" } = response;
        if (!isOver) sink.head({ status, statusText, headers: new HeaderFields(response.headers) });
      });
      request.on("error", (error) => {
        const { socket } = request;
        if (request.reusedSocket && socket !== null && promised.get(socket) === false) noteKeepAliveRace(error);
        fail(error);
      });
      request.end(body);
      return {
        abort(reason) {
          if (isOver) return;
          fail(reason);
          (answer ?? request).destroy();
        },
        resume() {
          answer?.resume();
        },
      };
    }),
  );
}

/** Idle connections are kept for as long as undici keeps them. */
const KEPT = { keepAlive: true, timeout: 4_000 } as const;
const CONNECT_MS = 10_000;

class ConnectTimeout extends Error {
  readonly code = "UND_ERR_CONNECT_TIMEOUT";
}

/** A `fetch` around a way to carry requests. */
function fetchOver(carry: Carry): CarryingFetch {
  return Object.assign(
    async (input: string | URL | Request, init: RequestInit = {}) => {
      const { href: url } = new URL(input instanceof Request ? input.url : input);
      const { method = "GET", signal } = init;
      const headers = init.headers === undefined ? {} : Object.fromEntries(new Headers(init.headers));
      const body = toBytes(init.body);
      return askForResponse((sink) => carry({ url, method, headers, body }, sink), signal);
    },
    { carry },
  );
}

function toBytes(body: RequestInit["body"]): Uint8Array | undefined {
  if (body === undefined || body === null) return undefined;
  if (typeof body === "string") return Buffer.from(body);
  if (body instanceof Uint8Array) return body;
  throw new TypeError("this fetch takes text and bytes only");
}

/** Nothing coded is asked for; some servers send it all the same. What cannot be decoded keeps its header, by which the transport names it. */
function decoding(carry: Carry): Carry {
  return (request, sink) => {
    let decoder: Decoder | undefined;
    const underway = carry(request, {
      head(head) {
        const codings = contentCodings(head.headers.get("content-encoding"));
        const decoders = codings.map(decoderFor).filter((each) => each !== undefined);
        if (!head.headers.has("content-encoding") || decoders.length < codings.length) return sink.head(head);
        sink.head({ ...head, headers: new HeaderFields(head.headers.without(["content-encoding"])) });
        if (decoders.length > 0) decoder = decoded(decoders, sink, () => underway);
      },
      data: (bytes) => (decoder ?? sink).data(bytes),
      end: () => (decoder ?? sink).end(),
      fail: (error) => (decoder ?? sink).fail(error),
    });
    return {
      abort(reason) {
        underway.abort(reason);
      },
      resume() {
        decoder?.resume();
        underway.resume();
      },
    };
  };
}

interface Decoder extends Omit<AnswerSink, "head"> {
  resume(): void;
}

/** @param decoders in the order in which the codings were applied: the last comes off first */
function decoded(decoders: readonly Transform[], sink: AnswerSink, underway: () => Underway): Decoder {
  const [first, ...rest] = [...decoders].reverse();
  if (first === undefined) return { ...sink, resume: () => {} };
  let isOver = false;
  function settle(end: () => void): void {
    if (isOver) return;
    isOver = true;
    for (const each of decoders) each.destroy();
    end();
  }
  const last = rest.reduce((source, decoder) => source.pipe(decoder), first);
  for (const each of decoders) {
    each.on("error", (error) => {
      settle(() => sink.fail(error));
      underway().abort(error);
    });
  }
  first.on("drain", () => underway().resume());
  last.on("data", (piece: Buffer) => {
    if (!isOver && !sink.data(piece)) last.pause();
  });
  last.on("end", () => settle(() => sink.end()));
  return {
    data: (bytes) => !isOver && first.write(bytes),
    end: () => void first.end(),
    fail: (error) => settle(() => sink.fail(error)),
    resume: () => void last.resume(),
  };
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
