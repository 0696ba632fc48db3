import { expect, it } from "vitest";
import { manualClock } from "../base/time.ts";
import { KEEP_ALIVE, withKeepAlives } from "./answers.ts";

it("sends comments while nothing comes, and passes on what comes", async () => {
  const clock = manualClock(0, "manual");
  async function* slow() {
    yield "first";
    await clock.sleep(35_000);
    yield "second";
  }
  const seen: string[] = [];
  const reading = (async () => {
    for await (const item of withKeepAlives(slow(), clock, 15_000)) seen.push(item);
  })();
  for (let second = 0; second < 40; second += 1) {
    await clock.advance(1000);
    for (let turn = 0; turn < 5; turn += 1) await Promise.resolve();
  }
  await reading;
  expect(seen).toEqual(["first", KEEP_ALIVE, KEEP_ALIVE, "second"]);
  expect(clock.pendingTimers).toBe(0);
});

it("hands on a failure", async () => {
  const failing = {
    [Symbol.asyncIterator]: () => ({ next: () => Promise.reject<IteratorResult<string>>(new Error("broken")) }),
  };
  await expect(withKeepAlives(failing, manualClock(), 1).next()).rejects.toThrow("broken");
});
