import { describe, expect, it } from "vitest";
import { ZephError } from "../errors.ts";
import type { Endpoint } from "../wire/endpoint.ts";
import { type Refusal, retryAfterMs } from "../wire/refusals.ts";
import { classify, EndpointPool, type Outcome, type Situation } from "./policy.ts";

const SITUATION: Situation = {
  path: "native",
  method: "POST",
  attempt: 1,
  maxAttempts: 3,
  retryCharged: false,
  signedAnew: false,
  skewMs: 0,
  hasFreeEndpoint: false,
  nowMs: 1_000_000,
  random: () => 1,
};

function refused(refusal: Partial<Refusal>, headers: Record<string, string> = {}): Outcome {
  const full: Refusal = { code: "service_unavailable", remedy: "again", charged: "no", ...refusal };
  return { kind: "refused", refusal: full, headers: new Headers(headers) };
}

const failed = (requestLeft: boolean): Outcome => ({
  kind: "failed",
  error: new ZephError("unreachable"),
  requestLeft,
});

describe("classify", () => {
  it("stops where no endpoint would answer differently", () => {
    expect(classify(refused({ remedy: "stop" }), SITUATION).action).toBe("stop");
  });

  it.each(["maybe", "yes"] as const)("does not risk a second charge (%s) unless asked to", (charged) => {
    const outcome = refused({ remedy: "elsewhere", charged });
    expect(classify(outcome, { ...SITUATION, hasFreeEndpoint: true }).action).toBe("stop");
    expect(classify(outcome, { ...SITUATION, hasFreeEndpoint: true, retryCharged: true }).action).toBe("retry");
  });

  it("goes to a free endpoint at once, whatever the failed one asks to wait", () => {
    const outcome = refused({ remedy: "elsewhere", code: "capacity_reached" }, { "retry-after": "20" });
    expect(classify(outcome, { ...SITUATION, hasFreeEndpoint: true })).toEqual({
      action: "retry",
      delayMs: 0,
      cooldownMs: 20_000,
    });
  });

  it("waits as long as the server asks, and backs off with jitter when it does not", () => {
    expect(classify(refused({}, { "retry-after": "7" }), SITUATION)).toMatchObject({ delayMs: 7000 });
    expect(classify(refused({}), SITUATION)).toMatchObject({ delayMs: 500 });
    expect(classify(refused({}), { ...SITUATION, attempt: 2 })).toMatchObject({ delayMs: 1000 });
    expect(classify(refused({}), { ...SITUATION, random: () => 0 })).toMatchObject({ delayMs: 250 });
    expect(classify(refused({}), { ...SITUATION, attempt: 20, maxAttempts: 30 })).toMatchObject({ delayMs: 8000 });
  });

  it("tells the user instead of waiting for minutes", () => {
    expect(classify(refused({}, { "retry-after": "61" }), SITUATION).action).toBe("stop");
  });

  it("stops when the attempts are used up", () => {
    expect(classify(refused({}), { ...SITUATION, attempt: 3 }).action).toBe("stop");
  });

  it.each(["native", "broker"] as const)("repeats what never reached %s, not what may have been answered", (path) => {
    const situation = { ...SITUATION, path };
    expect(classify(failed(false), situation).action).toBe("retry");
    expect(classify(failed(true), situation).action).toBe("stop");
    expect(classify(failed(true), { ...situation, retryCharged: true }).action).toBe("retry");
    expect(classify(failed(true), { ...situation, method: "GET" }).action).toBe("retry");
  });

  describe("with a timestamp refusal", () => {
    const outcome = refused({ code: "clock_skew", remedy: "fix-clock" });
    it.each([-90_000, -45_000, -20_000, 20_000, 45_000, 90_000])("mends a clock that is %i ms off, once", (skewMs) => {
      expect(classify(outcome, { ...SITUATION, skewMs }).action).toBe("fix-clock");
      expect(classify(outcome, { ...SITUATION, skewMs, attempt: 3 }).action).toBe("fix-clock");
      expect(classify(outcome, { ...SITUATION, skewMs, signedAnew: true }).action).toBe("stop");
    });
    it.each([-5000, 0, 5000])("blames the chain when the clock is right (%i ms)", (skewMs) => {
      expect(classify(outcome, { ...SITUATION, skewMs })).toMatchObject({ action: "stop", code: "chain_stalled" });
    });
    it("signs a late request anew when the clock is right, once", () => {
      const late = refused({ code: "clock_skew", remedy: "fix-clock", timestamp: "old" });
      expect(classify(late, SITUATION)).toEqual({ action: "retry", delayMs: 0, cooldownMs: 0 });
      expect(classify(late, { ...SITUATION, signedAnew: true })).toEqual({ action: "stop", cooldownMs: 0 });
      expect(classify(late, { ...SITUATION, skewMs: 90_000 }).action).toBe("fix-clock");
    });
    it("does not guess without the server's time", () => {
      expect(classify(outcome, { ...SITUATION, skewMs: undefined })).toEqual({ action: "stop", cooldownMs: 0 });
    });
  });

  it("cools a node that timed out for longer", () => {
    const timeout: Outcome = { kind: "failed", error: new ZephError("timeout_headers"), requestLeft: false };
    expect(classify(timeout, SITUATION)).toMatchObject({ cooldownMs: 60_000 });
    expect(classify(failed(false), SITUATION)).toMatchObject({ cooldownMs: 30_000 });
    expect(classify(refused({ remedy: "stop", code: "model_not_found" }), SITUATION)).toMatchObject({ cooldownMs: 0 });
  });
});

