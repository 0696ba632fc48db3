import { describe, expect, it } from "vitest";
import { readPublicPrices } from "./broker.ts";

describe("a broker's public price list", () => {
  it.each([
    [{ success: true, data: { models: [{ id: "m", usdPer1MTokens: { network: 1, platformFee: 0.1, total: 1.1 } }] } }],
    [{ models: { m: { usdPer1MTokens: { total: "1.1" } } }, usageFeeRate: 0.1 }],
    [{ models: { m: { total: 1.1 } } }],
    [{ data: [{ model: "m", networkUsdPer1M: 1, totalUsdPer1M: 1.1 }] }],
  ])("is read in every known form: %j", (json) => {
    expect([...readPublicPrices(json)]).toEqual([["m", 1.1]]);
  });

  it.each([[null], ["text"], [{ data: { models: [{ id: 5 }, null, { id: "m", total: -1 }] } }], [{ models: [] }]])(
    "tells nothing where nothing is said: %j",
    (json) => {
      expect(readPublicPrices(json).size).toBe(0);
    },
  );
});
