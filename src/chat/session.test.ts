import { describe, expect, it } from "vitest";
import { mockModel, mockSession } from "../../test/support/mock-chat-session.ts";
import { thinkingOptions } from "./session.ts";

const session = (more: { parameters?: string[]; reasoningEffort?: string }) => ({
  ...mockSession({ model: mockModel([]) }),
  ...more,
});

describe("what is sent about thinking", () => {
  it.each([
    ["nothing when nothing was said", {}, {}, {}],
    ["the user's word where the list says nothing", {}, { effort: "high" }, { reasoningEffort: "high" }],
    ["not to a model that does not take it", { parameters: ["tools"] }, { effort: "high", tokens: 9 }, {}],
    ["the config's to a model that takes it", { parameters: ["reasoning"] }, {}, { reasoningEffort: "low" }],
    ["the config's not where the list says nothing", {}, {}, {}],
    [
      "the user's before the config's",
      { parameters: ["reasoning_effort"] },
      { effort: "none" },
      { reasoningEffort: "none" },
    ],
    ["a budget", {}, { tokens: 512 }, { thinkingTokenBudget: 512 }],
    [
      "both that are needed to switch it off",
      {},
      { tokens: 0 },
      { thinkingTokenBudget: 0, thinking: { type: "disabled" } },
    ],
  ] as const)("%s", (_name, model, thinking, sent) => {
    const parameters = "parameters" in model ? [...model.parameters] : undefined;
    const asked = session({ reasoningEffort: "low", ...(parameters === undefined ? {} : { parameters }) });
    expect(thinkingOptions(asked, thinking)).toEqual(sent);
  });

  it("is never a word of the config that no model knows", () => {
    expect(thinkingOptions(session({ parameters: ["reasoning_effort"], reasoningEffort: "max" }), {})).toEqual({});
  });
});
