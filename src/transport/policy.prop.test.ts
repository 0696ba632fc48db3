import fc from "fast-check";
import { expect, it } from "vitest";
import type { Endpoint } from "../wire/endpoint.ts";
import { EndpointPool } from "./policy.ts";

const endpoints = [0, 1, 2, 3, 4].map((index): Endpoint => ({ baseURL: `https://n${index}.example/v1` }));
const step = fc.record({
  elapsedMs: fc.integer({ min: 0, max: 20_000 }),
  node: fc.integer({ min: 0, max: 4 }),
  outcome: fc.constantFrom("fail", "succeed", "pick"),
});

it.each(["round-robin", "latency"] as const)("never picks a cooling endpoint while another is free (%s)", (order) => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      const pool = new EndpointPool(endpoints, { order });
      let now = 0;
      for (const { elapsedMs, node, outcome } of steps) {
        now += elapsedMs;
        const endpoint = endpoints[node]!;
        if (outcome === "fail") pool.fail(endpoint, now, 30_000, "x");
        else if (outcome === "succeed") pool.succeed(endpoint, elapsedMs);
        else {
          const before = pool.status(now);
          const cooling = new Set(
            before.filter((each) => each.coolsUntilMs !== undefined).map((each) => each.endpoint),
          );
          const picked = pool.pick(now);
          if (cooling.size < endpoints.length) expect(cooling.has(picked)).toBe(false);
        }
      }
    }),
  );
});
