import { describe, expect, it } from "vitest";
import { describeModel } from "./choose-model.ts";

describe("describeModel", () => {
  it.each([
    [{}, ""],
    [{ contextLengthTokens: 240_000 }, "240K context"],
    [{ contextLengthTokens: 512, tools: false }, "512 context · no tools"],
    [{ promptUsdPer1M: 0.2, completionUsdPer1M: 1.25, tools: true }, "$0.20 in, $1.25 out per 1M · tools"],
    // Half a price is no price, and 0 is one.
    [{ promptUsdPer1M: 0.2 }, ""],
    [{ promptUsdPer1M: 0, completionUsdPer1M: 0.004 }, "$0.00 in, $0.004 out per 1M"],
  ])("%j is %j", (facts, words) => {
    expect(describeModel({ id: "a/b", kind: "chat", ...facts })).toBe(words);
  });
});
