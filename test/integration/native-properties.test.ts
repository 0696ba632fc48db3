import { createHash } from "node:crypto";
import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { CHECK_FAULTS, EXECUTOR_FAULTS, type NodeFaultKind } from "../../src/sandbox/classic/faults.ts";

import { FRONT_ANSWERS } from "../../src/sandbox/classic/node.ts";
import { type NativeWorld, startNativeWorld } from "../support/native-world.ts";
import { chatBody } from "./sandbox-network-client.ts";

/** What must hold for the signed path whatever nodes do: end to end, with faults that chance picks. */

let world: NativeWorld;
beforeAll(async () => {
  world = await startNativeWorld({ nodes: 4 });
});
afterAll(() => world.stop());

const kindsOf = (table: object) => Object.keys(table) as NodeFaultKind[];
const KINDS: readonly NodeFaultKind[] = [
  ...kindsOf(FRONT_ANSWERS),
  ...kindsOf(CHECK_FAULTS),
  ...kindsOf(EXECUTOR_FAULTS),
  "drop",
  "redirect",
  "cut",
];
/** A remedy of these is one attempt more: the clock corrected, or the signature made anew. */
const REMEDIED = /^(?:request-|replayed|executor-late|executor-replay)/;

const scenario = fc.record({
  faults: fc.array(fc.array(fc.option(fc.constantFrom(...KINDS), { nil: undefined, freq: 3 }), { maxLength: 8 }), {
    minLength: 4,
    maxLength: 4,
  }),
  maxAttempts: fc.integer({ min: 1, max: 5 }),
  retryCharged: fc.boolean(),
  order: fc.constantFrom("round-robin" as const, "latency" as const),
  inTurn: fc.integer({ min: 1, max: 4 }),
  atOnce: fc.integer({ min: 0, max: 4 }),
  pauseMs: fc.constantFrom(0, 1_000, 40_000),
});

let run = 0;

it("attempts stay within the budget, nothing is signed or charged twice, no cooling node is picked while one is free", async () => {
  await fc.assert(
    fc.asyncProperty(scenario, async ({ faults, maxAttempts, retryCharged, order, inTurn, atOnce, pauseMs }) => {
      run += 1;
      const firstPost = world.posts().length;
      for (const [index, node] of world.network.nodes.entries()) {
        const plan = faults[index]!.values();
        node.faults.plan(({ method }) => (method === "POST" ? plan.next().value : undefined));
      }
      const badPicks: string[] = [];
      const client = world.client({
        maxAttempts,
        retryCharged,
        order,
        onEvent(event) {
          if (event.type !== "attempt-started") return;
          const nodes = client.gonka.endpoints();
          const isCooling = nodes.find(({ label }) => label === event.endpoint)?.coolsUntilMs !== undefined;
          const free = nodes.filter(({ coolsUntilMs }) => coolsUntilMs === undefined).map(({ label }) => label);
          if (isCooling && free.length > 0) badPicks.push(`${event.endpoint} cools, ${free.join(" and ")} do not`);
        },
      });
      const bodies = Array.from({ length: inTurn + atOnce }, (_, index) =>
        chatBody({ messages: [{ role: "user", content: `run ${run} request ${index}` }] }),
      );
      const send = async (body: string) => {
        // However it ends, it ends: the properties speak about what was sent.
        await client
          .chat(body)
          .then((response) => response.text())
          .catch(() => {});
      };
      for (const body of bodies.slice(0, inTurn)) {
        await send(body);
        await world.clock.advance(pauseMs);
      }
      await Promise.all(bodies.slice(inTurn).map(send));

      const posts = world.posts().slice(firstPost);
      for (const body of bodies) {
        const sent = posts.filter((post) => post.body.toString() === body);
        const extra = sent.some(({ fault }) => fault !== undefined && REMEDIED.test(fault)) ? 1 : 0;
        expect(sent.length).toBeGreaterThan(0);
        expect(sent.length).toBeLessThanOrEqual(maxAttempts + extra);
        const key = createHash("sha256").update(body).digest("hex");
        const started = world.network.chain.ledger.entries.filter(({ bodySha256 }) => bodySha256 === key);
        if (!retryCharged) expect(started.length).toBeLessThanOrEqual(1);
      }
      expect(new Set(posts.map(({ headers }) => headers.authorization)).size).toBe(posts.length);
      expect(badPicks).toEqual([]);
      expect(world.network.violations).toEqual([]);
      expect(world.clock.pendingTimers).toBe(0);
    }),
    { numRuns: 40 },
  );
});
