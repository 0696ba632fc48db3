import { expect, it } from "vitest";
import { manualClock } from "../base/time.ts";
import { gatheredLines } from "./exchange.ts";

it("writes the first line at once, gathers what follows, and loses nothing", async () => {
  const clock = manualClock();
  const writes: string[] = [];
  const lines = gatheredLines((text) => writes.push(text), clock);
  lines.add("1");
  lines.add("2");
  lines.add("3");
  expect(writes).toEqual(["1\n"]);
  await clock.advance(25);
  expect(writes).toEqual(["1\n", "2\n3\n"]);
  lines.add("4");
  lines.flush();
  lines.flush();
  expect(writes.slice(2)).toEqual(["4\n"]);
  await clock.advance(1_000);
  lines.add("5");
  expect(writes.slice(3)).toEqual(["5\n"]);
});

it("holds no more than a bounded text", () => {
  const writes: string[] = [];
  const lines = gatheredLines((text) => writes.push(text), manualClock());
  for (let count = 0; count < 3_000; count += 1) lines.add("x".repeat(99));
  expect(writes.length).toBeGreaterThan(2);
  expect(Math.max(...writes.map((text) => text.length))).toBeLessThan(70_000);
});
