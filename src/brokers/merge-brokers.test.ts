import { describe, expect, it } from "vitest";
import { mergeBrokers } from "./merge-brokers.ts";
import { BROKERS, brokerForBaseURL, findBroker } from "./registry.ts";

describe("mergeBrokers", () => {
  it("changes the fields that are given and keeps the others", () => {
    const merged = mergeBrokers(BROKERS, [{ id: "gonkagate", baseURL: "http://127.0.0.1:9000/v1" }]);
    expect(findBroker("gonkagate", merged)).toEqual({
      ...findBroker("gonkagate"),
      baseURL: "http://127.0.0.1:9000/v1",
    });
    expect(merged).toHaveLength(BROKERS.length);
    expect(findBroker("gonkagate")?.baseURL).toBe("https://api.gonkagate.com/v1");
  });

  it("adds a new one before custom", () => {
    const merged = mergeBrokers(BROKERS, [{ id: "mine", baseURL: "https://mine.example/v1", keyPrefixes: ["my-"] }]);
    expect(merged.slice(-2).map((broker) => broker.id)).toEqual(["mine", "custom"]);
    expect(brokerForBaseURL("https://mine.example", merged)).toMatchObject({ name: "mine", dialects: ["chat"] });
  });

  it("asks for an address of a new one", () => {
    expect(() => mergeBrokers(BROKERS, [{ id: "mine" }])).toThrow(/"mine".*base_url/);
  });
});
