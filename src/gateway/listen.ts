import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { Writable } from "node:stream";
import { HeaderFields } from "../base/header-fields.ts";
import { type Clock, systemClock } from "../base/time.ts";
import { ZephError } from "../errors.ts";
import { isLoopback } from "../wire/endpoint.ts";
import { type Answer, type ByteSource, fillSilence, isByteSource } from "./answer.ts";
import type { GatewayRequest } from "./exchange.ts";
import type { LocalGateway } from "./gateway.ts";
import { LOCAL_KEY_NAME } from "./state.ts";

export interface ListenOptions {
  /** Default 8424; 0 takes any free one. */
  readonly port?: number;
  /** Default 127.0.0.1: nobody but this computer. */
  readonly hostname?: string;
  /** How long the headers of a request may take to arrive. Default 10 000. */
  readonly headersTimeoutMs?: number;
  /** How long a whole request may take to arrive. Default 120 000. */
  readonly requestTimeoutMs?: number;
  /** How long a connection is kept without a request. Default 65 000, longer than clients keep theirs. */
  readonly keepAliveMs?: number;
  /** How long a caller may take no byte of its answer. Default 120 000. */
  readonly stallMs?: number;
  /** Connections at once; for a further one, the one that has been idle longest is closed. Default 8192. */
  readonly maxConnections?: number;
  readonly clock?: Clock;
  /** Asked before the gateway; `undefined` leaves the request to it. @param peer address at the other end */
  readonly before?: ((request: GatewayRequest, peer: string | undefined) => Promise<Answer> | undefined) | undefined;
}

export interface Listening {
  /** Such as `http://127.0.0.1:8424/v1`: what clients take as their base URL. */
  readonly baseURL: string;
  readonly port: number;
  /** Takes no new connections, lets requests under way end for up to `graceMs` (default 30 000), then ends them. */
  close(options?: { readonly graceMs?: number }): Promise<void>;
}

export const DEFAULT_PORT = 8424;
const NO_ADDRESS: Answer = { status: 400, headers: {}, body: null };
const DEFAULT_GRACE_MS = 30_000;

/**
 * Serves a local gateway over HTTP/1.1. Throws `usage` when the port is taken or not allowed, and when other computers
 * could reach the address while the key is none or too weak for that.
 *
 * @example
 * ```ts
 * const listening = await listen(gateway);
 * console.log(listening.baseURL); // http://127.0.0.1:8424/v1
 * await listening.close();
 * ```
 */
export async function listen(gateway: LocalGateway, options: ListenOptions = {}): Promise<Listening> {
  const { port = DEFAULT_PORT, hostname = "127.0.0.1", clock = systemClock, stallMs = 120_000 } = options;
  refuseWeakKey(gateway, hostname);
  async function serve(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const request = incomingRequest(incoming, outgoing);
    const early = request && options.before?.(request, incoming.socket.remoteAddress);
    const answer = request === undefined ? NO_ADDRESS : await (early ?? gateway.answer(request));
    if (gateway.draining) outgoing.shouldKeepAlive = false;
    drainAfter(incoming, outgoing, clock);
    await writeAnswer(outgoing, answer, { clock, stallMs });
  }
  const server = createServer(serverOptions(options), (incoming, outgoing) => {
    // What cannot be written (a header that no header can hold) is no reason to end the server.
    serve(incoming, outgoing).catch(() => outgoing.destroy());
  });
  const idle = idleConnections(server, options.maxConnections ?? 8192);
  await started(server, port, hostname);
  const address = server.address() as AddressInfo;
  const host = address.family === "IPv6" ? `[${address.address}]` : address.address;
  return {
    baseURL: `http://${host}:${address.port}/v1`,
    port: address.port,
    close: ({ graceMs = DEFAULT_GRACE_MS } = {}) => closed(server, { gateway, idle, clock, graceMs }),
  };
}

