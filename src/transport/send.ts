import type { HeaderFields } from "../base/header-fields.ts";
import type { Secret } from "../base/secret.ts";
import type { NanosClock } from "../base/time.ts";
import { ZephError } from "../errors.ts";
import type { RequestSigner } from "../signer/signer.ts";
import { type Endpoint, isLoopback } from "../wire/endpoint.ts";
import { isRead, type OutgoingRequest } from "./body.ts";
import { type AnswerSink, type Carry, carryResponse, type Underway } from "./exchange.ts";

/**
 * Sends one prepared attempt to one endpoint. How a connection proves who it is (a key, a signature) is the only thing
 * that differs between two of them; retrying, waiting and choosing are not theirs to decide. What it throws is a refusal
 * of its own and says nothing about the network; what the network does, the sink hears.
 */
export type SendInto = (endpoint: Endpoint, request: OutgoingRequest, sink: AnswerSink) => Underway | Promise<Underway>;

/** The same for what answers with a `Response`. */
export type Send = (endpoint: Endpoint, request: OutgoingRequest, signal: AbortSignal) => Promise<Response>;

/** What a sink hears when a {@link Send} itself refused; why is in `cause`. */
export class SendRefused extends Error {
  override readonly name = "SendRefused";
}

export function sendResponse(send: Send): SendInto {
  const refused = (cause: unknown) => {
    throw new SendRefused("not sent", { cause });
  };
  return (endpoint, request, sink) => carryResponse((signal) => send(endpoint, request, signal).catch(refused), sink);
}

/** Headers that belong to one connection or one credential and are never taken over from the caller. */
const DROPPED_HEADERS = ["authorization", "x-api-key", "cookie", "host", "connection", "content-length"] as const;

/** Told apart here: the error of `Headers` would repeat the key. */
const NO_HEADER_TEXT = /[^\t\x20-\x7e\x80-\xff]/;

/**
 * Sends with `Authorization: Bearer`. Throws `insecure_url` rather than show the key to a network, and `secret_missing`
 * where there is none: a variable that is not set is told by its own name, not by the broker's 401; `invalid_api_key` for
 * what cannot be a key.
 */
export function sendBearer(apiKey: Secret, carry: Carry): SendInto {
  return (endpoint, { method, path, headers: given, body }, sink) => {
    const headers = given.without(DROPPED_HEADERS);
    headers.authorization = bearerFor(apiKey, endpoint.baseURL);
    return carry({ url: endpoint.baseURL + path, method, headers, body }, sink);
  };
}

/** The header that shows this key to this address, where that is safe. Throws as {@link sendBearer}. */
export function bearerFor(apiKey: Secret, url: string): string {
  // Who reads a key from a file has the line's end with it.
  const key = apiKey.reveal().trim();
  if (key === "") {
    throw new ZephError("secret_missing", {
      detail: "no API key was given",
      hint: "Check the variable it is read from. For a server that wants none, give any text, such as `none`.",
    });
  }
  if (url.startsWith("http:") && !isLoopback(url)) throw new ZephError("insecure_url", { detail: url });
  if (NO_HEADER_TEXT.test(key)) {
    throw new ZephError("invalid_api_key", {
      detail: "it holds a line break, or a character that no header can hold",
    });
  }
  return `Bearer ${key}`;
}

/** Who signs, and when. */
export interface Signing {
  readonly signer: RequestSigner;
  /** One per key: timestamps must not repeat over all requests signed with it. */
  readonly nanos: NanosClock;
}

/** A node reads at most this much: 10 MiB (gonka-ai/gonka `post_chat_handler.go`, since v0.2.10). */
const MAX_NODE_BODY_BYTES = 10_485_760;

/**
 * Signs each attempt for the one node it goes to: fresh timestamp, the exact body bytes, that node's address. Exactly
 * four headers leave; of the caller's only the content type is kept. Reads (no body) carry no sign of who asks.
 */
export function sendSigned(signing: () => Promise<Signing>, carry: Carry): SendInto {
  return async (endpoint, request, sink) => {
    const { method, path, body = new Uint8Array() } = request;
    const url = endpoint.baseURL + path;
    if (isRead(request)) return carry({ url, method, headers: {}, body: request.body }, sink);
    if (endpoint.address === undefined) {
      throw new ZephError("invalid_address", { detail: `the address of node ${endpoint.baseURL} is not known` });
    }
    const { signer, nanos } = await signing();
    const timestampNanos = nanos.next();
    const headers = {
      authorization: signer.sign({ body, timestampNanos, transferAddress: endpoint.address }),
      "x-requester-address": signer.address,
      "x-timestamp": timestampNanos.toString(),
      "content-type": contentType(request.headers),
    };
    return carry({ url, method, headers, body }, sink);
  };
}

/** Throws `request_too_large` for what no node would read to its end. */
export function requireNodeSize({ body }: Pick<OutgoingRequest, "body">): void {
  const bytes = body?.byteLength ?? 0;
  if (bytes <= MAX_NODE_BODY_BYTES) return;
  throw new ZephError("request_too_large", { detail: `${bytes} bytes, a node takes ${MAX_NODE_BODY_BYTES}` });
}

/** Nodes want JSON; `text/plain` is only what fetch calls a string that nobody gave a type. */
function contentType(headers: HeaderFields): string {
  const given = headers.get("content-type");
  return given === null || given.startsWith("text/plain") ? "application/json" : given;
}
