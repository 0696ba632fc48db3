import { describe, expect, it } from "vitest";
import { brokerFacts } from "./connection.ts";

describe("brokerFacts", () => {
  it("finds the same broker by id and by address", () => {
    const byId = brokerFacts({ broker: "GonkaGate" });
    const byAddress = brokerFacts({ baseURL: "api.gonkagate.com" });
    expect(byId).toMatchObject({ baseURL: "https://api.gonkagate.com/v1", keyVariables: byAddress.keyVariables });
    expect(byId.keyVariables).toEqual(["GONKAGATE_API_KEY", "ZEPH_COMPATIBLE_GONKAGATE_API_KEY", "GONKA_API_KEY"]);
  });

  it("offers strangers the general variable only", () => {
    expect(brokerFacts({ baseURL: "https://x.example/v1" }).keyVariables).toEqual(["GONKA_API_KEY"]);
  });

  it("reads costs by the broker's rules, and leaves unknown costs unknown", () => {
    const { costUsd } = brokerFacts({ broker: "gonkagate" });
    expect(costUsd({ usage: { total_cost_usd: "0.5" } }, undefined)).toBe(0.5);
    expect(costUsd({ usage: {} }, new Headers())).toBeUndefined();
  });
});
