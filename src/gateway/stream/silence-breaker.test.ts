import { describe, expect, it } from "vitest";
import { manualClock } from "../../internal/manual-clock.ts";
import { HEARTBEAT, silenceBreaker } from "./silence-breaker.ts";

/** A source whose pieces come when told. */
function told() {
  let settle: { resolve: (piece: string | undefined) => void; reject: (reason: Error) => void } | undefined;
  let reads = 0;
  let cancelled: unknown;
  return {
    source: {
      next() {
        reads += 1;
        return new Promise<string | undefined>((resolve, reject) => {
          settle = { resolve, reject };
        });
      },
      cancel(reason: unknown) {
        cancelled = reason;
      },
    },
    give: (piece: string | undefined) => settle?.resolve(piece),
    fail: (reason: Error) => settle?.reject(reason),
    reads: () => reads,
    cancelled: () => cancelled,
  };
}

const start = () => {
  const clock = manualClock(0, "manual");
  const upstream = told();
  return { clock, upstream, broken: silenceBreaker(upstream.source, { clock, heartbeatMs: 100 }) };
};

describe("silenceBreaker", () => {
  it("gives pieces as they come, and a comment for every interval of waiting", async () => {
    const { clock, upstream, broken } = start();
    const first = broken.next();
    upstream.give("a");
    expect(await first).toBe("a");
    const second = broken.next();
    await clock.advance(100);
    expect(await second).toBe(HEARTBEAT);
    const third = broken.next();
    await clock.advance(100);
    expect(await third).toBe(HEARTBEAT);
    const fourth = broken.next();
    upstream.give("b");
    expect(await fourth).toBe("b");
    // The piece that came late was read once, not once for every comment.
    expect(upstream.reads()).toBe(2);
  });

  it("counts from the last time somebody began to wait", async () => {
    const { clock, upstream, broken } = start();
    const first = broken.next();
    await clock.advance(90);
    upstream.give("a");
    await first;
    let second: string | Uint8Array | undefined;
    void broken.next().then((piece) => {
      second = piece;
    });
    await clock.advance(99);
    expect(second).toBeUndefined();
    await clock.advance(1);
    expect(second).toBe(HEARTBEAT);
  });

  it("says nothing while nobody waits", async () => {
    const { clock, upstream, broken } = start();
    const first = broken.next();
    upstream.give("a");
    await first;
    await clock.advance(10_000);
    expect(upstream.reads()).toBe(1);
    expect(clock.pendingTimers).toBe(1);
  });

  it.each(["end", "failure", "cancel"] as const)("leaves no timer behind at the %s", async (how) => {
    const { clock, upstream, broken } = start();
    const last = broken.next();
    if (how === "end") {
      upstream.give(undefined);
      expect(await last).toBeUndefined();
    } else if (how === "failure") {
      upstream.fail(new Error("broke"));
      await expect(last).rejects.toThrow("broke");
    } else {
      broken.cancel("left");
      expect(upstream.cancelled()).toBe("left");
    }
    expect(clock.pendingTimers).toBe(0);
  });
});
