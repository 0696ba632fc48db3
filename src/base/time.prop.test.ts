import fc from "fast-check";
import { expect, it } from "vitest";
import { nanosClock } from "./time.ts";

it("gives strictly increasing timestamps under any wall clock", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 4_000_000_000_000 }), { minLength: 2, maxLength: 200 }), (walls) => {
      let index = 0;
      const clock = nanosClock({ nowMs: () => walls[index] ?? 0 }, () => 0.5);
      let previous = -1n;
      for (; index < walls.length; index += 1) {
        const value = clock.next();
        expect(value > previous).toBe(true);
        previous = value;
      }
    }),
  );
});

it("never gives a timestamp twice, also when a correction turns it back", () => {
  // Small ones often lead back to a time that was given before; the chance of that is what is tested.
  const skew = fc.oneof(fc.integer({ min: -3, max: 3 }), fc.integer({ min: -90_000, max: 90_000 }));
  fc.assert(
    fc.property(fc.array(skew, { maxLength: 20 }), (corrections) => {
      const nowMs = 1_700_000_000_000;
      const clock = nanosClock({ nowMs: () => nowMs }, () => 0.999);
      const seen = new Set<bigint>();
      for (const skewMs of [0, ...corrections]) {
        if (skewMs !== 0) clock.correct(nowMs + skewMs);
        for (let i = 0; i < 50; i += 1) {
          const value = clock.next();
          expect(seen.has(value)).toBe(false);
          seen.add(value);
        }
      }
    }),
  );
});

it("follows a correction: the next value is the server's time", () => {
  const nowMs = 1_700_000_000_000;
  const clock = nanosClock({ nowMs: () => nowMs }, () => 0);
  clock.next();
  clock.correct(nowMs - 90_000);
  expect(clock.next() / 1_000_000n).toBe(BigInt(nowMs - 90_000));
});