/** Whoever reaches the endpoint can try keys, and spends the user's money with the right one. */
function refuseWeakKey({ keyWeakness }: LocalGateway, hostname: string): void {
  const url = `http://${hostname.includes(":") ? `[${hostname.replace(/^\[|\]$/g, "")}]` : hostname}`;
  if (keyWeakness === undefined || (URL.canParse(url) && isLoopback(url))) return;
  throw new ZephError("usage", {
    detail: `other computers can reach ${hostname}, and the local key is too weak for that: it ${keyWeakness}`,
    hint: `Use a longer one: without one of your own (\`zeph vault rm ${LOCAL_KEY_NAME}\`), \`zeph serve\` makes a strong one. Or serve on 127.0.0.1.`,
  });
}

/** Sockets that say nothing, or say it a byte at a time, cost a little memory until these run out. */
function serverOptions({ headersTimeoutMs = 10_000, requestTimeoutMs = 120_000, keepAliveMs = 65_000 }: ListenOptions) {
  return {
    headersTimeout: headersTimeoutMs,
    requestTimeout: requestTimeoutMs,
    keepAliveTimeout: keepAliveMs,
    connectionsCheckingInterval: Math.min(headersTimeoutMs, 5_000),
    noDelay: true,
  };
}

function started(server: Server, port: number, hostname: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      reject(
        new ZephError("usage", {
          detail: `cannot listen on ${hostname} port ${port} (${cause.code ?? cause.message})`,
          hint: "Choose another port with --port, or 0 for any free one.",
          cause,
        }),
      );
    });
    server.listen(port, hostname, resolve);
  });
}

function closed(
  server: Server,
  given: {
    readonly gateway: LocalGateway;
    readonly idle: IdleConnections;
    readonly clock: Clock;
    readonly graceMs: number;
  },
): Promise<void> {
  given.gateway.drain();
  return new Promise((resolve) => {
    const cancelForce = given.clock.schedule(given.graceMs, () => server.closeAllConnections());
    server.close(() => {
      cancelForce();
      resolve();
    });
    given.idle.close();
  });
}

interface WriteOptions {
  readonly clock: Clock;
  /** How long a caller may take no byte at all before it is given up on. */
  readonly stallMs: number;
}

/** Writes an answer to a socket, as fast as the caller reads and no faster. Resolves when nothing more will be written. */
async function writeAnswer(outgoing: ServerResponse, answer: Answer, options: WriteOptions): Promise<void> {
  const { status, headers, body } = answer;
  if (outgoing.destroyed) {
    if (isByteSource(body)) body.cancel(leftReason());
    return;
  }
  if (isByteSource(body)) {
    outgoing.writeHead(status, headers);
    outgoing.flushHeaders();
    return pump(outgoing, body, options);
  }
  const length = body === null ? 0 : Buffer.byteLength(body);
  outgoing.writeHead(status, status === 204 || status === 304 ? headers : { ...headers, "content-length": length });
  // Head and body go out as one: Node joins texts, and every byte is a sign of this alphabet.
  if (Buffer.isBuffer(body) && length <= MAX_JOINED_BYTES) outgoing.end(body.toString("latin1"), "latin1");
  else outgoing.end(body ?? undefined);
  if (outgoing.writableNeedDrain) await finished(outgoing, options);
}

const MAX_JOINED_BYTES = 64 * 1024;

/**
 * Writes the pieces of an answer, each with its frame in one write: Node makes three of it. Where the answer has no frames
 * (HTTP/1.0), or an earlier one still holds the socket, Node writes.
 */
function pieceWriter(outgoing: ServerResponse): (piece: Uint8Array | string) => boolean {
  const { socket } = outgoing;
  if (!outgoing.chunkedEncoding || socket === null) return (piece) => outgoing.write(piece);
  return (piece) => {
    const length = Buffer.byteLength(piece);
    if (length === 0) return true;
    const size = `${length.toString(16)}\r\n`;
    const frame = Buffer.allocUnsafe(size.length + length + 2);
    frame.write(size, "latin1");
    if (typeof piece === "string") frame.write(piece, size.length);
    else frame.set(piece, size.length);
    frame.write("\r\n", size.length + length, "latin1");
    return socket.write(frame);
  };
}

