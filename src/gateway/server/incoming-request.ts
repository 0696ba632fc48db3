import type { IncomingMessage, ServerResponse } from "node:http";
import type { Clock } from "../../internal/clock.ts";
import type { GatewayRequest, HeaderView } from "../gateway-request.ts";

/** `undefined` when the request line or the `Host` header name no address that could be meant. */
export function incomingRequest(incoming: IncomingMessage, outgoing: ServerResponse): GatewayRequest | undefined {
  const url = urlOf(incoming);
  if (url === undefined) return undefined;
  const left = new AbortController();
  const leave = () => left.abort(new DOMException("the caller closed the connection", "AbortError"));
  outgoing.once("close", () => {
    if (incoming.errored !== null || !outgoing.writableFinished) leave();
  });
  const { method = "GET" } = incoming;
  const hasBody = method !== "GET" && method !== "HEAD";
  /** A body that breaks off is a caller that left, whichever of the two is noticed first. */
  async function* pieces(): AsyncGenerator<Uint8Array> {
    try {
      for await (const piece of incoming.iterator({ destroyOnReturn: false })) yield piece;
    } catch (error) {
      leave();
      throw error;
    }
  }
  return {
    method,
    url,
    headers: headerView(incoming),
    signal: left.signal,
    body: hasBody ? { [Symbol.asyncIterator]: pieces } : null,
    async arrayBuffer() {
      if (!hasBody) return new ArrayBuffer(0);
      const chunks: Uint8Array[] = [];
      for await (const piece of pieces()) chunks.push(piece);
      return joined(chunks);
    },
  };
}

function joined(chunks: readonly Uint8Array[]): ArrayBuffer {
  const all = new Uint8Array(chunks.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.byteLength;
  }
  return all.buffer;
}

/** Node has put names in lower case and joined what came several times. */
function headerView({ headers }: IncomingMessage): HeaderView {
  const get = (name: string) => {
    const value = Object.hasOwn(headers, name) ? headers[name] : undefined;
    return Array.isArray(value) ? value.join(", ") : (value ?? null);
  };
  return { get, has: (name) => get(name) !== null };
}

const PLAIN_HOST = /^[a-z0-9._-]+(?::\d{1,5})?$/;
const PLAIN_TARGET = /^\/[\w\-./~:@!$&'()*+,;=%?]*$/;
const DOT_SEGMENT = /\/\.{1,2}(?:[/?]|$)|%2e/i;

/** The whole address. What `Host` holds must be a host and nothing else: it is checked against a list. */
function urlOf({ url: target = "", headers }: IncomingMessage): string | undefined {
  const host = headers.host || "localhost";
  if (/^https?:\/\//.test(target)) return URL.canParse(target) ? new URL(target).href : undefined;
  if (!target.startsWith("/")) return undefined;
  const url = `http://${host}${target}`;
  if (PLAIN_HOST.test(host) && PLAIN_TARGET.test(target) && !DOT_SEGMENT.test(target)) return url;
  if (!URL.canParse(url)) return undefined;
  const parsed = new URL(url);
  const isHost = parsed.hostname === host.replace(/:\d+$/, "").toLowerCase();
  return isHost && parsed.username === "" && parsed.password === "" ? parsed.href : undefined;
}

const MAX_DRAINED_BYTES = 64 * 1024 * 1024;
const MAX_DRAIN_MS = 500;

/**
 * After an answer that did not wait for the whole request: takes in the rest, so that the caller can read the answer,
 * but not for long. To be called before the answer is written.
 */
export function drainAfter(incoming: IncomingMessage, outgoing: ServerResponse, clock: Pick<Clock, "schedule">): void {
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
