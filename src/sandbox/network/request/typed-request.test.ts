import { describe, expect, it } from "vitest";
import { CHAT_PATH, COMPLETIONS_PATH } from "./incoming-call.ts";
import { parseTypedRequest } from "./typed-request.ts";

const parse = (body: string, path: typeof CHAT_PATH | typeof COMPLETIONS_PATH = CHAT_PATH) =>
  parseTypedRequest({ path, header: () => undefined, body: Buffer.from(body) });

const INT32 = "into Go struct field OpenAiRequest";

describe("the typed reading of a chat body", () => {
  it.each([
    ['{"max_tokens":128.0}', `json: cannot unmarshal number 128.0 ${INT32}.max_tokens of type int32`],
    ['{"max_tokens":1e3}', `json: cannot unmarshal number 1e3 ${INT32}.max_tokens of type int32`],
    ['{"seed":"5"}', `json: cannot unmarshal string ${INT32}.seed of type int32`],
    ['{"seed":2147483648}', `json: cannot unmarshal number 2147483648 ${INT32}.seed of type int32`],
    ['{"max_completion_tokens":true}', `json: cannot unmarshal bool ${INT32}.max_completion_tokens of type int32`],
    ['{"model":7}', `json: cannot unmarshal number ${INT32}.model of type string`],
    ["[]", "json: cannot unmarshal array into Go value of type public.OpenAiRequest"],
    ['{"messages":[{"role":"user","content":5}]}', "json: cannot unmarshal number into Go struct field Message"],
    ["{", "unexpected end of JSON input"],
  ])("refuses %s", (body, text) => {
    const refused = parse(body);
    expect(refused).toMatchObject({ row: 2, status: 400 });
    expect("text" in refused && refused.text).toContain(`invalid chat completion request: ${text}`);
  });

  it.each(["{}", "null", '{"messages":[]}', '{"messages":null}'])("wants messages in %s", (body) => {
    expect(parse(body)).toEqual({ row: 3, status: 400, text: "messages is required" });
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
    ['{"prompt":"x"}', "model is required"],
    ['{"model":"m"}', "prompt is required"],
    ['{"model":"m","prompt":""}', "prompt is required"],
    ['{"model":"m","prompt":["a","b"]}', "batch prompts are not supported"],
  ])("refuses %s", (body, text) => {
    expect(parse(body, COMPLETIONS_PATH)).toEqual({ row: 2, status: 400, text });
  });

  it("takes one prompt, alone or in a list", () => {
    const expected = { model: "m", maxTokens: 0, promptBytes: 2 };
    expect(parse('{"model":"m","prompt":"x"}', COMPLETIONS_PATH)).toEqual(expected);
    expect(parse('{"model":"m","prompt":["x"]}', COMPLETIONS_PATH)).toEqual(expected);
  });
});