async function pump(outgoing: ServerResponse, source: ByteSource, options: WriteOptions): Promise<void> {
  const leave = () => source.cancel(leftReason());
  const write = pieceWriter(outgoing);
  const silence = fillSilence(options.clock, source.filler, write);
  outgoing.once("close", leave);
  try {
    for (;;) {
      silence.waiting();
      const piece = await source.next();
      silence.served();
      if (outgoing.destroyed) return;
      if (piece === undefined) break;
      if (!write(piece)) await drained(outgoing, options);
      if (outgoing.destroyed) return;
    }
    outgoing.end();
    outgoing.off("close", leave);
    if (outgoing.writableLength > 0) await finished(outgoing, options);
  } catch {
    // The answer broke off where no words can be added: a connection that ends is all that is left to say it with.
    outgoing.destroy();
  } finally {
    silence.stop();
  }
}

function leftReason(): DOMException {
  return new DOMException("the caller closed the connection", "AbortError");
}

function drained(outgoing: ServerResponse, options: WriteOptions): Promise<void> {
  return untilEvent(outgoing, { of: outgoing.socket ?? outgoing, event: "drain" }, options);
}

function finished(outgoing: ServerResponse, options: WriteOptions): Promise<void> {
  return untilEvent(outgoing, { of: outgoing, event: "finish" }, options);
}

/** Waits for the event or the end of the connection; a caller that takes nothing for too long is disconnected. */
function untilEvent(
  outgoing: ServerResponse,
  { of, event }: { readonly of: Writable; readonly event: "drain" | "finish" },
  options: WriteOptions,
): Promise<void> {
  return new Promise((resolve) => {
    const cancelStall = options.clock.schedule(options.stallMs, () => outgoing.destroy());
    const settle = () => {
      cancelStall();
      of.off(event, settle);
      outgoing.off("close", settle);
      resolve();
    };
    of.once(event, settle);
    outgoing.once("close", settle);
  });
}

/** The connections of a server that have no request under way. */
interface IdleConnections {
  /** Closes them, and from now on every connection whose request has ended. */
  close(): void;
}

/**
 * Node's own `closeIdleConnections` leaves those open that never sent anything, such as a browser's spare ones; and its
 * `maxConnections` turns the newest away, so that a program which opens and forgets connections would shut out all others.
 * @param maxConnections beyond it the connection that has been idle longest makes room; a new one is closed when none is
 */
function idleConnections(server: Server, maxConnections: number): IdleConnections {
  /** The one that has been idle longest stands first. */
  const idle = new Set<Socket>();
  let open = 0;
  let isClosing = false;
  server.on("connection", (socket) => {
    open += 1;
    socket.once("close", () => {
      open -= 1;
      idle.delete(socket);
    });
    if (open > maxConnections) {
      const [longestIdle = socket] = idle;
      idle.delete(longestIdle);
      longestIdle.destroy();
    }
    if (!socket.destroyed) idle.add(socket);
  });
  server.on("request", ({ socket }, outgoing) => {
    idle.delete(socket);
    outgoing.once("close", () => {
      if (socket.destroyed) return;
      if (isClosing) socket.destroySoon();
      else idle.add(socket);
    });
  });
  return {
    close() {
      isClosing = true;
      for (const socket of idle) socket.destroy();
    },
  };
}

/** `undefined` when the request line or the `Host` header name no address that could be meant. */
function incomingRequest(incoming: IncomingMessage, outgoing: ServerResponse): GatewayRequest | undefined {
  const address = addressOf(incoming);
  return address === undefined ? undefined : new SocketRequest(incoming, outgoing, address);
}

class SocketRequest implements GatewayRequest {
  readonly method: string;
  readonly target: string;
  readonly host: string;
  readonly headers: HeaderFields;
  readonly #incoming: IncomingMessage;
  #leave: ((reason: unknown) => void)[] = [];
  #reason: DOMException | undefined;

  constructor(incoming: IncomingMessage, outgoing: ServerResponse, { host, target }: Address) {
    const { method = "GET", headers } = incoming;
    this.method = method;
    this.target = target;
    this.host = host;
    // Node has put names in lower case and joined what came several times.
    this.headers = new HeaderFields(headers);
    this.#incoming = incoming;
    outgoing.once("close", () => {
      if (incoming.errored !== null || !outgoing.writableFinished) this.#left();
    });
  }

