import { describe, expect, it } from "vitest";
import { checkMessages } from "./message-policy.ts";

const call = (id: string, changes: object = {}) => ({
  id,
  type: "function",
  function: { name: "weather", arguments: "{}" },
  ...changes,
});
const assistant = (...calls: object[]) => ({ role: "assistant", tool_calls: calls });

describe("checkMessages", () => {
  it("lets an ordinary conversation with tools pass", () => {
    const messages = [
      { role: "developer", content: "be kind" },
      { role: "system", content: "be short" },
      { role: "user", name: "bob", content: [{ type: "text", text: "weather?" }] },
      {
        role: "user",
        content: [
          { type: "image_url", image_url: { url: "data:image/png;base64,AA==" } },
          { type: "input_audio", input_audio: { data: "AA==", format: "wav" } },
          { type: "x_custom" },
        ],
      },
      { role: "system", name: "rules", content: "x" },
      { ...assistant(call("a"), call("b")), content: null },
      { role: "tool", tool_call_id: "b", name: "weather", content: "rain" },
      { role: "tool", tool_call_id: "a", content: "sun" },
      { role: "assistant", name: "helper", content: "mixed" },
      { role: "assistant", function_call: { name: "f", arguments: "{}" } },
      { role: "function", name: "f", content: "done" },
    ];
    expect(checkMessages(messages)).toBeUndefined();
  });

  it.each([
    [["hello"], "messages[0] must be an object"],
    [[{ content: "x" }], "messages[0].role: is required"],
    [[{ role: 5 }], "messages[0].role: must be a string"],
    [[{ role: " " }], "messages[0].role: must not be empty"],
    [[{ role: "moderator", content: "x" }], 'messages[0].role has unsupported value "moderator"'],
    [[{ role: "user" }], "messages[0].content: is required"],
    [[{ role: "user", content: null }], "messages[0].content: is required"],
    [[{ role: "user", content: " \n\t" }], "messages[0].content: must not be empty"],
    [[{ role: "user", content: [] }], "messages[0].content: must not be empty"],
    [[{ role: "user", content: 5 }], "messages[0].content: must be a string or an array of typed content parts"],
    [[{ role: "user", content: [{ text: "x" }] }], "messages[0].content: [0].type: is required"],
    [[{ role: "user", content: [{ type: "text" }] }], "messages[0].content: [0].text: is required"],
    [[{ role: "system", content: "x", tool_calls: [] }], "messages[0]: tool_calls is not allowed for this role"],
    [[{ role: "assistant" }], "messages[0].content: is required unless tool_calls or function_call is provided"],
    [[{ ...assistant(call("a")), content: "" }], "messages[0].content: must not be empty"],
    [[assistant()], "messages[0].tool_calls must not be empty"],
    [[{ role: "assistant", tool_calls: {} }], "messages[0].tool_calls must be an array"],
    [[assistant(call(""))], "messages[0].tool_calls[0].id: must not be empty"],
    [[assistant(call("a"), call("a"))], "messages[0].tool_calls[1].id is duplicated"],
    [[assistant(call("a", { type: "plugin" }))], 'messages[0].tool_calls[0].type must be "function"'],
    [[assistant(call("a", { function: null }))], "messages[0].tool_calls[0].function is required"],
    [[assistant(call("a", { function: {} }))], "messages[0].tool_calls[0].function.name: is required"],
    [
      [assistant(call("a", { function: { name: "f", arguments: {} } }))],
      "messages[0].tool_calls[0].function.arguments: must be a string",
    ],
    [[{ role: "tool", content: "x" }], "messages[0].tool_call_id: is required"],
    [
      [assistant(call("a")), { role: "tool", tool_call_id: "z", content: "x" }],
      "messages[1].tool_call_id does not match any previous assistant tool_calls",
    ],
    [
      [
        assistant(call("a")),
        { role: "tool", tool_call_id: "a", content: "x" },
        { role: "tool", tool_call_id: "a", content: "x" },
      ],
      "messages[2].tool_call_id does not match any previous assistant tool_calls",
    ],
    [[{ role: "function", content: "x" }], "messages[0].name: is required"],
    [[{ role: "assistant", function_call: null }], "messages[0].function_call must be an object"],
  ])("refuses %j", (messages, problem) => {
    expect(checkMessages(messages)).toBe(problem);
  });
});
