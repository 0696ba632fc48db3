import { describe, expect, it } from "vitest";
import { manualClock } from "../base/time.ts";
import { blockClock } from "./blocks.ts";

const START = 1_700_000_000_000;

describe("blockClock", () => {
  it("makes a block every 5 seconds and stays 1 to 6 seconds behind the wall", async () => {
    const clock = manualClock(START);
    const blocks = blockClock(clock, 100);
    for (let second = 0; second < 30; second += 1) {
      const behindMs = clock.nowMs() - blocks.latest().timeMs;
      expect(behindMs).toBeGreaterThanOrEqual(1_000);
      expect(behindMs).toBeLessThan(6_000);
      await clock.advance(1_000);
    }
    expect(blocks.latest().height).toBe(106);
  });

  it("can stall: the wall goes on, the latest block does not", async () => {
    const clock = manualClock(START);
    const blocks = blockClock(clock, 100);
    blocks.stall();
    await clock.advance(60_000);
    expect(blocks.latest()).toEqual({ height: 100, timeMs: START - 1_000 });
    expect(blocks.nowMs()).toBe(START + 60_000);
    blocks.resume();
    expect(blocks.latest().height).toBe(112);
  });

  it("can be minutes away from the user's clock", () => {
    const blocks = blockClock(manualClock(START), 100);
    blocks.setSkew(300_000);
    expect(blocks.nowMs()).toBe(START + 300_000);
    expect(START + 300_000 - blocks.latest().timeMs).toBeLessThan(6_000);
  });

  it("can produce blocks at once, while stalled too", () => {
    const blocks = blockClock(manualClock(START), 100);
    blocks.produce(3);
    expect(blocks.latest()).toEqual({ height: 103, timeMs: START + 14_000 });
    blocks.stall();
    blocks.produce(1, 0);
    expect(blocks.latest()).toEqual({ height: 104, timeMs: START + 14_000 });
  });
});
