import { describe, expect, it } from "vitest";
import { CATALOGUE, ZephError, type ZephErrorCode } from "../errors.ts";
import { mayFallBack, rewriteModel } from "./fallback.ts";

describe("mayFallBack", () => {
  it.each<ZephErrorCode>([
    "unreachable",
    "upstream_error",
    "rate_limited",
    "native_closed",
    "endpoint_gone",
    "insufficient_quota",
  ])("goes on after %s", (code) => {
    expect(mayFallBack(new ZephError(code))).toBe(true);
  });

  it.each<ZephErrorCode>([
    "invalid_api_key",
    "model_not_found",
    "invalid_request",
    "parameter_rejected",
    "context_length",
    "secret_missing",
    "wrong_url",
    "signature_invalid",
    "account_not_found",
    "cancelled",
    "budget_reached",
  ])("stops at %s", (code) => {
    expect(mayFallBack(new ZephError(code))).toBe(false);
  });

  it("never goes on after what was charged for certain", () => {
    for (const code of Object.keys(CATALOGUE) as ZephErrorCode[]) {
      expect(mayFallBack(new ZephError(code, { charged: "yes" }))).toBe(false);
    }
  });
});

describe("rewriteModel", () => {
  it("changes the model and nothing else, in text and in bytes", () => {
    const body = '{"model":"a","messages":[{"content":"ünï"}],"seed":1}';
    const expected = '{"model":"b","messages":[{"content":"ünï"}],"seed":1}';
    expect(rewriteModel(body, "b")).toBe(expected);
    expect(rewriteModel(new TextEncoder().encode(body), "b")).toBe(expected);
    expect(rewriteModel(new TextEncoder().encode(body).buffer, "b")).toBe(expected);
  });

  it.each(["not json", "[]", "{}", "null"])("leaves %s as it is", (body) => {
    expect(rewriteModel(body, "b")).toBe(body);
  });
});
