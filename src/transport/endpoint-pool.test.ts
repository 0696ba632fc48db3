import { describe, expect, it } from "vitest";
import type { Endpoint } from "../protocol/endpoint.ts";
import { EndpointPool } from "./endpoint-pool.ts";

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
