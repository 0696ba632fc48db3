import { requestIdOf } from "../protocol/request-id.ts";
import { VERSION } from "../version.ts";

/** Of a caller's headers only these go on: the rest names the caller, or belongs to the connection or its key. */
const SENT_ON = ["accept", "idempotency-key", "x-idempotency-key", "traceparent", "tracestate"] as const;

export function requestHeaders(given: Headers): Record<string, string> {
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
  "x-zeph-error-code",
  "x-zeph-fallback-provider",
  "deprecation",
  "sunset",
  "openai-model",
  "openai-processing-ms",
  "openai-version",
]);

/** Headers of the answer, with the upstream's request id under a name of its own: `x-request-id` is the gateway's. */
export function responseHeaders(upstream: Headers): {
  readonly headers: Record<string, string>;
  readonly upstreamRequestId: string | undefined;
} {
  const headers: Record<string, string> = {};
  for (const [name, value] of upstream) {
    if (PASSED_BACK.has(name) || name.startsWith("x-ratelimit-") || name.endsWith("-cost-usd")) headers[name] = value;
  }
  const upstreamRequestId = requestIdOf(upstream);
  if (upstreamRequestId !== undefined) headers["x-upstream-request-id"] = upstreamRequestId;
  return { headers, upstreamRequestId };
}
