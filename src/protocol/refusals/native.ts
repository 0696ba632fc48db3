import type { ZephErrorCode } from "../../errors/catalogue.ts";
import type { Charged } from "../../errors/zeph-error.ts";
import { scrub } from "../../internal/redact.ts";
import { wantsApiKey } from "./broker.ts";
import { type ErrorBody, parseErrorBody } from "./error-body.ts";
import { movedTo } from "./moved-to.ts";
import { MAYBE_CHARGED_HINT, type Refusal, type RefusedResponse, type Remedy } from "./refusal.ts";
import { readRequestFault } from "./request-fault.ts";

interface NativeRow extends Pick<Refusal, "code" | "remedy" | "charged" | "hint" | "timestamp"> {
  readonly status: number;
  readonly text: RegExp;
}

function row(
  status: number,
  text: RegExp,
  code: ZephErrorCode,
  remedy: Remedy,
  charged: Charged = "no",
  more: Pick<NativeRow, "hint" | "timestamp"> = {},
): NativeRow {
  return { status, text, code, remedy, charged, ...more };
}

const NOT_SERVING = {
  hint: "This node does not serve the API: take it out of gonka_nodes, or see `zeph gonka doctor` for others.",
};

/** A web page where a node's answer was expected: the others may well be nodes. */
export const WEB_PAGE: Refusal = {
  code: "wrong_url",
  remedy: "elsewhere",
  charged: "no",
  detail: "an HTML page came back",
  ...NOT_SERVING,
};

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
  row(400, /signature is too old/i, "clock_skew", "fix-clock", "no", { timestamp: "old" }),
  row(400, /(?:signature|Request timestamp) is in the future/i, "clock_skew", "fix-clock", "no", {
    timestamp: "future",
  }),
  // The executor's own check, after the transfer agent's: the escrow was taken by then.
  row(400, /Request timestamp is too old/i, "clock_skew", "fix-clock", "maybe", { timestamp: "old" }),
  row(400, /already been used for a transfer request/i, "replayed", "sign-anew"),
  row(400, /already been used for an executor request/i, "replayed", "sign-anew", "maybe"),
  row(400, /prompt hash/i, "node_fault", "elsewhere", "maybe"),
  row(400, /Inference node response with an error/i, "invalid_request", "stop", "yes"),
  row(422, /Inference node response with an error/i, "invalid_request", "stop", "yes"),
  row(429, /(?:)/, "capacity_reached", "elsewhere"),
  row(503, /no inference nodes available/i, "executor_failed", "elsewhere", "maybe"),
  row(503, /does not support \/v1\/completions/i, "executor_failed", "stop", "maybe", {
    hint: "Send it to /chat/completions: the hosts that serve this model do not take /completions.",
  }),
  row(500, /Failed to process inference node response/i, "executor_failed", "elsewhere", "yes"),
  row(500, /(?:)/, "executor_failed", "elsewhere", "maybe"),
  // nginx in front of the node: over its own limits, or the node behind it is away. The node saw nothing.
  row(503, /(?:)/, "service_unavailable", "elsewhere"),
  row(502, /(?:)/, "upstream_error", "elsewhere"),
  // nginx gave up waiting for a node that did get the request.
  row(504, /(?:)/, "timeout_headers", "elsewhere", "maybe", { hint: MAYBE_CHARGED_HINT }),
  // The nginx of one host, configured to serve less than others do.
  row(404, /(?:API|RPC) Disabled/i, "wrong_url", "elsewhere", "no", NOT_SERVING),
  row(403, /Access Denied|route is currently blocked/i, "forbidden", "elsewhere", "no", {
    hint: "This node blocks the request; use another node.",
  }),
];

/** What a node's refusal means, and whether the network may have charged for it. */
export function readNativeRefusal(response: RefusedResponse): Refusal {
  const body = parseErrorBody(response.bodyText, response.contentType);
  const found = NATIVE_ROWS.find(({ status, text }) => status === response.status && text.test(body.message));
  const target = found === undefined && isRedirect(response.status) ? movedTo(response) : undefined;
  const detail = scrub(target === undefined ? body.message : `to ${target}`);
  return {
    ...(found === undefined ? otherNative(response, body) : pickRow(found, body)),
    ...(detail === "" ? {} : { detail }),
  };
}

function pickRow({ status: _status, text: _text, ...refusal }: NativeRow, body: ErrorBody): Refusal {
  // vLLM's own words are inside the node's sentence; a prompt that is too long is told apart there.
  return refusal.code === "invalid_request" ? { ...refusal, ...readRequestFault(400, body) } : refusal;
}

function otherNative(response: RefusedResponse, body: ErrorBody): Refusal {
  const { status } = response;
  if (wantsApiKey(body)) return { code: "native_requires_api_key", remedy: "stop", charged: "no" };
  if (isRedirect(status)) return { code: "endpoint_moved", remedy: "elsewhere", charged: "no" };
  // Nodes may ban an address that keeps sending what they refuse (fail2ban sidecar), so a plain 403 ends it. What a node's
  // own router does not know (404) or does not take by this method (405), the same program elsewhere does not either.
  if (status === 403) return { code: "forbidden", remedy: "stop", charged: "no" };
  if (status === 404 || status === 405) return noSuchRoute(response.path);
  if (status === 400 || status === 413 || status === 422) {
    return { ...readRequestFault(status, body), remedy: "stop", charged: "no" };
  }
  if (status >= 500) return { code: "upstream_error", remedy: "elsewhere", charged: "maybe" };
  return { code: "bad_response", remedy: "stop", charged: "no" };
}

function isRedirect(status: number): boolean {
  return status >= 300 && status < 400;
}

/** No node ever had a route for embeddings; asking for them is no mistake in the address. */
function noSuchRoute(path: string): Pick<Refusal, "code" | "remedy" | "charged" | "hint"> {
  if (path.startsWith("/embeddings")) return { code: "unsupported_capability", remedy: "stop", charged: "no" };
  return { code: "wrong_url", remedy: "stop", charged: "no", ...NOT_SERVING };
}
