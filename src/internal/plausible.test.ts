import { describe, expect, it } from "vitest";
import { pricedCostUsd, toldCostUsd, toTokenUsage } from "../chat/usage.ts";
import { parseSpending } from "../journal/spending.ts";
import { plausibleTokens, plausibleUsd } from "./plausible.ts";

const LIES = [
  -1,
  -0.000_1,
  1e7 + 1,
  1e300,
  Number.MAX_VALUE,
  Number.POSITIVE_INFINITY,
  Number.NaN,
  "1",
  null,
  undefined,
  {},
];

describe("numbers of a server", () => {
  it.each(LIES)("that cannot be true are unknown: %s", (value) => {
    expect(plausibleUsd(value)).toBeUndefined();
    expect(plausibleTokens(value)).toBeUndefined();
  });

  it.each([0, 0.000_000_1, 99])("that can be are taken: %s USD", (value) => {
    expect(plausibleUsd(value)).toBe(value);
  });

  it("are whole where tokens are counted, and nothing is never less than nothing", () => {
    expect(plausibleTokens(1.5)).toBeUndefined();
    expect(Object.is(plausibleUsd(-0), 0) && Object.is(plausibleTokens(-0), 0)).toBe(true);
  });

  it.each(LIES)("reach neither the display nor the ledger: %s", (value) => {
    const told = toTokenUsage({ inputTokens: value, outputTokens: value } as never);
    expect(told).toEqual({ input: undefined, output: undefined, cached: undefined, reasoning: undefined });
    expect(toldCostUsd({ any: { costUsd: value } })).toBeUndefined();
    const price = typeof value === "number" ? value : Number.NaN;
    const usage = { ...told, input: 10_000_000, output: 10_000_000 };
    expect(pricedCostUsd(usage, { promptUsdPer1M: price, completionUsdPer1M: price })).toBeUndefined();
  });

  it("do not come back from the ledger either", () => {
    expect(
      parseSpending('{"day":"2026-11-28","usd":1e999}\n{"day":"2026-11-28","usd":-1}\n{"day":"2026-11-28","usd":0.5}'),
    ).toMatchObject([{ day: "2026-11-28", usd: 0.5 }]);
  });
});
