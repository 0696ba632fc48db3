import { describe, expect, it } from "vitest";
import { extractCostUsd } from "./records.ts";

const none = new Headers();

describe("extractCostUsd", () => {
  it.each([
    ["a number", { usage: { total_cost_usd: 0.5 } }, none, 0.5],
    ["a decimal string", { usage: { total_cost_usd: "0.00012" } }, none, 0.00012],
    ["the usage object alone", { cost_usd: 0.25 }, none, 0.25],
    ["the sum of its parts", { usage: { base_cost_usd: 1, platform_fee_usd: "0.5" } }, none, 1.5],
    ["a total before its parts", { usage: { base_cost_usd: 1, platform_fee_usd: 1, total_cost_usd: 3 } }, none, 3],
    ["billing beside usage", { usage: {}, billing: { total_cost_usd: "2" } }, none, 2],
    ["billing inside usage", { usage: { billing: { cost_usd: 2 } } }, none, 2],
    ["the known header", {}, new Headers({ "X-Gonka-Cost-USD": "0.1" }), 0.1],
    ["any cost header", {}, new Headers({ "x-gp-cost-usd": "0.3" }), 0.3],
    ["the body before a header", { usage: { cost_usd: 1 } }, new Headers({ "x-cost-usd": "9" }), 1],
    ["cents", { usage: { cost_cents: 12 } }, none, 0.12],
    ["a cost of nothing", { usage: { total_cost_usd: 0 } }, none, 0],
  ])("reads %s", (_what, body, headers, expected) => {
    expect(extractCostUsd(body, headers)).toBeCloseTo(expected, 12);
  });

  it.each([
    ["no cost", { usage: { prompt_tokens: 3 } }],
    ["only one part", { usage: { base_cost_usd: 1 } }],
    ["null", { usage: { total_cost_usd: null } }],
    ["words", { usage: { total_cost_usd: "free" } }],
    ["an empty string", { usage: { total_cost_usd: "" } }],
    ["a negative amount", { usage: { total_cost_usd: -1 } }],
    ["infinity", { usage: { total_cost_usd: Number.POSITIVE_INFINITY } }],
    ["a list", { usage: [1] }],
    ["nothing at all", undefined],
    ["a string body", "total_cost_usd"],
  ])("leaves %s unknown", (_what, body) => {
    expect(extractCostUsd(body, none)).toBeUndefined();
  });

  it("goes on to the next rule after an unreadable value", () => {
    expect(extractCostUsd({ usage: { total_cost_usd: "n/a", cost_usd: 4 } }, none)).toBe(4);
  });

  it("does without headers", () => {
    expect(extractCostUsd({ usage: { cost_usd: 1 } }, undefined)).toBe(1);
    expect(extractCostUsd({}, undefined)).toBe(undefined);
  });
});
