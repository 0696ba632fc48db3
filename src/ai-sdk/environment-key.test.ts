import { describe, expect, it, vi } from "vitest";
import { readEnvironmentKey } from "./environment-key.ts";

describe("readEnvironmentKey", () => {
  it("takes the first variable that holds something, trimmed", () => {
    const env = { FIRST: " ", SECOND: " gp-2\n", THIRD: "gp-3" };
    expect(readEnvironmentKey(["FIRST", "SECOND", "THIRD"], { process: { env } })).toBe("gp-2");
  });

  it.each([{}, { process: {} }, { process: { env: {} } }])("names the variables when there is none (%j)", (runtime) => {
    expect(() => readEnvironmentKey(["A_KEY", "B_KEY"], runtime)).toThrow(
      expect.objectContaining({ code: "secret_missing", detail: expect.stringContaining("A_KEY, B_KEY are not set") }),
    );
  });

  it("reads the real environment", () => {
    vi.stubEnv("ZEPH_TEST_KEY", "gp-real");
    expect(readEnvironmentKey(["ZEPH_TEST_KEY"])).toBe("gp-real");
  });
});
