import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { getRequestListener, type HttpBindings } from "@hono/node-server";
import { ZephError } from "../errors.ts";
import type { TlsMaterial } from "./crypto.ts";

/** Answers one request on its connection. What it throws closes that: a client that left has nobody to tell. */
type Handler = (incoming: IncomingMessage, outgoing: ServerResponse) => Promise<void>;

export interface Listener {
  /** Such as `http://127.0.0.1:40123`. */
  readonly origin: string;
  /** Stops at once: open connections, hanging ones too, are closed. */
  close(): Promise<void>;
}

/**
 * Serves everything in the sandbox over HTTP/1.1.
 * @param options.port default 0, which takes any free one
 * @param options.hostname default 127.0.0.1
 * @param options.tls serves https with it
 * @throws ZephError `usage` when the port is taken or not allowed
 */
export async function listen(
  handler: Handler,
  options: {
    readonly port?: number | undefined;
    readonly hostname?: string | undefined;
    readonly tls?: TlsMaterial | undefined;
  } = {},
): Promise<Listener> {
  const { port = 0, hostname = "127.0.0.1", tls } = options;
  const answer = (incoming: IncomingMessage, outgoing: ServerResponse) => {
    handler(incoming, outgoing).catch(() => outgoing.destroy());
  };
  const server =
    tls === undefined ? createServer(answer) : createTlsServer({ key: tls.keyPem, cert: tls.certificatePem }, answer);
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      reject(
        new ZephError("usage", {
          detail: `cannot listen on ${hostname} port ${port} (${cause.code ?? cause.message})`,
          hint: "Choose another port, or leave --port out to take any free one.",
          cause,
        }),
      );
    });
    server.listen(port, hostname, resolve);
  });
  const address = server.address() as AddressInfo;
  const host = address.family === "IPv6" ? `[${address.address}]` : address.address;
  return {
    origin: `${tls === undefined ? "http" : "https"}://${host}:${address.port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** A fetch-shaped function as a handler. The bindings give the raw connection, which some faults need. */
export function fetchHandler(
  answer: (request: Request, bindings: HttpBindings) => Response | Promise<Response>,
): Handler {
  const listener = getRequestListener((request, bindings) => answer(request, bindings as HttpBindings), {
    // The sandbox runs inside other people's test processes; their global Request and Response stay theirs.
    overrideGlobalObjects: false,
  });
  return async (incoming, outgoing) => void (await listener(incoming, outgoing));
}

/** Largest body read at all; what is over a limit is thrown away, so that the client hears the refusal. */
const MAX_DRAINED_BYTES = 64 * 1024 * 1024;

/** Reads the body; what exceeds `maxBytes` is drained and only counted. */
export async function readBody(
  incoming: IncomingMessage,
  maxBytes: number,
): Promise<{ readonly body: Buffer; readonly isTooLarge: boolean }> {
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of incoming as AsyncIterable<Buffer>) {
    length += piece.length;
    if (length <= maxBytes) pieces.push(piece);
    if (length > MAX_DRAINED_BYTES) break;
  }
  return { body: Buffer.concat(pieces), isTooLarge: length > maxBytes };
}

/** Aborted when the client goes away. */
export function clientGone(outgoing: ServerResponse): AbortSignal {
  const gone = new AbortController();
  outgoing.once("close", () => gone.abort(new Error("the client went away")));
  return gone.signal;
}

/** Resolves when the client can take more, or is gone. */
export function writePiece(outgoing: ServerResponse, piece: string | Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    if (outgoing.destroyed) resolve();
    else outgoing.write(piece, () => resolve());
  });
}

/** Resolves when the signal is aborted. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
