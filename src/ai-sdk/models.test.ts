import type { SharedV3Warning } from "@ai-sdk/provider";
import { describe, expect, it } from "vitest";
import { toWireBody } from "./models.ts";

describe("toWireBody", () => {
  it("uses the network's names and leaves the others as they are", () => {
    expect(
      toWireBody({ model: "m", minP: 0.1, stopTokenIds: [1], badWords: ["x"], min_tokens: 2, plugins: [] }),
    ).toEqual({
      model: "m",
      min_p: 0.1,
      stop_token_ids: [1],
      bad_words: ["x"],
      min_tokens: 2,
      plugins: [],
    });
  });

  it("says what it leaves out, and only then", () => {
    const warnings: SharedV3Warning[] = [];
    expect(toWireBody({ verbosity: undefined, tool_choice: "auto" }, warnings)).toEqual({ tool_choice: "auto" });
    expect(warnings).toEqual([]);
    expect(toWireBody({ verbosity: "low", tool_choice: "required" }, warnings)).toEqual({ tool_choice: "required" });
    expect(warnings.map(({ type }) => type)).toEqual(["unsupported", "compatibility"]);
  });
});
