import { describe, expect, it } from "vitest";
import { readNativeRefusal } from "./native.ts";

/** The refusal table of a transfer agent, row by row: status, text, our code, remedy, charged. */
const ROWS = [
  [
    410,
    '{"error":"deprecated","message":"classic inference is deprecated; use devshard"}',
    "native_closed",
    "stop",
    "no",
  ],
  [413, { error: "request body too large" }, "request_too_large", "stop", "no"],
  [413, "<html><title>413 Request Entity Too Large</title></html>", "request_too_large", "stop", "no"],
  [400, { error: "malformed request body" }, "invalid_request", "stop", "no"],
  [408, { error: "request body read timeout" }, "timeout_headers", "again", "no"],
  [400, { error: "invalid chat completion request: json: cannot unmarshal" }, "invalid_request", "stop", "no"],
  [400, { error: "messages is required" }, "invalid_request", "stop", "no"],
  [403, { error: "Transfer Agent not allowed" }, "transfer_agent_not_allowed", "elsewhere", "no"],
  [401, { error: "Authorization is required" }, "signature_invalid", "stop", "no"],
  [400, { error: "No model specified" }, "invalid_request", "stop", "no"],
  [403, { error: "inference requests are restricted until block height 99" }, "developer_not_allowed", "stop", "no"],
  [503, { error: "unable to fetch chain params" }, "service_unavailable", "elsewhere", "no"],
  [503, { error: "unable to fetch chain status" }, "service_unavailable", "elsewhere", "no"],
  [400, { error: "messages[0].content: is required" }, "invalid_request", "stop", "no"],
  [500, { error: "rpc error: code = NotFound desc = account not found" }, "account_not_found", "stop", "no"],
  [500, { error: "account has no public key" }, "account_no_public_key", "stop", "no"],
  [500, { error: "invalid address" }, "invalid_address", "stop", "no"],
  [401, { error: "Unable to validate request against PubKey:invalid signature" }, "signature_invalid", "stop", "no"],
  [401, { error: { message: 'model "X" requires an API key' } }, "native_requires_api_key", "stop", "no"],
  [404, { error: "model not found" }, "model_not_found", "stop", "no"],
  [503, { error: "unable to fetch current epoch group data" }, "service_unavailable", "elsewhere", "no"],
  [402, { error: "Insufficient balance" }, "insufficient_balance", "stop", "no"],
  [400, { error: "signature is too old" }, "clock_skew", "fix-clock", "no"],
  [400, { error: "signature is in the future" }, "clock_skew", "fix-clock", "no"],
  [400, { error: "Request timestamp is in the future" }, "clock_skew", "fix-clock", "no"],
  [400, { error: "AuthKey has already been used for a transfer request" }, "replayed", "sign-anew", "no"],
  [
    429,
    { error: "Transfer Agent capacity reached. Try another TA from http://x/v1/epochs/current/participants" },
    "capacity_reached",
    "elsewhere",
    "no",
  ],
  [429, "rate limit exceeded", "capacity_reached", "elsewhere", "no"],
  [503, { error: "no executors available for model" }, "no_executor", "elsewhere", "no"],
  [500, { error: 'Post "http://10.0.0.1": dial tcp: connection refused' }, "executor_failed", "elsewhere", "maybe"],
  [503, { error: "no inference nodes available" }, "executor_failed", "elsewhere", "maybe"],
  [400, { error: "Prompt hash mismatch" }, "node_fault", "elsewhere", "maybe"],
  [
    401,
    { error: "Unable to validate request against TransferSignature:invalid signature" },
    "node_fault",
    "elsewhere",
    "maybe",
  ],
  [400, { error: "Request timestamp is too old" }, "clock_skew", "fix-clock", "maybe"],
  [400, { error: "AuthKey has already been used for an executor request" }, "replayed", "sign-anew", "maybe"],
  [400, { error: "Inference node response with an error. code = 400. error = {}." }, "invalid_request", "stop", "yes"],
  [
    400,
    { error: "Inference node response with an error. code = 400. error = maximum context length is 5." },
    "context_length",
    "stop",
    "yes",
  ],
  [
    500,
    { error: "Inference node response with an error. code = 500. error = {}." },
    "executor_failed",
    "elsewhere",
    "maybe",
  ],
  [
    503,
    { error: "selected executor does not support /v1/completions; upgrade required" },
    "executor_failed",
    "stop",
    "maybe",
  ],
  [500, "Failed to process inference node response. inferenceId = x", "executor_failed", "elsewhere", "yes"],
  [
    500,
    { error: "runtime error: invalid memory address or nil pointer dereference: panic" },
    "executor_failed",
    "elsewhere",
    "maybe",
  ],
  [503, "<html><title>503 Service Temporarily Unavailable</title></html>", "service_unavailable", "elsewhere", "no"],
  [502, "<html><title>502 Bad Gateway</title></html>", "upstream_error", "elsewhere", "no"],
  [504, "<html><title>504 Gateway Time-out</title></html>", "timeout_headers", "elsewhere", "maybe"],
  [404, "App API Disabled", "wrong_url", "elsewhere", "no"],
  [403, '{"error": "Access Denied", "message": "This route is currently blocked."}', "forbidden", "elsewhere", "no"],
  [403, { error: "something else" }, "forbidden", "stop", "no"],
  [404, { error: "Not Found" }, "wrong_url", "stop", "no"],
  [405, { error: "Method Not Allowed" }, "wrong_url", "stop", "no"],
] as const;

describe("readNativeRefusal", () => {
  it.each(ROWS)("%i %j is %s, %s, charged %s", (status, body, code, remedy, charged) => {
    const bodyText = typeof body === "string" ? body : `${JSON.stringify(body)}\n`;
    const refusal = readNativeRefusal({ status, bodyText, contentType: "", path: "/chat/completions" });
    expect(refusal).toMatchObject({ code, remedy, charged });
  });

  it("tells where a node says it has moved, without credentials and query", () => {
    const location = "https://me:planted@other.example/v1?key=planted";
    const refusal = readNativeRefusal({ status: 307, bodyText: "", contentType: "", path: "/models", location });
    expect(refusal).toMatchObject({
      code: "endpoint_moved",
      remedy: "elsewhere",
      detail: "to https://other.example/v1",
    });
  });
});
