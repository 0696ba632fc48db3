import { ZephError } from "../errors/zeph-error.ts";
import { readBrokerRefusal } from "../protocol/refusals/broker.ts";
import { requestIdOf } from "../protocol/request-id.ts";

/** What is left of a refused response when only an SDK's error about it is at hand. */
export interface RefusedCall {
  readonly status: number;
  readonly headers: Headers;
  readonly bodyText: string;
  /** Path below the base URL; decides what a 404 means. */
  readonly path: string;
}

/** Names a refusal by the same tables as the loop does, for responses that did not pass through it. */
export function refusalError({ status, headers, bodyText, path }: RefusedCall): ZephError {
  const contentType = headers.get("content-type") ?? "";
  const location = headers.get("location");
  const { code, detail, hint } = readBrokerRefusal({
    status,
    contentType,
    bodyText,
    path,
    ...(location === null ? {} : { location }),
  });
  const requestId = requestIdOf(headers);
  return new ZephError(code, {
    status,
    ...(detail === undefined ? {} : { detail }),
    ...(hint === undefined ? {} : { hint }),
    ...(requestId === undefined ? {} : { requestId }),
  });
}
