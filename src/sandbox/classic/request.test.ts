import { describe, expect, it } from "vitest";
import { CHAT_PATH, COMPLETIONS_PATH } from "./node.ts";
import { checkMessages, parseTypedRequest } from "./request.ts";

const parse = (body: string, path: typeof CHAT_PATH | typeof COMPLETIONS_PATH = CHAT_PATH) =>
  parseTypedRequest({ path, header: () => undefined, body: Buffer.from(body) });

const ROLE = "message role must be a non-empty string";
const CONTENT = "message content must be a string or an array of typed content parts";
const INT32 = "into Go struct field OpenAiRequest";

describe("the typed reading of a chat body", () => {
  it.each([
    ['{"max_tokens":128.0}', `json: cannot unmarshal number 128 ${INT32}.max_tokens of type int32`],
    ['{"max_tokens":1e3}', `json: cannot unmarshal number 1000 ${INT32}.max_tokens of type int32`],
    ['{"seed":"5"}', `json: cannot unmarshal string ${INT32}.seed of type int32`],
    ['{"seed":2147483648}', `json: cannot unmarshal number 2147483648 ${INT32}.seed of type int32`],
    ['{"max_completion_tokens":true}', `json: cannot unmarshal bool ${INT32}.max_completion_tokens of type int32`],
    ['{"model":7}', `json: cannot unmarshal number ${INT32}.model of type string`],
    ["[]", "json: cannot unmarshal array into Go value of type public.OpenAiRequest"],
    ['{"messages":[{"role":"user","content":5}]}', CONTENT],
    ['{"messages":[{"role":"user","content":{"type":"text"}}]}', CONTENT],
    ['{"messages":[{"role":"user","content":["words"]}]}', CONTENT],
    ['{"messages":[{"role":"user","content":[{"type":7}]}]}', CONTENT],
    ['{"messages":[{"content":"x"}]}', ROLE],
    ['{"messages":[{"role":"","content":"x"}]}', ROLE],
    ['{"messages":[{"role":null,"content":"x"}]}', ROLE],
    ["{", "invalid JSON"],
    ["", "unexpected end of JSON input"],
    ["\ufeff{}", "invalid JSON"],
    ['{"MAX_TOKENS":"5"}', `json: cannot unmarshal string ${INT32}.max_tokens of type int32`],
  ])("refuses %s", (body, text) => {
    const refused = parse(body);
    expect(refused).toMatchObject({ row: 2, status: 400 });
    expect("text" in refused && refused.text).toContain(`invalid chat completion request: ${text}`);
  });

  it.each(["{}", "null", '{"messages":[]}', '{"messages":null}'])("wants messages in %s", (body) => {
    expect(parse(body)).toEqual({ row: 3, status: 400, text: "messages is required" });
  });

  it("takes JSON nested 3000 deep, as Go does", () => {
    const deep = `${"[".repeat(3_000)}${"]".repeat(3_000)}`;
    const typed = parse(`{"model":"m","messages":[{"role":"user","content":"x"}],"metadata":${deep}}`);
    expect(typed).toMatchObject({ model: "m" });
  });

  it("refuses JSON nested deeper than Go's 10000", () => {
    const deep = `${"[".repeat(10_001)}${"]".repeat(10_001)}`;
    expect(parse(`{"model":"m","metadata":${deep}}`)).toMatchObject({
      row: 2,
      text: expect.stringContaining("exceeded max depth"),
    });
  });

  it("counts the bytes of all text and one newline per message", () => {
    const messages = [
      { role: "system", content: "é" },
      { role: "user", content: [{ type: "text", text: "abc" }] },
      { role: "assistant", content: null },
    ];
    const body = JSON.stringify({ model: "m", max_tokens: 9, seed: 2147483647, messages });
    expect(parse(body)).toEqual({ model: "m", maxTokens: 9, promptBytes: 2 + 1 + 3 + 1 + 0 + 1 });
  });
});

describe("the typed reading of a completion body", () => {
  it.each([
    ["{", "invalid request format"],
    ['{"model":"m","prompt":5}', "invalid request format"],
    ['{"model":"m","prompt":"x","max_tokens":1.5}', "invalid request format"],
    ['{"model":"m","prompt":"x","stream":"yes"}', "invalid request format"],
    ['{"model":"m","prompt":"x","temperature":"hot"}', "invalid request format"],
    ['{"model":"m","prompt":"x","top_p":true}', "invalid request format"],
    ['{"model":"m","prompt":"x","top_k":0.5}', "invalid request format"],
    ['{"model":"m","prompt":"x","frequency_penalty":[]}', "invalid request format"],
    ['{"model":"m","prompt":"x","stop":5}', "invalid request format"],
    ['{"model":"m","prompt":"x","stop":["a",5]}', "invalid request format"],
    ['{"model":"m","prompt":[null]}', "prompt is required"],
    ['{"prompt":"x"}', "model is required"],
    ['{"model":"m"}', "prompt is required"],
    ['{"model":"m","prompt":""}', "prompt is required"],
    ['{"model":"m","prompt":["a","b"]}', "batch prompts are not supported"],
  ])("refuses %s", (body, text) => {
    expect(parse(body, COMPLETIONS_PATH)).toEqual({ row: 2, status: 400, text });
  });

  it("takes fields of the right types, and null for each", () => {
    const fields =
      '"stream":true,"temperature":0.5,"top_p":1,"top_k":5,"stop":["a","b"],"seed":null,"presence_penalty":null';
    expect(parse(`{"model":"m","prompt":"x",${fields}}`, COMPLETIONS_PATH)).toMatchObject({ model: "m" });
  });

  it("takes one prompt, alone or in a list", () => {
    const expected = { model: "m", maxTokens: 0, promptBytes: 2 };
    expect(parse('{"model":"m","prompt":"x"}', COMPLETIONS_PATH)).toEqual(expected);
    expect(parse('{"model":"m","prompt":["x"]}', COMPLETIONS_PATH)).toEqual(expected);
  });
});

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
