import { ZephError } from "../errors/zeph-error.ts";
import type { Secret } from "../internal/secret.ts";
import { isLoopback } from "../protocol/endpoint.ts";
import type { FetchFunction } from "./fetch-function.ts";
import { type Send, transmit, withoutCredentials } from "./send.ts";

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
