import { isZephErrorCode } from "../errors/catalogue.ts";
import { requestIdOf } from "../protocol/request-id.ts";
import { VERSION } from "../version.ts";
import type { HeaderView } from "./gateway-request.ts";

/** Of a caller's headers only these go on: the rest names the caller, or belongs to the connection or its key. */
const SENT_ON = ["accept", "idempotency-key", "x-idempotency-key", "traceparent", "tracestate"] as const;

export function requestHeaders(given: HeaderView): Record<string, string> {
  const headers: Record<string, string> = { "content-type": "application/json", "user-agent": `zeph/${VERSION}` };
  for (const name of SENT_ON) {
    const value = given.get(name);
    if (value !== null) headers[name] = value;
  }
  return headers;
}

/** Of an upstream's headers these come back, and those of rate limits. */
const PASSED_BACK: ReadonlySet<string> = new Set([
  "content-type",
  "retry-after",
  "retry-after-ms",
  "x-should-retry",
  "deprecation",
  "sunset",
  "openai-model",
  "openai-processing-ms",
  "openai-version",
]);

const ERROR_CODE = "x-zeph-error-code";
const FALLBACK_PROVIDER = "x-zeph-fallback-provider";
/** As names of provider records are. */
const PROVIDER_NAME = /^[A-Za-z0-9][\w.-]{0,63}$/;

/** What the connection below marks its answers with, when it can have come from there. */
function ownHeaders(upstream: Headers): Record<string, string> {
  const headers: Record<string, string> = {};
  const code = upstream.get(ERROR_CODE);
  if (isZephErrorCode(code)) headers[ERROR_CODE] = code;
  const provider = upstream.get(FALLBACK_PROVIDER);
  if (provider !== null && PROVIDER_NAME.test(provider)) headers[FALLBACK_PROVIDER] = provider;
  return headers;
}

/** Headers of the answer, with the upstream's request id under a name of its own: `x-request-id` is the gateway's. */
export function responseHeaders(upstream: Headers): {
  readonly headers: Record<string, string>;
  readonly upstreamRequestId: string | undefined;
} {
  const headers = ownHeaders(upstream);
  for (const [name, value] of upstream) {
    if (name.startsWith("x-zeph-")) continue;
    if (PASSED_BACK.has(name) || name.startsWith("x-ratelimit-") || name.endsWith("-cost-usd")) headers[name] = value;
  }
  const upstreamRequestId = requestIdOf(upstream);
  if (upstreamRequestId !== undefined) headers["x-upstream-request-id"] = upstreamRequestId;
  return { headers, upstreamRequestId };
}
