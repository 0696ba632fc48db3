import type { Secret } from "../base/secret.ts";
import type { NanosClock } from "../base/time.ts";
import type { FetchFunction } from "../base/world.ts";
import { ZephError } from "../errors.ts";
import type { RequestSigner } from "../signer/signer.ts";
import { type Endpoint, isLoopback } from "../wire/endpoint.ts";
import { isRead, type OutgoingRequest } from "./body.ts";

/**
 * Sends one prepared attempt to one endpoint. How a connection proves who it is (a key, a signature) is the only thing
 * that differs between two `Send`s; retrying, waiting and choosing are not theirs to decide.
 */
export type Send = (endpoint: Endpoint, request: OutgoingRequest, signal: AbortSignal) => Promise<Response>;

/** Fetch itself rejected; why is in `cause`. Anything else that a `Send` throws says nothing about the network. */
export class FetchRejected extends Error {
  override readonly name = "FetchRejected";
}

/** Headers that belong to one connection or one credential and are never taken over from the caller. */
const DROPPED_HEADERS = ["authorization", "x-api-key", "cookie", "host", "connection", "content-length"] as const;

/** The caller's headers without those a transport sets itself. */
function withoutCredentials(headers: Headers): Headers {
  const kept = new Headers(headers);
  for (const name of DROPPED_HEADERS) kept.delete(name);
  return kept;
}

/** The plain network step. Redirects are never followed: a key or a signature is meant for one host. */
async function transmit(
  fetch: FetchFunction,
  endpoint: Endpoint,
  request: OutgoingRequest,
  headers: Headers,
  signal: AbortSignal,
): Promise<Response> {
  try {
    return await fetch(endpoint.baseURL + request.path, {
      method: request.method,
      headers,
      redirect: "manual",
      signal,
      ...(request.body === undefined ? {} : { body: request.body }),
    });
  } catch (cause) {
    throw new FetchRejected("fetch rejected", { cause });
  }
}

/** Told apart here: the error of `Headers` would repeat the key. */
const NO_HEADER_TEXT = /[^\t\x20-\x7e\x80-\xff]/;

/**
 * Sends with `Authorization: Bearer`. Throws `insecure_url` rather than show the key to a network, and `secret_missing`
 * where there is none: a variable that is not set is told by its own name, not by the broker's 401; `invalid_api_key` for
 * what cannot be a key.
 */
export function sendBearer(apiKey: Secret, fetch: FetchFunction): Send {
  return async (endpoint, request, signal) => {
    const headers = withoutCredentials(request.headers);
    headers.set("authorization", bearerFor(apiKey, endpoint.baseURL));
    return transmit(fetch, endpoint, request, headers, signal);
  };
}

/** The header that shows this key to this address, where that is safe. Throws as {@link sendBearer}. */
export function bearerFor(apiKey: Secret, url: string): string {
  if (apiKey.reveal().trim() === "") {
    throw new ZephError("secret_missing", {
      detail: "no API key was given",
      hint: "Check the variable it is read from. For a server that wants none, give any text, such as `none`.",
    });
  }
  if (url.startsWith("http:") && !isLoopback(url)) throw new ZephError("insecure_url", { detail: url });
  if (NO_HEADER_TEXT.test(apiKey.reveal().trim())) {
    throw new ZephError("invalid_api_key", {
      detail: "it holds a line break, or a character that no header can hold",
    });
  }
  return `Bearer ${apiKey.reveal()}`;
}

/** Who signs, and when. */
export interface Signing {
  readonly signer: RequestSigner;
  /** One per key: timestamps must not repeat over all requests signed with it. */
  readonly nanos: NanosClock;
}

interface SendSignedOptions {
  readonly signing: () => Promise<Signing>;
  readonly fetch: FetchFunction;
}

/** A node reads at most this much: 10 MiB (gonka-ai/gonka `post_chat_handler.go`, since v0.2.10). */
const MAX_NODE_BODY_BYTES = 10_485_760;

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
