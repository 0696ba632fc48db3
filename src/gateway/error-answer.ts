import { ZephError } from "../errors/zeph-error.ts";
import { type Answer, jsonAnswer } from "./answer.ts";

/** `error.type` by status, as OpenAI's own API names them. */
const TYPES: Readonly<Record<number, string>> = {
  401: "authentication_error",
  402: "insufficient_quota",
  403: "permission_error",
  429: "rate_limit_error",
};

export interface ErrorObject {
  readonly message: string;
  readonly type: string;
  readonly code: string;
  readonly param: string | null;
}

/** A `ZephError` as the object OpenAI clients look for, in an answer or inside a stream. */
export function errorObject(error: ZephError, param: string | null = null): { readonly error: ErrorObject } {
  const { code, httpStatus, message, hint } = error;
  const type = TYPES[httpStatus] ?? (httpStatus >= 500 ? "server_error" : "invalid_request_error");
  return { error: { message: `${message}. ${hint}`, type, code, param } };
}

/** A refusal of the gateway's own. SDKs on top are told not to try again what zeph has given up on. */
export function errorAnswer(
  error: ZephError,
  given: { readonly param?: string | undefined; readonly headers?: Readonly<Record<string, string>> } = {},
): Answer {
  return jsonAnswer(errorObject(error, given.param), error.httpStatus, {
    "x-should-retry": "false",
    "x-zeph-error-code": error.code,
    ...(error.retryAfterMs === undefined ? {} : { "retry-after": String(Math.ceil(error.retryAfterMs / 1000)) }),
    ...given.headers,
  });
}

/** Anything thrown, as the error to answer with. What zeph did not expect is not described to the caller. */
export function toZephError(thrown: unknown): ZephError {
  return ZephError.is(thrown) ? thrown : new ZephError("internal", { cause: thrown });
}
