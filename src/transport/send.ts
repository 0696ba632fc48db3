import type { Endpoint } from "../protocol/endpoint.ts";
import type { FetchFunction } from "./fetch-function.ts";
import type { OutgoingRequest } from "./outgoing.ts";

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
export function withoutCredentials(headers: Headers): Headers {
  const kept = new Headers(headers);
  for (const name of DROPPED_HEADERS) kept.delete(name);
  return kept;
}

/** The plain network step. Redirects are never followed: a key or a signature is meant for one host. */
export async function transmit(
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
