import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { getRequestListener, type HttpBindings } from "@hono/node-server";
import { ZephError } from "../errors.ts";

/** What is served: a fetch-shaped function. The bindings give the raw connection, which some faults need. */
type Handler = (request: Request, bindings: HttpBindings) => Response | Promise<Response>;

export interface Listener {
  /** Such as `http://127.0.0.1:40123`. */
  readonly origin: string;
  /** Stops at once: open connections, hanging ones too, are closed. */
  close(): Promise<void>;
}

/**
 * Serves `handler` over HTTP/1.1.
 * @param options.port default 0, which takes any free one
 * @param options.hostname default 127.0.0.1
 * @throws ZephError `usage` when the port is taken or not allowed
 */
export async function listen(
  handler: Handler,
  options: { readonly port?: number | undefined; readonly hostname?: string | undefined } = {},
): Promise<Listener> {
  const { port = 0, hostname = "127.0.0.1" } = options;
  const listener = getRequestListener((request, bindings) => handler(request, bindings as HttpBindings), {
    // The sandbox runs inside other people's test processes; their global Request and Response stay theirs.
    overrideGlobalObjects: false,
    hostname,
  });
  const server = createServer((incoming, outgoing) => void listener(incoming, outgoing));
  await started(server, port, hostname);
  const address = server.address() as AddressInfo;
  const host = address.family === "IPv6" ? `[${address.address}]` : address.address;
  return { origin: `http://${host}:${address.port}`, close: () => closed(server) };
}

function started(server: Server, port: number, hostname: string): Promise<void> {
  return new Promise((resolve, reject) => {
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
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
