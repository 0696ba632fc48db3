import { describe, expect, it } from "vitest";
import { ZephError } from "../errors.ts";
import { readBrokerRefusal, readNativeRefusal, readNetworkFailure } from "./refusals.ts";

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

function openai(code: string | undefined, message = "words of the broker"): string {
  return JSON.stringify({ error: { message, ...(code === undefined ? {} : { code }) } });
}

describe("readBrokerRefusal", () => {
  it.each([
    [400, openai("invalid_request"), "invalid_request", "stop"],
    [400, openai(undefined, "This model's maximum context length is 8192 tokens"), "context_length", "stop"],
    [400, openai("context_length_exceeded"), "context_length", "stop"],
    [422, openai(undefined, "the prompt is too long: 9000 > 8000"), "context_length", "stop"],
    [
      400,
      openai(undefined, 'Chat completions parameter "tags" is currently rejected by the Gonka network. Remove it.'),
      "parameter_rejected",
      "stop",
    ],
    [
      400,
      openai(undefined, "feature `guided_json` is currently rejected by the Gonka network"),
      "parameter_rejected",
      "stop",
    ],
    [401, openai("invalid_api_key"), "invalid_api_key", "stop"],
    [401, openai("invalid_api_key", "management keys cannot be used here"), "management_key", "stop"],
    [402, openai(undefined, "Insufficient balance"), "insufficient_quota", "stop"],
    [429, openai("insufficient_quota"), "insufficient_quota", "stop"],
    [429, openai(undefined, "You exceeded your current quota"), "insufficient_quota", "stop"],
    [429, openai("rate_limit_exceeded"), "rate_limited", "again"],
    [429, openai("transfer_agent_capacity_reached"), "capacity_reached", "again"],
    [429, "not json at all", "rate_limited", "again"],
    [403, openai("account_deactivated"), "account_not_ready", "stop"],
    [403, openai(undefined, "E-mail not verified"), "account_not_ready", "stop"],
    [403, openai(undefined, "no"), "forbidden", "stop"],
    [404, openai("model_not_found"), "model_not_found", "stop"],
    [404, openai(undefined, "The model `x` does not exist"), "model_not_found", "stop"],
    [404, "<html><title>404 Not Found</title></html>", "wrong_url", "stop"],
    [404, "", "wrong_url", "stop"],
    [405, "", "wrong_url", "stop"],
    [308, JSON.stringify({ new_url: "https://other.example" }), "endpoint_moved", "stop"],
    [409, openai(undefined), "conflict", "stop"],
    [410, '{"error":"deprecated","message":"classic inference is deprecated; use devshard"}', "native_closed", "stop"],
    [410, openai("gone"), "endpoint_gone", "stop"],
    [410, "", "endpoint_gone", "stop"],
    [413, "", "request_too_large", "stop"],
    [500, openai(undefined), "upstream_error", "again"],
    [502, "<html><title>502 Bad Gateway</title></html>", "upstream_error", "again"],
    [503, openai("service_unavailable"), "service_unavailable", "again"],
    [504, "", "upstream_error", "again"],
    [418, openai("teapot"), "bad_response", "stop"],
    [599, "", "upstream_error", "again"],
  ])("%i %s is %s, %s", (status, bodyText, code, remedy) => {
    expect(readBrokerRefusal({ status, bodyText, contentType: "", path: "/chat/completions" })).toMatchObject({
      code,
      remedy,
    });
  });

  it.each([
    [
      JSON.stringify({ error: { message: "moved." }, new_url: "https://other.example/v1" }),
      undefined,
      "moved. to https://other.example/v1",
    ],
    ["", "https://other.example/", "to https://other.example/"],
    ["<html><title>308</title></html>", "https://other.example/", "to https://other.example/"],
    ["", undefined, undefined],
    ["", "https://me:gp-planted@other.example/v1?key=planted#planted", "to https://other.example/v1"],
    ["", "//me:planted@other.example/v1?key=planted", "to https://other.example/v1"],
    ["", "/v2/chat/completions?key=planted", "to /v2/chat/completions"],
    ["", "https://me:planted@bad host/", undefined],
    ['{"new_url":"https://me:planted@other.example/"}', undefined, "to https://other.example/"],
    ["Redirecting to https://other.example/?key=planted", "https://other.example/", "to https://other.example/"],
  ])("tells where an endpoint says it has moved", (bodyText, location, detail) => {
    const response = {
      status: 308,
      contentType: "",
      bodyText,
      path: "",
      ...(location === undefined ? {} : { location }),
    };
    expect(readBrokerRefusal(response).detail).toBe(detail);
  });

  it("names the parameter the network refuses", () => {
    const bodyText = openai(undefined, 'parameter "tags" is currently rejected by the Gonka network');
    expect(readBrokerRefusal({ status: 400, bodyText, contentType: "", path: "/chat/completions" }).hint).toContain(
      "tags",
    );
  });

  it("says of a node of the network that it is no broker", () => {
    const bodyText = '{"error":"deprecated","message":"classic inference is deprecated; use devshard"}';
    expect(readBrokerRefusal({ status: 410, bodyText, contentType: "", path: "/chat/completions" }).hint).toMatch(
      /not a broker.*base_url/,
    );
  });

  it("calls a missing embeddings route an unsupported capability", () => {
    const refusal = readBrokerRefusal({ status: 404, bodyText: "", contentType: "", path: "/embeddings" });
    expect(refusal.code).toBe("unsupported_capability");
  });

  it("does not repeat a key that the broker repeats", () => {
    const bodyText = openai("invalid_api_key", "Incorrect API key provided: gp-abcdefghijklmnop");
    const { detail } = readBrokerRefusal({ status: 401, bodyText, contentType: "", path: "/models" });
    expect(detail).toBe("Incorrect API key provided: [redacted]");
  });
});

