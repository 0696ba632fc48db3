import { requestHeaders } from "./forward-headers.ts";
import type { RouteContext } from "./gateway-state.ts";

/** Sends a JSON text to a path below the upstream's base URL. Ends when the caller leaves. */
export function forwardText({ state, request }: RouteContext, path: string, body: string): Promise<Response> {
  const { upstream } = state.options;
  const { signal } = request;
  return upstream(upstream.baseURL + path, { method: "POST", headers: requestHeaders(request.headers), body, signal });
}
