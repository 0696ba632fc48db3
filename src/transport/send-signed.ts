import { ZephError } from "../errors/zeph-error.ts";
import type { NanosClock } from "../internal/clock.ts";
import type { RequestSigner } from "../signer/request-signer.ts";
import type { FetchFunction } from "./fetch-function.ts";
import { isRead, type OutgoingRequest } from "./outgoing.ts";
import { type Send, transmit } from "./send.ts";

/** Who signs, and when. */
export interface Signing {
  readonly signer: RequestSigner;
  /** One per key: timestamps must not repeat over all requests signed with it. */
  readonly nanos: NanosClock;
}

export interface SendSignedOptions {
  readonly signing: () => Promise<Signing>;
  readonly fetch: FetchFunction;
}

/** A node reads at most this much: 10 MiB (gonka-ai/gonka `post_chat_handler.go`, since v0.2.10). */
export const MAX_NODE_BODY_BYTES = 10_485_760;

/**
 * Signs each attempt for the one node it goes to: fresh timestamp, the exact body bytes, that node's address. Exactly
 * four headers leave; of the caller's only the content type is kept. Reads (no body) carry no sign of who asks.
 */
export function sendSigned({ signing, fetch }: SendSignedOptions): Send {
  return async (endpoint, request, signal) => {
    if (isRead(request)) return transmit(fetch, endpoint, request, new Headers(), signal);
    const body = request.body ?? new Uint8Array();
    if (endpoint.address === undefined) {
      throw new ZephError("invalid_address", { detail: `the address of node ${endpoint.baseURL} is not known` });
    }
    const { signer, nanos } = await signing();
    const timestampNanos = nanos.next();
    const headers = new Headers({
      authorization: signer.sign({ body, timestampNanos, transferAddress: endpoint.address }),
      "x-requester-address": signer.address,
      "x-timestamp": timestampNanos.toString(),
      "content-type": contentType(request.headers),
    });
    return transmit(fetch, endpoint, { ...request, body }, headers, signal);
  };
}

/** Throws `request_too_large` for what no node would read to its end. */
export function requireNodeSize({ body }: Pick<OutgoingRequest, "body">): void {
  const bytes = body?.byteLength ?? 0;
  if (bytes <= MAX_NODE_BODY_BYTES) return;
  throw new ZephError("request_too_large", { detail: `${bytes} bytes, a node takes ${MAX_NODE_BODY_BYTES}` });
}

/** Nodes want JSON; `text/plain` is only what fetch calls a string that nobody gave a type. */
function contentType(headers: Headers): string {
  const given = headers.get("content-type");
  return given === null || given.startsWith("text/plain") ? "application/json" : given;
}
