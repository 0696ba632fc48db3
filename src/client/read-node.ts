import { ZephError } from "../errors/zeph-error.ts";
import { deadlineSignal } from "../internal/abort.ts";
import type { Clock } from "../internal/clock.ts";
import { readBoundedText } from "../internal/read-bounded.ts";
import { redactUrl, scrub } from "../internal/redact.ts";
import { jsonFault } from "../internal/scan-json.ts";
import { parseExactJson } from "../protocol/json/parse-exact-json.ts";
import { parseErrorBody } from "../protocol/refusals/error-body.ts";
import type { FetchFunction } from "../transport/fetch-function.ts";
import { readNetworkFailure } from "../transport/network-error.ts";

export interface ReadNodeOptions {
  readonly fetch: FetchFunction;
  readonly clock: Clock;
  /** For headers and body together, milliseconds. Default 10 000. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
}

/** A document read from a node, and what the reading itself told. */
export interface NodeDocument {
  readonly json: unknown;
  /** The node's `Date` header, milliseconds since the epoch. */
  readonly serverDateMs: number | undefined;
  readonly latencyMs: number;
}

/** Participants with proofs of a large network stay far below this. */
const MAX_DOCUMENT_BYTES = 32 * 1024 * 1024;

/**
 * Reads a public document of a node with GET: no key, no signature, no retry, no redirect. Throws `unreachable`,
 * `timeout_headers`, `bad_response` (not JSON, or not 2xx; the status is in `error.status`).
 */
export async function readNode(
  url: string,
  { fetch, clock, timeoutMs = 10_000, signal }: ReadNodeOptions,
): Promise<NodeDocument> {
  const startedAtMs = clock.nowMs();
  const deadline = deadlineSignal(clock, signal);
  deadline.arm("timeout_headers", timeoutMs);
  try {
    const response = await fetch(url, { redirect: "manual", signal: deadline.signal });
    const latencyMs = clock.nowMs() - startedAtMs;
    const text = await readBoundedText(response.body, MAX_DOCUMENT_BYTES);
    if (!response.ok) throw refused(url, response, text);
    const date = Date.parse(response.headers.get("date") ?? "");
    return { json: parseJson(url, text), serverDateMs: Number.isNaN(date) ? undefined : date, latencyMs };
  } catch (thrown) {
    if (signal?.aborted === true) throw signal.reason;
    if (deadline.signal.aborted) throw deadline.signal.reason;
    if (ZephError.is(thrown)) throw thrown;
    const { error } = readNetworkFailure(thrown);
    throw new ZephError(error.code, {
      detail: `${new URL(url).host}: ${error.detail ?? "no answer"}`,
      hint: error.hint,
      cause: thrown,
    });
  } finally {
    deadline.release();
  }
}

function refused(url: string, response: Response, text: string): ZephError {
  const { message } = parseErrorBody(text, response.headers.get("content-type") ?? "");
  const detail = `${redactUrl(url)} answers ${response.status} ${scrub(message)}`.trim();
  return new ZephError("bad_response", { detail, status: response.status });
}

function parseJson(url: string, text: string): unknown {
  try {
    // Nodes write balances and heights as bare numbers, which JSON.parse rounds above 2^53.
    return parseExactJson(text);
  } catch (cause) {
    throw new ZephError("bad_response", {
      detail: `${redactUrl(url)} ${jsonFault(ZephError.is(cause) ? cause.cause : cause)}`,
      status: 200,
      cause,
    });
  }
}
