import { expect, it } from "vitest";
import { ZephError } from "./errors.ts";

const cause = new Error("socket");
const whole = new ZephError("rate_limited", {
  detail: "slow down",
  hint: "Ask the operator.",
  status: 429,
  requestId: "id-1",
  attempts: [{ endpoint: "a", code: "rate_limited", elapsedMs: 1, charged: "maybe" }],
  charged: "maybe",
  retryAfterMs: 1500,
  cause,
});

it("is copied whole, with what is given in the place of what it had", () => {
  const copy = whole.with({ detail: "a: slow down" });
  expect(copy).toBeInstanceOf(ZephError);
  expect(copy).not.toBe(whole);
  expect(copy.toJSON()).toEqual({ ...whole.toJSON(), detail: "a: slow down" });
  expect(copy.message).toBe("Too many requests: a: slow down");
  expect(copy.cause).toBe(cause);
  expect(copy.stack).toContain("errors.test.ts");
});

it("takes away what is given as undefined", () => {
  const copy = whole.with({ cause: undefined, hint: undefined, retryAfterMs: undefined, detail: undefined });
  expect("cause" in copy).toBe(false);
  expect(copy.hint).toBe(new ZephError("rate_limited").hint);
  expect(copy.retryAfterMs).toBeUndefined();
  expect(copy.message).toBe("Too many requests");
  expect(copy).toMatchObject({ charged: "maybe", status: 429, requestId: "id-1" });
});
