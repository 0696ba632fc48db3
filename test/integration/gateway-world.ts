import { connect, type Socket } from "node:net";
import { Agent } from "undici";
import type { FetchFunction } from "../../src/base/world.ts";
import { leanFetch } from "../../src/cli/lean-fetch.ts";
import { logLine } from "../../src/gateway/exchange.ts";
import {
  type ExchangeRecord,
  type Listening,
  type ListenOptions,
  type LocalGateway,
  type LocalGatewayOptions,
  listen,
  localGateway,
} from "../../src/gateway/index.ts";
import { type GonkaFetch, gonkaFetch } from "../../src/transport/gonka-fetch.ts";

/** Planted: must appear in no log, metric or answer. */
export const LOCAL_KEY = "sk-zeph-planted-local-key-0123456789";

export interface GatewayWorld extends AsyncDisposable {
  readonly gateway: LocalGateway;
  readonly listening: Listening;
  readonly baseURL: string;
  /** `baseURL` without `/v1`. */
  readonly origin: string;
  readonly records: readonly ExchangeRecord[];
  /** The log as `zeph serve` writes it. */
  readonly log: () => string;
  /** A request with the local key; a body makes it a POST of JSON. */
  ask(path: string, body?: unknown, init?: RequestInit): Promise<Response>;
}

export interface UpstreamChoice {
  readonly baseURL: string;
  readonly apiKey?: string;
  /** Default: the one `zeph serve` uses. */
  readonly fetch?: FetchFunction;
}

const lean = leanFetch(new Agent());

export async function startGateway(
  upstream: UpstreamChoice | GonkaFetch,
  options: Partial<LocalGatewayOptions> = {},
  listenOptions: ListenOptions = {},
): Promise<GatewayWorld> {
  const records: ExchangeRecord[] = [];
  const connection =
    typeof upstream === "function"
      ? upstream
      : gonkaFetch({ kind: "broker", apiKey: "gp-planted-broker-key", maxAttempts: 1, fetch: lean, ...upstream });
  const gateway = localGateway({
    upstream: connection,
    key: LOCAL_KEY,
    onRequest: (record) => records.push({ ...record }),
    ...options,
  });
  const listening = await listen(gateway, { port: 0, ...listenOptions });
  const { baseURL } = listening;
  return {
    gateway,
    listening,
    baseURL,
    origin: baseURL.slice(0, -"/v1".length),
    records,
    log: () => records.map((record) => logLine(record, 0)).join("\n"),
    ask(path, body, init = {}) {
      const headers = new Headers(init.headers);
      if (!headers.has("authorization") && !headers.has("x-api-key"))
        headers.set("authorization", `Bearer ${LOCAL_KEY}`);
      return fetch(baseURL + path, {
        ...init,
        headers,
        ...(body === undefined ? {} : { method: "POST", body: typeof body === "string" ? body : JSON.stringify(body) }),
      });
    },
    async [Symbol.asyncDispose]() {
      await listening.close({ graceMs: 0 });
    },
  };
}

export const CHAT = "sandbox/echo-1";
export const HELLO = [{ role: "user" as const, content: "say hello" }];

/** A bare TCP connection, for what HTTP clients do not do. */
export function openSocket(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1" }, () => resolve(socket));
    socket.once("error", reject);
  });
}

/** Sends bytes as they are and gives back everything that came until the end of the connection. */
export async function rawExchange(port: number, request: string): Promise<string> {
  const socket = await openSocket(port);
  socket.setEncoding("utf8");
  socket.write(request);
  let answer = "";
  for await (const piece of socket) answer += String(piece);
  return answer;
}

/** Waits for something that happens by itself, in a short time. */
export async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 600; tries += 1) {
    if (await isSo()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error("it did not happen");
}
