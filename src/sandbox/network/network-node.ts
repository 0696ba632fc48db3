import { createServer, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { TlsMaterial } from "./crypto/self-signed.ts";
import { FaultSwitch } from "./faults/fault-switch.ts";
import { handleRequest } from "./server/handle-request.ts";
import type { NodeSetting } from "./server/node-setting.ts";

/** One transfer agent of the sandbox network. */
export interface SandboxNode {
  /** `node-1`, `node-2`, … */
  readonly name: string;
  /** Absolute, ends in `/v1`. */
  readonly baseURL: string;
  /** The same without `/v1`: what a participant lists as its `inference_url`. */
  readonly origin: string;
  /** Bech32; what a signature for this node must name. */
  readonly address: string;
  /** What goes wrong with POST requests. */
  readonly faults: FaultSwitch;
  /** What goes wrong with GET requests. */
  readonly readFaults: FaultSwitch;
  /** Stops listening and closes every connection: clients get "connection refused". */
  goDown(): Promise<void>;
  /** Listens again, on the same port. */
  comeBack(): Promise<void>;
}

const HOST = "127.0.0.1";

/** Starts a node on 127.0.0.1. */
export async function startNode(
  makeSetting: (origin: () => string) => NodeSetting,
  options: { readonly stopped: AbortSignal; readonly port: number; readonly tls: TlsMaterial | undefined },
): Promise<SandboxNode> {
  const faults = new FaultSwitch();
  const readFaults = new FaultSwitch();
  let { port } = options;
  const origin = () => `${options.tls === undefined ? "http" : "https"}://${HOST}:${port}`;
  const setting = makeSetting(origin);
  const handling = { setting, faults, readFaults, stopped: options.stopped };
  let server: Server | undefined;

  async function listen(): Promise<void> {
    const listener: Parameters<typeof createServer>[1] = (message, response) => {
      // A client that leaves while its body is read ends the handling; there is nobody to tell.
      handleRequest(handling, message, response).catch(() => response.destroy());
    };
    const { tls } = options;
    const opened =
      tls === undefined
        ? createServer(listener)
        : createTlsServer({ key: tls.keyPem, cert: tls.certificatePem }, listener);
    await new Promise<void>((resolve, reject) => {
      opened.once("error", reject);
      opened.listen(port, HOST, () => resolve());
    });
    const address = opened.address();
    if (typeof address === "object" && address !== null) port = address.port;
    server = opened;
  }

  async function goDown(): Promise<void> {
    const closing = server;
    server = undefined;
    if (closing === undefined) return;
    await new Promise<void>((resolve) => {
      closing.close(() => resolve());
      closing.closeAllConnections();
    });
  }

  await listen();
  return {
    name: setting.name,
    baseURL: `${origin()}/v1`,
    origin: origin(),
    address: setting.address,
    faults,
    readFaults,
    goDown,
    comeBack: async () => {
      if (server === undefined) await listen();
    },
  };
}
