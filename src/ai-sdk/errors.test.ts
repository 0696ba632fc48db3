import { APICallError, LoadAPIKeyError, NoSuchModelError, TypeValidationError } from "@ai-sdk/provider";
import { RetryError } from "ai";
import { describe, expect, it } from "vitest";
import { ZephError } from "../errors.ts";
import { toZephError } from "./errors.ts";

const call = (options: Partial<ConstructorParameters<typeof APICallError>[0]>) =>
  new APICallError({ message: "m", url: "https://x.example/v1/chat/completions", requestBodyValues: {}, ...options });

const named = (name: string, more: object = {}) => Object.assign(new Error("the secret words"), { name, ...more });

describe("toZephError", () => {
  it("gives an error of ours back, however deep it lies", () => {
    const error = new ZephError("capacity_reached");
    expect(toZephError(error)).toBe(error);
    expect(toZephError(call({ cause: error }))).toBe(error);
    expect(toZephError(new Error("outer", { cause: new Error("inner", { cause: error }) }))).toBe(error);
    const retry = new RetryError({ message: "m", reason: "maxRetriesExceeded", errors: [call({ cause: error })] });
    expect(toZephError(retry)).toBe(error);
  });

  it.each([
    [401, '{"error":{"message":"no","code":"invalid_api_key"}}', "invalid_api_key", "no"],
    [429, '{"error":{"message":"no","code":"insufficient_quota"}}', "insufficient_quota", "no"],
    [429, '{"error":{"message":"slow down"}}', "rate_limited", "slow down"],
    [500, "<html><title>Oops</title></html>", "upstream_error", "an HTML page: Oops"],
  ])("reads a refusal that did not come through our loop: %i %s", (statusCode, responseBody, code, detail) => {
    const error = toZephError(call({ statusCode, responseBody, responseHeaders: { "x-request-id": "r1" } }));
    expect(error).toMatchObject({ code, detail, status: statusCode, requestId: "r1" });
  });

  it("keeps what the refusal says of waiting and charges, also under a mark of our loop", () => {
    const body = { statusCode: 504, responseBody: '{"error":{"message":"failed"}}' };
    const headers = { "retry-after": "7", "x-request-id": "r1" };
    const read = { charged: "maybe", retryAfterMs: 7000, requestId: "r1", status: 504, detail: "failed" };
    expect(toZephError(call({ ...body, responseHeaders: headers }))).toMatchObject({ code: "upstream_error", ...read });
    const marked = toZephError(call({ ...body, responseHeaders: { ...headers, "x-zeph-error-code": "node_fault" } }));
    expect(marked).toMatchObject({ code: "node_fault", hint: new ZephError("node_fault").hint, ...read });
  });

  it("reads a 404 by the path that was asked", () => {
    const embeddings = "https://x.example/v1/embeddings";
    expect(toZephError(call({ statusCode: 404, url: embeddings })).code).toBe("unsupported_capability");
    expect(toZephError(call({ statusCode: 404 })).code).toBe("wrong_url");
  });

  it("believes the mark of our loop more than the status", () => {
    const responseHeaders = { "x-zeph-error-code": "no_executor" };
    expect(toZephError(call({ statusCode: 503, responseHeaders })).code).toBe("no_executor");
  });

  it.each([
    [call({}), "unreachable"],
    [call({ statusCode: 200, responseBody: "not json" }), "bad_response"],
    [new DOMException("stop", "AbortError"), "cancelled"],
    [new DOMException("late", "TimeoutError"), "timeout_total"],
    [named("ResponseAborted"), "cancelled"],
    [new Error("outer", { cause: new DOMException("stop", "AbortError") }), "cancelled"],
    [new TypeValidationError({ value: "the secret words", cause: "c" }), "bad_response"],
    [new NoSuchModelError({ modelId: "m", modelType: "imageModel" }), "unsupported_capability"],
    [new LoadAPIKeyError({ message: "m" }), "secret_missing"],
    [named("AI_NoObjectGeneratedError"), "bad_response"],
    [named("AI_InvalidPromptError"), "invalid_request"],
    [new Error("surprise"), "internal"],
    [undefined, "internal"],
    [7, "internal"],
    ["worker died", "stream_error"],
    [{ message: "worker died" }, "stream_error"],
    [{ message: "m", code: "context_length_exceeded" }, "context_length"],
    [{ type: "zeph_error", code: "timeout_idle", message: "m", detail: "after 60 s" }, "timeout_idle"],
  ])("%s is %s", (thrown, code) => {
    const error = toZephError(thrown);
    expect(error.code).toBe(code);
    expect(`${error.message}${JSON.stringify(error)}`).not.toContain("the secret words");
  });

  it("names the tool that the model made up", () => {
    const error = toZephError(named("AI_NoSuchToolError", { toolName: "fly" }));
    expect(error).toMatchObject({ code: "bad_response", detail: "the model called a tool that it was not given: fly" });
  });

  it("scrubs what it has to repeat", () => {
    expect(toZephError(new Error("bad key gp-0123456789abcdef")).detail).toBe("bad key [redacted]");
  });
});
