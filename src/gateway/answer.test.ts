import { describe, expect, it } from "vitest";
import { manualClock } from "../base/time.ts";
import { fillSilence, HEARTBEAT } from "./answer.ts";

function start() {
  const clock = manualClock(0, "manual");
  const said: string[] = [];
  const filler = fillSilence(clock, { piece: HEARTBEAT, afterMs: 100 }, (piece) => said.push(piece));
  return { clock, said, filler };
}

describe("fillSilence", () => {
  it("speaks for every interval somebody waits, and no more once a piece has come", async () => {
    const { clock, said, filler } = start();
    filler.waiting();
    await clock.advance(350);
    expect(said).toEqual([HEARTBEAT, HEARTBEAT, HEARTBEAT]);
    filler.served();
    await clock.advance(1000);
    expect(said).toHaveLength(3);
  });

  it("counts from the last time somebody began to wait", async () => {
    const { clock, said, filler } = start();
    filler.waiting();
    await clock.advance(90);
    filler.served();
    filler.waiting();
    await clock.advance(99);
    expect(said).toEqual([]);
    await clock.advance(1);
    expect(said).toEqual([HEARTBEAT]);
  });

  it("says nothing while nobody waits, with one timer at most", async () => {
    const { clock, said } = start();
    await clock.advance(10_000);
    expect(said).toEqual([]);
    expect(clock.pendingTimers).toBe(1);
  });

  it("leaves no timer behind", async () => {
    const { clock, said, filler } = start();
    filler.waiting();
    await clock.advance(150);
    filler.stop();
    expect(clock.pendingTimers).toBe(0);
    await clock.advance(1000);
    expect(said).toHaveLength(1);
  });

  it("does nothing where there is nothing to say", () => {
    const clock = manualClock(0, "manual");
    fillSilence(clock, undefined, () => expect.fail("it spoke")).waiting();
    expect(clock.pendingTimers).toBe(0);
  });
});
