import { expect, it } from "vitest";
import { alarmSweep, manualClock, once } from "./time.ts";

it("makes a thing once for all who ask, and again after a failure", async () => {
  let made = 0;
  let fails = true;
  const get = once(async () => {
    made += 1;
    if (fails) throw new Error("not there yet");
    return made;
  });
  const first = await Promise.allSettled([get(), get()]);
  expect(first.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  expect(made).toBe(1);
  fails = false;
  expect(await Promise.all([get(), get()])).toEqual([2, 2]);
  expect(await get()).toBe(2);
});

it("keeps many alarms with one timer, each at its time, and none behind", async () => {
  const clock = manualClock(0, "manual");
  const alarm = alarmSweep(clock);
  const rung: string[] = [];
  const [a, b, c] = ["a", "b", "c"].map((name) => alarm(() => rung.push(`${name} ${clock.nowMs()}`)));
  a!.arm(100);
  b!.arm(50);
  c!.arm(200);
  expect(clock.pendingTimers).toBe(1);
  await clock.advance(49);
  expect(rung).toEqual([]);
  await clock.advance(1);
  a!.arm(100);
  await clock.advance(99);
  expect(rung).toEqual(["b 50"]);
  await clock.advance(1);
  expect(rung).toEqual(["b 50", "a 150"]);
  c!.disarm();
  expect(clock.pendingTimers).toBe(0);
});

it("does not ring because somebody sets the clock", async () => {
  const clock = manualClock(0, "manual");
  const rung: number[] = [];
  alarmSweep(clock)(() => rung.push(1)).arm(1_000);
  clock.set(3_600_000);
  await clock.advance(999);
  expect(rung).toEqual([]);
  await clock.advance(1);
  expect(rung).toEqual([1]);
});
