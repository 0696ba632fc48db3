import { describe, expect, it } from "vitest";
import { proofAge, provenAt } from "./discovery.ts";

const PROVEN_AT_MS = Date.UTC(2026, 4, 1);

describe("proofAge", () => {
  it.each([
    [-5_000, "0 s"],
    [12_345, "12 s"],
    [119_000, "119 s"],
    [120_000, "2 min"],
    [3_600_000, "60 min"],
    [3 * 3_600_000, "3 h"],
    [49 * 3_600_000, "2 days"],
  ])("after %i ms is %s", (ageMs, words) => {
    const nowMs = PROVEN_AT_MS + ageMs;
    expect(proofAge({ provenAtMs: PROVEN_AT_MS }, nowMs)).toBe(`, from a block ${words} old`);
  });

  it("is nothing without a proof", () => {
    expect(proofAge({}, PROVEN_AT_MS)).toBe("");
    expect([provenAt({}), provenAt({ provenAtMs: PROVEN_AT_MS })]).toEqual([null, "2026-05-01T00:00:00.000Z"]);
  });
});
