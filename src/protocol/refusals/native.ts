import type { ZephErrorCode } from "../../errors/catalogue.ts";
import type { Charged } from "../../errors/zeph-error.ts";
import { scrub } from "../../internal/redact.ts";
import { wantsApiKey } from "./broker.ts";
import { type ErrorBody, parseErrorBody } from "./error-body.ts";
import type { Refusal, RefusedResponse, Remedy } from "./refusal.ts";
import { readRequestFault } from "./request-fault.ts";

interface NativeRow {
  readonly status: number;
  readonly text: RegExp;
  readonly code: ZephErrorCode;
  readonly remedy: Remedy;
  readonly charged: Charged;
}

function row(status: number, text: RegExp, code: ZephErrorCode, remedy: Remedy, charged: Charged = "no"): NativeRow {
  return { status, text, code, remedy, charged };
}

/**
 * Refusals of a transfer agent, in the order it checks (gonka-ai/gonka at 8a35022b,
 * `decentralized-api/internal/server/public/post_chat_handler.go`; v0.2.13). "maybe" and "yes" rows come after
 * MsgStartInference was submitted: repeating them can cost a second time.
 */
const NATIVE_ROWS: readonly NativeRow[] = [
  row(410, /(?:)/, "native_closed", "stop"),
  row(408, /(?:)/, "timeout_headers", "again"),
  row(403, /transfer agent not allowed/i, "transfer_agent_not_allowed", "elsewhere"),
  row(403, /restricted until block height/i, "developer_not_allowed", "stop"),
  row(503, /unable to fetch (?:chain|current epoch)/i, "service_unavailable", "elsewhere"),
  row(500, /account not found/i, "account_not_found", "stop"),
  row(500, /account has no public key/i, "account_no_public_key", "stop"),
  row(500, /invalid address/i, "invalid_address", "stop"),
  row(401, /TransferSignature/i, "node_fault", "elsewhere", "maybe"),
  row(401, /requires an API key/i, "native_requires_api_key", "stop"),
  row(401, /(?:)/, "signature_invalid", "stop"),
  row(404, /model not found/i, "model_not_found", "stop"),
  row(404, /no executors available/i, "no_executor", "elsewhere"),
  row(503, /no executors available/i, "no_executor", "elsewhere"),
  row(402, /(?:)/, "insufficient_balance", "stop"),
  row(400, /signature is (?:too old|in the future)|Request timestamp is in the future/i, "clock_skew", "fix-clock"),
  // The executor's own check, after the transfer agent's: the escrow was taken by then.
  row(400, /Request timestamp is too old/i, "clock_skew", "fix-clock", "maybe"),
  row(400, /already been used for a transfer request/i, "replayed", "sign-anew"),
  row(400, /already been used for an executor request/i, "replayed", "sign-anew", "maybe"),
  row(400, /prompt hash/i, "node_fault", "elsewhere", "maybe"),
  row(400, /Inference node response with an error/i, "invalid_request", "stop", "yes"),
  row(422, /Inference node response with an error/i, "invalid_request", "stop", "yes"),
  row(429, /(?:)/, "capacity_reached", "elsewhere"),
  row(503, /no inference nodes available/i, "executor_failed", "elsewhere", "maybe"),
  row(503, /does not support \/v1\/completions/i, "executor_failed", "stop", "maybe"),
  row(500, /Failed to process inference node response/i, "executor_failed", "elsewhere", "yes"),
  row(500, /(?:)/, "executor_failed", "elsewhere", "maybe"),
  // nginx in front of the node: over its own limits, or the node behind it is away. The node saw nothing.
  row(503, /(?:)/, "service_unavailable", "elsewhere"),
  row(502, /(?:)/, "upstream_error", "elsewhere"),
  // nginx gave up waiting for a node that did get the request.
  row(504, /(?:)/, "timeout_headers", "elsewhere", "maybe"),
  row(405, /(?:)/, "wrong_url", "elsewhere"),
];

/** What a node's refusal means, and whether the network may have charged for it. */
export function readNativeRefusal(response: RefusedResponse): Refusal {
  const body = parseErrorBody(response.bodyText, response.contentType);
  const found = NATIVE_ROWS.find(({ status, text }) => status === response.status && text.test(body.message));
  const detail = scrub(body.message);
  return {
    ...(found === undefined ? otherNative(response, body) : pickRow(found, body)),
    ...(detail === "" ? {} : { detail }),
  };
}

function pickRow({ code, remedy, charged }: NativeRow, body: ErrorBody): Refusal {
  if (code !== "invalid_request") return { code, remedy, charged };
  // vLLM's own words are inside the node's sentence; a prompt that is too long is told apart there.
  return { ...readRequestFault(400, body), remedy, charged };
}

function otherNative(response: RefusedResponse, body: ErrorBody): Refusal {
  const { status } = response;
  if (wantsApiKey(body)) return { code: "native_requires_api_key", remedy: "stop", charged: "no" };
  if (status >= 300 && status < 400) return { code: "endpoint_moved", remedy: "elsewhere", charged: "no" };
  // Nodes may ban an address that keeps sending what they refuse (fail2ban sidecar), so a plain 403 or 404 ends it.
  if (status === 403) return { code: "forbidden", remedy: "stop", charged: "no" };
  if (status === 404) return { code: "wrong_url", remedy: "stop", charged: "no" };
  if (status === 400 || status === 413 || status === 422) {
    return { ...readRequestFault(status, body), remedy: "stop", charged: "no" };
  }
  if (status >= 500) return { code: "upstream_error", remedy: "elsewhere", charged: "maybe" };
  return { code: "bad_response", remedy: "stop", charged: "no" };
}
