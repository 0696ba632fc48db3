import { describe, expect, it } from "vitest";
import { matchModel, nearestIds } from "./match-model.ts";

const ids = ["moonshotai/Kimi-K2.6", "zai/GLM-5", "zai/GLM-5-Air", "minimax/M2"];

describe("matchModel", () => {
  it.each([
    ["zai/GLM-5", { type: "one", id: "zai/GLM-5" }],
    ["MOONSHOTAI/kimi-k2.6", { type: "one", id: "moonshotai/Kimi-K2.6" }],
    ["glm-5", { type: "one", id: "zai/GLM-5" }],
    ["kimi", { type: "one", id: "moonshotai/Kimi-K2.6" }],
    ["zai", { type: "several", ids: ["zai/GLM-5", "zai/GLM-5-Air"] }],
    [" m2 ", { type: "one", id: "minimax/M2" }],
  ])("understands %j", (typed, match) => expect(matchModel(typed, ids)).toEqual(match));

  it("names the nearest when nothing fits", () => {
    expect(matchModel("kimmi-k3", ids)).toMatchObject({ type: "none", nearest: { 0: "moonshotai/Kimi-K2.6" } });
  });

  it("prefers the exact spelling where two differ in case only", () => {
    expect(matchModel("A/x", ["a/x", "A/x"])).toEqual({ type: "one", id: "A/x" });
  });
});

describe("nearestIds", () => {
  it("gives at most three, and none of none", () => {
    expect(nearestIds("glm", ids)).toHaveLength(3);
    expect(nearestIds("glm", [])).toEqual([]);
  });
});
