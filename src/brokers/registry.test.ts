import { describe, expect, it } from "vitest";
import { topUpPage } from "./broker.ts";
import { BROKERS, brokerForBaseURL, brokerForKey, findBroker } from "./registry.ts";

describe("BROKERS", () => {
  it("has GonkaGate first and custom last", () => {
    expect(BROKERS.at(0)?.id).toBe("gonkagate");
    expect(BROKERS.at(-1)?.id).toBe("custom");
  });

  it("has every id once, in a form that can be a provider name", () => {
    const ids = BROKERS.map((broker) => broker.id);
    expect(new Set(ids).size).toBe(ids.length);
    for (const id of ids) expect(id).toMatch(/^[a-z0-9][a-z0-9-]*$/);
  });

  it("holds the ten sites of the network's directory", () => {
    expect(BROKERS.filter((broker) => broker.inDirectory)).toHaveLength(10);
  });

  it.each(BROKERS.filter((broker) => broker.id !== "custom"))("$id is complete, dated and sourced", (broker) => {
    expect(broker.baseURL).toMatch(/^https?:\/\/[^/]+(?:\/[^/]+)*\/v1$/);
    expect(broker.baseURL?.startsWith("https://") === true || broker.id === "devshardctl").toBe(true);
    expect(broker.signupUrl).toMatch(/^https:\/\//);
    expect(topUpPage(broker)).toMatch(/^https:\/\//);
    expect(broker.checkedOn).toMatch(/^2026-\d\d-\d\d$/);
    expect(broker.source.length).toBeGreaterThan(10);
    expect(broker.costRules.length).toBeGreaterThan(0);
  });

  it("names no model: they come from the live list", () => {
    expect(JSON.stringify(BROKERS)).not.toMatch(/kimi|minimax|qwen|deepseek|glm-|gpt-/i);
  });
});

describe("findBroker", () => {
  it("finds by id, letter case aside", () => {
    expect(findBroker(" GonkaGate ")?.name).toBe("GonkaGate");
    expect(findBroker("nobody")).toBeUndefined();
  });
});

describe("brokerForBaseURL", () => {
  it.each([
    ["https://api.gonkagate.com/v1", "gonkagate"],
    ["api.gonkagate.com", "gonkagate"],
    ["https://API.gonkagate.com/v1/chat/completions", "gonkagate"],
    ["https://api.proxy.gonka.gg/v1/", "gonka-proxy"],
    ["https://api.gonkascan.com/v1", "gonkarouter"],
    ["http://127.0.0.1:18080", "devshardctl"],
  ])("%s is %s", (url, id) => {
    expect(brokerForBaseURL(url)?.id).toBe(id);
  });

  it.each(["http://127.0.0.1:18081/v1", "https://gonkagate.com.example/v1", "not a url", ""])(
    "%s is nobody's",
    (url) => {
      expect(brokerForBaseURL(url)).toBeUndefined();
    },
  );

  it("prefers the longer path on a shared host", () => {
    const base = findBroker("gonkagate");
    const two = [
      { ...base!, id: "short", baseURL: "https://one.example/v1" },
      { ...base!, id: "long", baseURL: "https://one.example/gonka/v1" },
    ];
    expect(brokerForBaseURL("https://one.example/gonka/v1", two)?.id).toBe("long");
    expect(brokerForBaseURL("https://one.example/gonkalike/v1", two)?.id).toBe("short");
  });
});

describe("brokerForKey", () => {
  it.each([
    ["gp-abc", "gonkagate"],
    ["gpm-abc", "gonkagate"],
    ["jg-abc", "joingonka"],
    ["obk-abc", "openbroker"],
    ["gnk-sk-abc", "opengonka"],
  ])("%s belongs to %s", (key, id) => {
    expect(brokerForKey(key)?.id).toBe(id);
  });

  it("does not guess between several", () => {
    expect(brokerForKey("sk-abc")).toBeUndefined();
    expect(brokerForKey("whatever")).toBeUndefined();
  });
});
