import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { splitTokens } from "./engine.ts";

describe("splitTokens", () => {
  it("loses nothing and cuts no letter in two", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (text) => {
        const tokens = splitTokens(text);
        expect(tokens.join("")).toBe(text);
        for (const token of tokens) expect(Buffer.from(token).toString()).toBe(token);
      }),
      { numRuns: 200 },
    );
  });
});
