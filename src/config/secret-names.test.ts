import { describe, expect, it } from "vitest";
import { apiKeyNames, nativeSecretNames, secretNameFor } from "./secret-names.ts";

describe("secretNameFor", () => {
  it.each([
    ["gonkagate", "ZEPH_COMPATIBLE_GONKAGATE_API_KEY"],
    ["gonka-broker", "ZEPH_COMPATIBLE_GONKA_BROKER_API_KEY"],
    ["My broker 2", "ZEPH_COMPATIBLE_MY_BROKER_2_API_KEY"],
    ["gonká.gg", "ZEPH_COMPATIBLE_GONK__GG_API_KEY"],
  ])("%s gives %s", (name, expected) => {
    expect(secretNameFor(name)).toBe(expected);
  });
});

describe("apiKeyNames", () => {
  it("reads the older spelling after the canonical one", () => {
    expect(apiKeyNames("gonka-broker").stored).toEqual([
      "ZEPH_COMPATIBLE_GONKA_BROKER_API_KEY",
      "ZEPH_COMPATIBLE_GONKA-BROKER_API_KEY",
    ]);
    expect(apiKeyNames("gonkagate").stored).toEqual(["ZEPH_COMPATIBLE_GONKAGATE_API_KEY"]);
  });

  it("knows the variables of other programs", () => {
    expect(apiKeyNames("gonkagate", { brokerKeyEnv: "GONKAGATE_API_KEY" }).aliases).toEqual(["GONKAGATE_API_KEY"]);
    expect(apiKeyNames("gonka24", { brokerKeyEnv: "GONKA24_API_KEY" }).aliases).toEqual(["GONKA24_API_KEY"]);
    expect(nativeSecretNames("ZEPH_GONKA_PRIVATE_KEY").aliases).toEqual(["GONKA_PRIVATE_KEY"]);
  });

  it("asks for a configured name alone", () => {
    expect(apiKeyNames("gonkagate", { configured: "MY_KEY" })).toEqual({
      canonical: "MY_KEY",
      stored: ["MY_KEY"],
      aliases: [],
    });
  });
});
