import { describe, expect, it } from "vitest";
import { thrownBy } from "../../test/support/thrown-by.ts";
import { parseIdentity } from "./identity.ts";

const ADDRESS = "gonka1y2a9p56kv044327uycmqdexl7zs82fs5ryv5le";

describe("parseIdentity", () => {
  it.each([123, "123"])("reads block %j", (block) => {
    expect(
      parseIdentity({ data: { address: ADDRESS, block, timestamp: "2026-05-01T12:00:00Z" }, signature: "x" }),
    ).toEqual({
      address: ADDRESS,
      blockHeight: 123n,
      timestamp: "2026-05-01T12:00:00Z",
      delegates: {},
    });
  });

  it("reads delegates, which are only claims", () => {
    const delegates = { "http://other.example": ADDRESS };
    expect(parseIdentity({ data: { address: ADDRESS, delegate_ta: delegates } }).delegates).toEqual(delegates);
  });

  it.each([
    {},
    { data: {} },
    { data: { address: "gonka1y2a9p56kv044327uycmqdexl7zs82fs5ryv5lf" } },
    { data: { address: "cosmos1w508d6qejxtdg4y5r3zarvary0c5xw7k6ah60c" } },
    { data: { address: ADDRESS, delegate_ta: { "http://x.example": "nobody" } } },
    { data: { address: ADDRESS, block: -1 } },
  ])("refuses %j as a bad answer", (value) => {
    expect(thrownBy(() => parseIdentity(value)).code).toBe("bad_response");
  });

  it("knows other networks' prefixes", () => {
    const address = "cosmos1w508d6qejxtdg4y5r3zarvary0c5xw7k6ah60c";
    expect(parseIdentity({ data: { address } }, { prefix: "cosmos" }).address).toBe(address);
  });
});
