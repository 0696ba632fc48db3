import type { ZephErrorCode } from "../../errors/catalogue.ts";
import { ZephError } from "../../errors/zeph-error.ts";

/** What a node's unfit answer to a read means for requests to it. */
export function nameNodeError(error: unknown): unknown {
  if (!ZephError.is(error) || error.code !== "bad_response") return error;
  const { status = 0, detail } = error;
  return new ZephError(codeOf(status, detail ?? ""), { status, ...(detail === undefined ? {} : { detail }) });
}

function codeOf(status: number, detail: string): ZephErrorCode {
  if (status === 200 && /is not JSON$/.test(detail)) return "wrong_url";
  if (status === 404 || status === 405) return "wrong_url";
  if (status === 410) return "native_closed";
  if (status === 401 && /API key/i.test(detail)) return "native_requires_api_key";
  if (status === 401 || status === 403) return "forbidden";
  if (status === 429) return "capacity_reached";
  if (status === 503) return "service_unavailable";
  return status >= 500 ? "upstream_error" : "bad_response";
}
