import { describe, expect, it } from "vitest";
import { UNKNOWN_USAGE } from "../chat/session.ts";
import { formatCount, formatSeconds, formatUsd, renderTotal, renderUsage } from "./terminal.ts";

describe("renderUsage", () => {
  it("tells tokens, cost and time", () => {
    const usage = { ...UNKNOWN_USAGE, input: 12, output: 48 };
    expect(renderUsage({ usage, costUsd: 0.00031, elapsedMs: 1_234 })).toBe("12 in · 48 out · $0.00031 · 1.2 s");
  });

  it("tells cached and thinking tokens where there are any", () => {
    const usage = { input: 12_345, output: 48, cached: 8, reasoning: 30 };
    expect(renderUsage({ usage, costUsd: 0, elapsedMs: 61_000 })).toBe(
      "12.3K in (8 cached) · 48 out (30 thinking) · $0 · 1 min 1 s",
    );
    expect(renderUsage({ usage: { ...usage, cached: 0, reasoning: 0 }, costUsd: 0, elapsedMs: 0 })).not.toContain("(");
  });

  it("calls unknown what nobody told", () => {
    expect(renderUsage({ usage: UNKNOWN_USAGE, costUsd: undefined, elapsedMs: 0 })).toBe(
      "tokens unknown · cost unknown · 0.0 s",
    );
    expect(renderUsage({ usage: { ...UNKNOWN_USAGE, output: 3 }, costUsd: undefined, elapsedMs: 0 })).toContain(
      "? in · 3 out",
    );
  });
});

it("shows what signed requests cost in GNK", () => {
  const usage = { ...UNKNOWN_USAGE, input: 20, output: 7 };
  const cost = { costUsd: undefined, costNgonka: 27_000n };
  expect(renderUsage({ usage, ...cost, elapsedMs: 1_000 })).toBe("20 in · 7 out · 0.000027 GNK · 1.0 s");
});

describe("renderTotal", () => {
  const total = { answers: 3, usage: { ...UNKNOWN_USAGE, input: 1, output: 2 } };

  it.each([
    [{ costUsd: 0.5, answersOfUnknownCost: 0 }, "3 answers · 1 in · 2 out · $0.50"],
    [{ costUsd: 0.5, answersOfUnknownCost: 1 }, "3 answers · 1 in · 2 out · $0.50 and 1 answer of unknown cost"],
    [{ costUsd: undefined, answersOfUnknownCost: 3 }, "3 answers · 1 in · 2 out · cost unknown"],
  ])("adds up %j", (cost, expected) => expect(renderTotal({ ...total, ...cost })).toBe(expected));

  it("keeps dollars and GNK apart", () => {
    const cost = { costUsd: 0.5, costNgonka: 27_000n, answersOfUnknownCost: 1 };
    expect(renderTotal({ ...total, ...cost })).toBe(
      "3 answers · 1 in · 2 out · $0.50 · 0.000027 GNK and 1 answer of unknown cost",
    );
  });
});

describe("numbers", () => {
  it.each([
    [0, "$0"],
    [0.000_000_01, "<$0.0000001"],
    [0.00031, "$0.00031"],
    [0.000_310_9, "$0.00031"],
    [0.0123, "$0.012"],
    [0.999, "$1.00"],
    [12.345, "$12.35"],
  ])("%d dollars are %s", (usd, text) => expect(formatUsd(usd)).toBe(text));

  it.each([
    [9_999, "9999"],
    [10_000, "10K"],
    [12_345, "12.3K"],
    [999_999, "1M"],
  ])("%d is %s", (count, text) => expect(formatCount(count)).toBe(text));

  it.each([
    [0, "0.0 s"],
    [9_949, "9.9 s"],
    [9_960, "10 s"],
    [59_700, "1 min 0 s"],
  ])("%d ms are %s", (ms, text) => expect(formatSeconds(ms)).toBe(text));
});