describe("retry after", () => {
  const NOW = Date.parse("Sun, 22 Nov 2026 12:00:00 GMT");

  it.each([
    [{ "retry-after": "7" }, 7000],
    [{ "retry-after": "0" }, 0],
    [{ "retry-after": "1.5" }, 1500],
    [{ "retry-after": "Sun, 22 Nov 2026 12:00:30 GMT" }, 30_000],
    [{ "retry-after": "Sun, 22 Nov 2026 11:59:00 GMT" }, 0],
    [{ "retry-after-ms": "250", "retry-after": "9" }, 250],
    [{ "retry-after": "-5" }, undefined],
    [{ "retry-after": "soon" }, undefined],
    [{ "retry-after": "12abc" }, undefined],
    [{}, undefined],
  ])("%j is %s ms", (headers, expected) => {
    expect(retryAfterMs(new Headers(headers as Record<string, string>), NOW)).toBe(expected);
  });
});

const [a, b, c] = ["a", "b", "c"].map((name): Endpoint => ({ baseURL: `https://${name}.example/v1`, name })) as [
  Endpoint,
  Endpoint,
  Endpoint,
];

describe("EndpointPool", () => {
  it("takes endpoints in turn", () => {
    const pool = new EndpointPool([a, b, c]);
    expect([0, 0, 0, 0].map((now) => pool.pick(now).name)).toEqual(["a", "b", "c", "a"]);
  });

  it("skips a failed endpoint until it has cooled", () => {
    const pool = new EndpointPool([a, b, c]);
    pool.fail(b, 1000, 30_000, "unreachable");
    expect([1000, 1000, 1000].map((now) => pool.pick(now).name)).toEqual(["a", "c", "a"]);
    expect([31_000, 31_000].map((now) => pool.pick(now).name)).toEqual(["b", "c"]);
  });

  it("takes the one that failed longest ago when all are cooling", () => {
    const pool = new EndpointPool([a, b, c]);
    pool.fail(c, 1000, 60_000, "x");
    pool.fail(a, 2000, 60_000, "x");
    pool.fail(b, 3000, 60_000, "x");
    expect(pool.pick(4000).name).toBe("c");
  });

  it("takes one in turn again as soon as it has answered, cooled or not", () => {
    const pool = new EndpointPool([a, b]);
    pool.fail(a, 1000, 60_000, "unreachable");
    pool.fail(b, 2000, 60_000, "unreachable");
    expect(pool.pick(3000).name).toBe("a");
    pool.succeed(a, 10);
    expect([3000, 3000].map((now) => pool.pick(now).name)).toEqual(["a", "a"]);
    expect(pool.status(3000)[0]).toMatchObject({ lastOutcome: "ok", coolsUntilMs: undefined });
  });

  it("avoids what this request tried while another is free", () => {
    const pool = new EndpointPool([a, b]);
    expect(pool.pick(0, new Set([a])).name).toBe("b");
    expect(pool.pick(0, new Set([a, b])).name).toBeDefined();
    expect(pool.hasFree(0, new Set([a]))).toBe(true);
    expect(pool.hasFree(0, new Set([a, b]))).toBe(false);
  });

  it("prefers the fastest by latency, and unknown ones first so that they get known", () => {
    const pool = new EndpointPool([a, b, c], { order: "latency" });
    pool.succeed(a, 300);
    pool.succeed(b, 100);
    expect(pool.pick(0).name).toBe("c");
    pool.succeed(c, 200);
    expect([0, 0].map((now) => pool.pick(now).name)).toEqual(["b", "b"]);
  });

  it("is an error when empty", () => {
    expect(() => new EndpointPool([]).pick(0)).toThrow(expect.objectContaining({ code: "no_endpoints" }));
  });

  it("keeps what it knows when the list changes", () => {
    const pool = new EndpointPool([a, b]);
    pool.fail(a, 0, 30_000, "unreachable");
    pool.replace([a, c]);
    expect(pool.pick(1).name).toBe("c");
    expect(pool.status(1)).toMatchObject([
      { label: "a", failures: 1, lastOutcome: "unreachable", coolsUntilMs: 30_000 },
      { label: "c" },
    ]);
  });
});
