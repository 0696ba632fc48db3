import type { ZephErrorCode } from "../errors/catalogue.ts";
import type { ZephError } from "../errors/zeph-error.ts";

/**
 * Causes that are final for one provider and say nothing against another: its network is closed, or its account is
 * empty. What the user can mend (key, model, request, address) never moves a prompt elsewhere.
 */
const ELSEWHERE_IS_DIFFERENT: ReadonlySet<ZephErrorCode> = new Set([
  "native_closed",
  "endpoint_gone",
  "native_requires_api_key",
  "developer_not_allowed",
  "no_endpoints",
  "insufficient_quota",
  "insufficient_balance",
]);

/** May the same question go to the next provider after this error? Never when it was charged for certain. */
export function mayFallBack(error: Pick<ZephError, "code" | "retryable" | "charged">): boolean {
  if (error.charged === "yes") return false;
  return error.retryable || ELSEWHERE_IS_DIFFERENT.has(error.code);
}
