import { describe, expect, it } from "vitest";
import type { ChatTool } from "../engine.ts";
import { chooseTools } from "./choose-tools.ts";

const tool = (name: string, description = ""): ChatTool => ({
  type: "function",
  function: { name, description, parameters: { type: "object", properties: { query: { type: "string" } } } },
});
const tools = [
  tool("get_weather"),
  tool("readFile"),
  tool("lookup", "Finds the population of a country"),
  tool("send_mail"),
];
const choose = (content: string, more: object = {}) =>
  chooseTools({ model: "m", messages: [{ role: "user", content }], tools, ...more }).map((call) => call.name);

describe("chooseTools", () => {
  it.each([
    ["How is the weather?", ["get_weather"]],
    ["Show me the file a.txt", ["readFile"]],
    ["use send_mail", ["send_mail"]],
    ["population of which country?", ["lookup"]],
    ["the weather, and then mail it", ["get_weather", "send_mail"]],
    ["Tell me a story", []],
    ["Get me the list", []],
  ])("%s → %j", (content, names) => {
    expect(choose(content)).toEqual(names);
  });

  it("obeys tool_choice and parallel_tool_calls", () => {
    expect(choose("Tell me a story", { tool_choice: { type: "function", function: { name: "lookup" } } })).toEqual([
      "lookup",
    ]);
    expect(choose("How is the weather?", { tool_choice: "none" })).toEqual([]);
    expect(choose("Tell me a story", { tool_choice: "required" })).toEqual(["get_weather"]);
    expect(choose("weather by mail", { parallel_tool_calls: false })).toEqual(["get_weather"]);
  });

  it("gives ids that no earlier call of the conversation has", () => {
    const history = [
      { role: "user", content: "weather" },
      { role: "assistant", content: null, tool_calls: [{ id: "functions.get_weather:0" }] },
      { role: "tool", tool_call_id: "functions.get_weather:0", content: "rain" },
    ];
    expect(chooseTools({ model: "m", messages: history, tools })).toEqual([]);
    const next = chooseTools({ model: "m", messages: [...history, { role: "user", content: "weather again" }], tools });
    expect(next).toEqual([
      { id: "functions.get_weather:1", name: "get_weather", argumentsJson: '{"query":"weather again"}' },
    ]);
  });
});