  get hasLeft(): boolean {
    return this.#reason !== undefined;
  }

  /** Made when somebody wants one: most requests go their way without. */
  get signal(): AbortSignal {
    const controller = new AbortController();
    this.onLeave((reason) => controller.abort(reason));
    return controller.signal;
  }

  onLeave(leave: (reason: unknown) => void): void {
    if (this.#reason !== undefined) leave(this.#reason);
    else this.#leave.push(leave);
  }

  #left(): void {
    if (this.#reason !== undefined) return;
    this.#reason = leftReason();
    for (const leave of this.#leave) leave(this.#reason);
    this.#leave = [];
  }

  /** A body that breaks off is a caller that left, whichever of the two is noticed first. */
  read(take: (piece: Uint8Array) => void): Promise<void> {
    const incoming = this.#incoming;
    return new Promise((resolve, reject) => {
      const settle = (end: () => void) => {
        incoming.off("data", onData).off("end", onEnd).off("error", onBreak).off("close", onBreak);
        end();
      };
      const onData = (piece: Uint8Array) => {
        try {
          take(piece);
        } catch (thrown) {
          incoming.pause();
          settle(() => reject(thrown));
        }
      };
      const onEnd = () => settle(resolve);
      const onBreak = () => {
        this.#left();
        settle(() => reject(this.#reason));
      };
      incoming.on("data", onData).on("end", onEnd).on("error", onBreak).on("close", onBreak);
    });
  }
}

interface Address {
  readonly host: string;
  /** Path and query. */
  readonly target: string;
}

const PLAIN_HOST = /^[a-z0-9._-]+(?::\d{1,5})?$/;
const PLAIN_TARGET = /^\/[\w\-./~:@!$&'()*+,;=%?]*$/;
const DOT_SEGMENT = /\/\.{1,2}(?:[/?]|$)|%2e/i;

/** What was asked, and of whom. What `Host` holds must be a host and nothing else: it is checked against a list. */
function addressOf({ url: target = "", headers }: IncomingMessage): Address | undefined {
  const host = headers.host || "localhost";
  if (/^https?:\/\//.test(target)) return URL.canParse(target) ? { ...partsOf(new URL(target)), host } : undefined;
  if (!target.startsWith("/")) return undefined;
  if (PLAIN_HOST.test(host) && PLAIN_TARGET.test(target) && !DOT_SEGMENT.test(target)) return { host, target };
  const url = `http://${host}${target}`;
  if (!URL.canParse(url)) return undefined;
  const parsed = new URL(url);
  const isHost = parsed.hostname === host.replace(/:\d+$/, "").toLowerCase();
  return isHost && parsed.username === "" && parsed.password === "" ? { ...partsOf(parsed), host } : undefined;
}

function partsOf({ pathname, search }: URL): Pick<Address, "target"> {
  return { target: pathname + search };
}

const MAX_DRAINED_BYTES = 64 * 1024 * 1024;
const MAX_DRAIN_MS = 2_000;

/**
 * After an answer that did not wait for the whole request: takes in the rest, so that the caller can read the answer,
 * but not for long. To be called before the answer is written.
 */
function drainAfter(incoming: IncomingMessage, outgoing: ServerResponse, clock: Pick<Clock, "schedule">): void {
  if (incoming.readableEnded) return;
  outgoing.once("finish", () => {
    if (incoming.readableEnded || incoming.destroyed) return;
    const { socket } = incoming;
    let drainedBytes = 0;
    const cancel = clock.schedule(MAX_DRAIN_MS, () => socket.destroySoon());
    incoming.once("close", cancel).once("end", cancel);
    incoming.on("data", (piece: Uint8Array) => {
      drainedBytes += piece.byteLength;
      if (drainedBytes > MAX_DRAINED_BYTES) socket.destroySoon();
    });
    incoming.on("error", () => {
      // The caller has what it wanted, or has gone.
    });
    incoming.resume();
  });
}
