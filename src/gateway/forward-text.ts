import { requestHeaders } from "./forward-headers.ts";
import type { RouteContext } from "./gateway-state.ts";

/**
 * Sends a JSON text to a path below the upstream's base URL: the one way out for everything that may cost money. Keeps to
 * the daily limit, and keeps the user's secrets here. Ends when the caller leaves.
 */
export async function forwardText(
  { state, exchange, request }: RouteContext,
  path: string,
  body: string,
): Promise<Response> {
  const { upstream, checkBudget } = state.options;
  const { signal } = request;
  const masked = state.mask(body);
  if (masked !== body) exchange.record.changed = [...exchange.record.changed, MASKED];
  if (checkBudget !== undefined) await checkBudget();
  return upstream(upstream.baseURL + path, {
    method: "POST",
    headers: requestHeaders(request.headers),
    body: masked,
    signal,
  });
}

/** How a request is marked in which one of the user's secrets stood. */
const MASKED = "secrets";
