import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { ZephError } from "../../errors/zeph-error.ts";
import { type Clock, systemClock } from "../../internal/clock.ts";
import { isLoopback } from "../../protocol/endpoint.ts";
import type { Answer } from "../answer.ts";
import type { LocalGateway } from "../local-gateway.ts";
import { LOCAL_KEY_NAME } from "../local-key.ts";
import { type IdleConnections, idleConnections } from "./idle-connections.ts";
import { drainAfter, incomingRequest } from "./incoming-request.ts";
import { writeAnswer } from "./write-answer.ts";

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
    const answer = request === undefined ? NO_ADDRESS : await gateway.answer(request);
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