const caused = (code: string) => new TypeError("fetch failed", { cause: Object.assign(new Error(code), { code }) });

describe("readNetworkFailure", () => {
  it.each([
    [caused("ECONNREFUSED"), false, "connection refused"],
    [caused("ENOTFOUND"), false, "the host name is not known"],
    [caused("DEPTH_ZERO_SELF_SIGNED_CERT"), false, "its TLS certificate is self-signed"],
    [caused("ECONNRESET"), true, "the connection was reset"],
    [caused("SOMETHING_NEW"), true, "SOMETHING_NEW"],
    [new TypeError("fetch failed"), true, "no answer"],
    ["a string", true, "no answer"],
  ])("%s: left %s, %s", (thrown, requestLeft, detail) => {
    expect(readNetworkFailure(thrown)).toMatchObject({ requestLeft, error: { code: "unreachable", detail } });
  });

  it.each([
    ["UNABLE_TO_GET_ISSUER_CERT_LOCALLY", /authority/, /NODE_EXTRA_CA_CERTS=/],
    ["SELF_SIGNED_CERT_IN_CHAIN", /authority/, /NODE_EXTRA_CA_CERTS=/],
    ["DEPTH_ZERO_SELF_SIGNED_CERT", /self-signed/, /NODE_EXTRA_CA_CERTS=/],
    ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", /authority/, /NODE_EXTRA_CA_CERTS=/],
    ["CERT_HAS_EXPIRED", /expired/, /date/],
    ["CERT_NOT_YET_VALID", /not valid yet/, /date/],
    ["ERR_TLS_CERT_ALTNAME_INVALID", /another host/, /base_url/],
    ["ERR_SSL_WRONG_VERSION_NUMBER", /does not speak TLS/, /http:\/\//],
    ["ERR_SSL_TLSV1_ALERT_UNKNOWN_CA", /TLS failed/, /zeph doctor/],
  ])("%s is TLS, before anything was sent, with its own way out", (code, detail, hint) => {
    const failure = readNetworkFailure(caused(code));
    expect(failure).toMatchObject({ requestLeft: false, stage: "tls", error: { code: "unreachable" } });
    expect(failure.error.detail).toMatch(detail);
    expect(failure.error.hint).toMatch(hint);
  });

  it("an answer that is not HTTP was asked for", () => {
    const failure = readNetworkFailure(caused("HPE_INVALID_CONSTANT"));
    expect(failure).toMatchObject({ requestLeft: true, error: { detail: "what came back is not HTTP" } });
  });

  it("leaves an error of ours, which a fetch that was given may throw, as it is", () => {
    const own = new ZephError("config_invalid", { detail: "HTTPS_PROXY" });
    expect(readNetworkFailure(own)).toMatchObject({ requestLeft: false, error: own });
  });

  it("looks into the causes of a host with several addresses", () => {
    const refused = Object.assign(new Error("x"), { code: "ECONNREFUSED" });
    const thrown = new TypeError("fetch failed", { cause: new AggregateError([refused, refused]) });
    expect(readNetworkFailure(thrown)).toMatchObject({ requestLeft: false });
  });

  it("knows the ports that fetch itself refuses: nothing was sent", async () => {
    const thrown: unknown = await fetch("http://127.0.0.1:1/").catch((error) => error);
    expect(readNetworkFailure(thrown)).toMatchObject({
      requestLeft: false,
      error: { detail: "fetch refuses to connect to this port" },
    });
  });
});
