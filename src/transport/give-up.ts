import type { ZephErrorCode } from "../errors/catalogue.ts";
import { type AttemptRecord, type Charged, ZephError } from "../errors/zeph-error.ts";
import { parseErrorBody } from "../protocol/refusals/error-body.ts";
import { MAYBE_CHARGED_HINT } from "../protocol/refusals/refusal.ts";
import type { Over, RefusedAnswer } from "./attempt.ts";
import { upstreamHeaders } from "./guard-body.ts";
import { retryAfterMs } from "./retry-after.ts";
import type { Situation } from "./retry-policy.ts";

export type Hints = Readonly<Partial<Record<ZephErrorCode, string>>>;

export interface FinalErrorOptions {
  readonly nowMs: number;
  readonly hints: Hints;
  readonly retryCharged: boolean;
  /** A cause that only the loop could see, instead of the last refusal's own. */
  readonly insteadCode?: "chain_stalled" | undefined;
}

/** The error of the whole request: the last word, or one table when several endpoints failed in different ways. */
export function finalError(
  { outcome, record }: Over,
  records: readonly AttemptRecord[],
  { nowMs, hints, retryCharged, insteadCode }: FinalErrorOptions,
): ZephError {
  const shared = { attempts: records, charged: worstCharge(records) };
  const isFinalWord =
    insteadCode !== undefined ||
    (outcome.kind === "refused" ? outcome.refusal.remedy === "stop" : outcome.error.code === "timeout_total") ||
    // Other nodes could have answered; they were not asked because that may cost twice.
    (record.charged !== "no" && !retryCharged);
  if (!isFinalWord && failedDifferently(records)) {
    const detail = records.map(describeAttempt).join("; ");
    return new ZephError("all_endpoints_failed", { ...shared, detail });
  }
  if (outcome.kind === "failed") {
    const { code, detail = "no answer", cause } = outcome.error;
    const known = hints[code] ?? outcome.error.hint;
    const hint = shared.charged === "no" ? known : `${MAYBE_CHARGED_HINT} ${known}`;
    return new ZephError(code, {
      ...shared,
      detail: `${record.endpoint}: ${detail}`,
      cause,
      hint,
    });
  }
  const { refusal, headers } = outcome;
  const asked = retryAfterMs(headers, nowMs);
  const code = insteadCode ?? refusal.code;
  const hint = hints[code] ?? refusal.hint;
  return new ZephError(code, {
    ...shared,
    ...(refusal.detail === undefined ? {} : { detail: refusal.detail }),
    ...(hint === undefined ? {} : { hint }),
    ...(record.status === undefined ? {} : { status: record.status }),
    ...(record.requestId === undefined ? {} : { requestId: record.requestId }),
    ...(asked === undefined ? {} : { retryAfterMs: asked }),
  });
}

/** One attempt in words, as the error card and `zeph explain` print it. */
export function describeAttempt({ endpoint, status, code, detail }: AttemptRecord): string {
  const what = status === undefined ? code : `${status} ${code}`;
  return detail === undefined ? `${endpoint}: ${what}` : `${endpoint}: ${what} (${detail})`;
}

function failedDifferently(records: readonly AttemptRecord[]): boolean {
  return new Set(records.map(({ endpoint }) => endpoint)).size > 1 && new Set(records.map(({ code }) => code)).size > 1;
}

function worstCharge(records: readonly AttemptRecord[]): Charged {
  const charges = records.map(({ charged }) => charged);
  return charges.includes("yes") ? "yes" : charges.includes("maybe") ? "maybe" : "no";
}

/**
 * The response a caller gets when the loop gave up. An answer in OpenAI's error shape is passed on as it came; a node's
 * own dialect, a web page or nothing is put into that shape, so that SDKs show words instead of a bare number; so is a
 * gateway's wish for an API key, which does not say what works instead. The header `x-should-retry: false` keeps the OpenAI SDK and our AI SDK provider from trying again.
 */
export function finalResponse(
  { response, bodyText }: RefusedAnswer,
  error: ZephError,
  path: Situation["path"],
): Response {
  const headers = upstreamHeaders(response.headers);
  for (const name of ["content-encoding", "content-length", "transfer-encoding", "connection", "location"])
    headers.delete(name);
  headers.set("x-should-retry", "false");
  headers.set("x-zeph-error-code", error.code);
  const isOpenai =
    !response.ok && parseErrorBody(bodyText, response.headers.get("content-type") ?? "").shape === "openai";
  if (isOpenai && error.code !== "native_requires_api_key") {
    const { status, statusText } = response;
    return remember(new Response(bodyText, { status, statusText, headers }), error);
  }
  // What a broker answers is what its client gets; a node's own statuses say less than the catalogue's (1.7 of its table).
  return errorResponse(
    error,
    headers,
    path === "broker" && response.status >= 400 ? response.status : error.httpStatus,
  );
}

/** A `ZephError` as an OpenAI-shaped response. Status: the catalogue's where none is given. */
export function errorResponse(error: ZephError, headers: Headers = new Headers(), status = error.httpStatus): Response {
  headers.set("content-type", "application/json");
  headers.set("x-should-retry", "false");
  headers.set("x-zeph-error-code", error.code);
  const message = `${error.message}. ${error.hint}`;
  const detail = error.detail ?? null;
  const body = { error: { message, type: "zeph_error", code: error.code, param: null, detail } };
  return remember(new Response(JSON.stringify(body), { status, headers }), error);
}

/**
 * The errors behind the responses given up on, for callers of ours. By the response, and by its body: who wraps a response
 * (other headers, a guard around it) passes the body on.
 */
const errorsBehind = new WeakMap<object, ZephError>();

function remember(response: Response, error: ZephError): Response {
  errorsBehind.set(response, error);
  if (response.body !== null) errorsBehind.set(response.body, error);
  return response;
}

/** The whole error, attempts included, behind a response that the loop gave up on. */
export function errorBehind(response: Response): ZephError | undefined {
  return errorsBehind.get(response) ?? (response.body === null ? undefined : errorsBehind.get(response.body));
}
