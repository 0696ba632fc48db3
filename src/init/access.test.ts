import { describe, expect, it } from "vitest";
import { Secret } from "../base/secret.ts";
import { BROKERS, findBroker } from "../brokers/registry.ts";
import { judgeKey } from "./access.ts";

function judge(text: string, broker: string, baseURL?: string) {
  const record = findBroker(broker);
  if (record === undefined) throw new Error(`no broker ${broker}`);
  return judgeKey(new Secret(text), { broker: record, baseURL: baseURL ?? record.baseURL ?? "" }, BROKERS);
}

describe("judgeKey", () => {
  it.each([
    ["gp-0123456789", "gonkagate", "usable"],
    ["gp-short", "gonkagate", "usable"],
    ["Bearer gp-0123456789", "gonkagate", "usable"],
    ["no-known-prefix", "gonkagate", "odd"],
    ["jg-0123456789", "gonkagate", "other-broker"],
    ["obk-0123456789", "joingonka", "other-broker"],
    // sk- is everybody's: several brokers and the user's own gateway.
    ["sk-0123456789", "mingles", "usable"],
    ["sk-0123456789", "gonkagate", "odd"],
    // Where no prefix is known, anything but another broker's key will do.
    ["no-known-prefix", "gonka24", "usable"],
    ["gp-0123456789", "gonka24", "other-broker"],
    ["1".repeat(64), "gonkagate", "private-key"],
    [`0X${"aB".repeat(32)}`, "gonka24", "private-key"],
    ["AGE-SECRET-KEY-1QQQQ", "gonkagate", "private-key"],
    ["gpm-0123456789", "gonkagate", "refused"],
    ["gp-0123 456", "gonkagate", "refused"],
    ["gp-0123é456", "gonkagate", "refused"],
    ["", "gonkagate", "refused"],
    ["legal winner thank year wave sausage worth useful legal winner thank yellow", "gonkagate", "refused"],
  ])("%s for %s is %s", (text, broker, kind) => {
    expect(judge(text, broker).kind).toBe(kind);
  });

  it("lets any key go to this computer's own endpoint, and a known one to no unknown host", () => {
    expect(judge("gp-0123456789", "custom", "http://127.0.0.1:18080/v1").kind).toBe("usable");
    expect(judge("gp-0123456789", "custom", "https://host.example/v1").kind).toBe("other-broker");
    expect(judge("jg-0123456789", "gonkagate", "http://127.0.0.1:1/v1").kind).toBe("other-broker");
  });

  it("never repeats what was pasted", () => {
    for (const text of ["gpm-0123456789abcdef", "gp-0123 456789", "no-known-prefix-0123"]) {
      const judged = judge(text, "gonkagate");
      expect(JSON.stringify(judged)).not.toContain(text);
      expect("reason" in judged && judged.reason.includes("0123")).toBe(false);
    }
  });
});
