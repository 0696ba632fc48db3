import { describe, expect, it } from "vitest";
import { readBrokerRefusal } from "./broker.ts";

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
