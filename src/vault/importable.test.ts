import { describe, expect, it } from "vitest";
import { findImportable } from "./importable.ts";

const KEY = "00000000000000000000000000000000000000000000000000000000000000AB";

describe("findImportable", () => {
  it("takes known secrets and leaves everything else", () => {
    const found = findImportable(
      Object.entries({
        PATH: "/bin",
        OPENAI_API_KEY: "sk-other",
        GONKA_ENDPOINTS: "https://node",
        GONKAGATE_API_KEY: " gp-1 ",
        GONKA_ADDRESS: "gonka1x",
        ZEPH_COMPATIBLE_GONKA24_API_KEY: "sk-2",
        ZEPH_SECRET_GITHUB: "g",
        ZEPH_COMPATIBLE_EMPTY_API_KEY: "",
        ZEPH_VAULT_PATH: "/x",
      }),
    );
    expect(found).toEqual([
      { variable: "ZEPH_COMPATIBLE_GONKA24_API_KEY", name: "ZEPH_COMPATIBLE_GONKA24_API_KEY", value: "sk-2" },
      { variable: "GONKAGATE_API_KEY", name: "ZEPH_COMPATIBLE_GONKAGATE_API_KEY", value: "gp-1" },
      { variable: "GONKA_ADDRESS", name: "ZEPH_GONKA_ADDRESS", value: "gonka1x" },
      { variable: "ZEPH_SECRET_GITHUB", name: "ZEPH_SECRET_GITHUB", value: "g" },
    ]);
  });

  it("prefers the canonical variable to an alias in either order", () => {
    const alias = ["GONKAGATE_API_KEY", "gp-alias"] as const;
    const canonical = ["ZEPH_COMPATIBLE_GONKAGATE_API_KEY", "gp-canonical"] as const;
    for (const variables of [
      [alias, canonical],
      [canonical, alias],
    ]) {
      expect(findImportable(variables).map((candidate) => candidate.value)).toEqual(["gp-canonical"]);
    }
  });

  it("brings a private key into the form that Zeph reads, and leaves what is none alone", () => {
    expect(findImportable([["GONKA_PRIVATE_KEY", `0x${KEY}`]])[0]?.value).toBe(KEY.toLowerCase());
    expect(findImportable([["GONKA_PRIVATE_KEY", "Not Hex"]])[0]?.value).toBe("Not Hex");
  });
});
