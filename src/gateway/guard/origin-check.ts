import { ZephError } from "../../errors/zeph-error.ts";
import type { Answer } from "../answer.ts";

export interface OriginCheck {
  /** Headers the answer needs, or none. Throws `origin_refused` for a page that may not call. */
  headersFor(origin: string | null, host: string): Readonly<Record<string, string>>;
  /** The answer to a browser that asks before it sends. */
  preflight(origin: string | null, host: string): Answer;
}

/** What a page may read besides the body. */
const EXPOSED = "x-request-id, x-zeph-removed-params, x-zeph-changed-params, x-zeph-error-code, retry-after";
const PREFLIGHT_SECONDS = 600;
const NO_HEADERS = {};

/**
 * Browsers name the page that sends a request. Pages that are not listed are refused before anything is done: without
 * CORS headers they could not read the answer, but the request would have been made, and paid for.
 */
export function originCheck(allowed: readonly string[] = []): OriginCheck {
  const listed = new Set(allowed.map((origin) => origin.replace(/\/$/, "").toLowerCase()));
  function headersFor(origin: string | null, host: string) {
    if (origin === null || isOwn(origin, host)) return NO_HEADERS;
    if (!listed.has(origin.toLowerCase())) throw new ZephError("origin_refused");
    return { "access-control-allow-origin": origin, "access-control-expose-headers": EXPOSED, vary: "origin" };
  }
  return {
    headersFor,
    preflight: (origin, host) => ({
      status: 204,
      headers: {
        ...headersFor(origin, host),
        "access-control-allow-methods": "GET, POST, OPTIONS",
        // SDKs in a browser send headers of their own (x-stainless-…); the key is what counts.
        "access-control-allow-headers": "*, authorization, content-type, x-api-key",
        "access-control-max-age": String(PREFLIGHT_SECONDS),
        // Chrome asks this of addresses on the own computer.
        "access-control-allow-private-network": "true",
      },
      body: null,
    }),
  };
}

/** The gateway's own address, opened in a browser. The host was checked before. */
function isOwn(origin: string, host: string): boolean {
  return origin.toLowerCase() === `http://${host.toLowerCase()}`;
}
