import { describe, expect, it } from "vitest";
import { cleanChatRequest } from "../../../test/support/clean-chat-request.ts";
import { applyNetworkRules } from "../../sandbox/network-rules/apply-network-rules.ts";
import type { CleanUpOptions } from "./clean-up-options.ts";

const base = { model: "m", messages: [{ role: "user", content: "hi" }] };
const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const definition = { name: "f", description: "d", parameters };
const tool = { type: "function", function: definition };

function clean(more: object, options: Partial<CleanUpOptions> = {}) {
  const cleaned = cleanChatRequest({ ...base, ...more }, { access: "broker", ...options });
  if (options.keepToolType === undefined) {
    expect(applyNetworkRules(cleaned.request, "network")).toMatchObject({ kind: "accepted" });
  }
  return cleaned;
}

describe("tools", () => {
  it.each<[string, unknown, unknown]>([
    ["fitting", tool, tool],
    [
      "with strict, which the network drops",
      { ...tool, function: { ...definition, strict: true } },
      { ...tool, function: { ...definition, strict: true } },
    ],
    ["without type", { function: definition }, tool],
    ["flat, as in the Responses API", { type: "function", ...definition }, tool],
    ["as in the Messages API", { name: "f", description: "d", input_schema: parameters }, tool],
    [
      "parameters null",
      { type: "function", function: { name: "f", parameters: null } },
      { type: "function", function: { name: "f" } },
    ],
    [
      "parameters that are no schema",
      { type: "function", function: { name: "f", parameters: "x" } },
      { type: "function", function: { name: "f", parameters: { type: "object", properties: {} } } },
    ],
  ])("%s", (_, given, after) => {
    expect(clean({ tools: [given] }).request.tools).toEqual([after]);
  });

  it.each<[string, unknown]>([
    ["of another kind", { type: "web_search" }],
    ["with a blank name", { type: "function", function: { name: " " } }],
    ["without a definition", { type: "function" }],
    ["that are none", "f"],
  ])("%s go, and are named", (_, given) => {
    expect(clean({ tools: [given, tool] })).toMatchObject({ request: { tools: [tool] }, removed: ["tools[0]"] });
  });

  it("of the broker's own kinds stay", () => {
    const own = { type: "gonkagate:web_search" };
    const keepToolType = (type: string) => type.startsWith("gonkagate:");
    expect(clean({ tools: [own, tool] }, { keepToolType }).request.tools).toEqual([own, tool]);
    expect(clean({ tools: [own, tool] }).request.tools).toEqual([tool]);
  });

  it("go together with the choice when none is left", () => {
    expect(clean({ tools: [{ type: "web_search" }], tool_choice: "required" })).toMatchObject({
      request: base,
      removed: ["tools[0]", "tools", "tool_choice"],
    });
  });
});

describe("tool_choice", () => {
  const named = { type: "function", function: { name: "f" } };
  it.each<[unknown, unknown]>([
    ["auto", "auto"],
    ["none", "none"],
    ["required", "required"],
    [named, named],
    ["any", "required"],
    [{ type: "any" }, "required"],
    [{ type: "none" }, "none"],
    [{ type: "auto" }, "auto"],
    [{ type: "tool", name: "f" }, named],
    [{ type: "function", name: "f" }, named],
    [{ type: "function", function: { name: "gone" } }, "auto"],
    [{ type: "allowed_tools", tools: [] }, "auto"],
    ["whatever", "auto"],
    [5, "auto"],
  ])("%j becomes %j", (given, after) => {
    expect(clean({ tools: [tool], tool_choice: given }).request.tool_choice).toEqual(after);
  });

  it("of a name over 64 bytes becomes auto", () => {
    const name = "x".repeat(65);
    const tools = [{ type: "function", function: { name } }];
    expect(clean({ tools, tool_choice: { type: "function", function: { name } } }).request.tool_choice).toBe("auto");
  });
});

describe("MiniMax", () => {
  const model = "MiniMaxAI/MiniMax-M2.7";
  it.each<[string, object, object]>([
    ["a union of types", { type: ["string", "null"] }, { type: "string" }],
    ["several types", { type: ["string", "number", "null"] }, { type: ["string", "number"] }],
    [
      "alternatives",
      { anyOf: [{ type: "string" }, { type: "null" }], default: null },
      { type: "string", default: null },
    ],
    [
      "three alternatives",
      { anyOf: [{ type: "string" }, { type: "null" }, { type: "number" }] },
      { anyOf: [{ type: "string" }, { type: "number" }] },
    ],
    ["nothing but null", { type: "null" }, { type: "null" }],
  ])("gets no unions with null: %s", (_, given, after) => {
    const tools = (schema: object) => [
      { type: "function", function: { name: "f", parameters: { type: "object", properties: { a: schema } } } },
    ];
    expect(clean({ model, tools: tools(given) }).request.tools).toEqual(tools(after));
    expect(clean({ model: "moonshotai/Kimi-K2.6", tools: tools(given) }).request.tools).toEqual(tools(given));
  });
});
