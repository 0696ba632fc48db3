import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ZephError } from "../../src/errors.ts";
import { builtInEngine, type Engine, type EngineEvent, type Sandbox, startSandbox } from "../../src/sandbox/index.ts";

describe("the official openai client", () => {
  let client: OpenAI;
  let sandbox: Sandbox;
  beforeAll(async () => {
    sandbox = await startSandbox();
    client = new OpenAI({ baseURL: sandbox.broker.baseURL, apiKey: sandbox.broker.keys.good, maxRetries: 0 });
  });
  afterAll(() => sandbox.stop());

  const messages = [{ role: "user" as const, content: "Count to 4" }];

  it("lists and reads models", async () => {
    const ids: string[] = [];
    for await (const model of client.models.list()) ids.push(model.id);
    expect(ids).toContain("sandbox/echo-1");
    // The client writes the slash of the id as %2F.
    expect((await client.models.retrieve("sandbox/echo-1")).id).toBe("sandbox/echo-1");
  });

  it("chats", async () => {
    const answer = await client.chat.completions.create({ model: "sandbox/echo-1", messages });
    expect(answer.choices[0]?.message.content).toBe("1, 2, 3, 4");
    expect(answer.usage).toMatchObject({ prompt_tokens: 7, completion_tokens: 4, total_tokens: 11 });
    expect(answer._request_id).toMatch(/^req_/);
  });

  it("streams, with usage", async () => {
    const stream = await client.chat.completions.create({
      model: "sandbox/echo-1",
      messages,
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = "";
    let totalTokens: number | undefined;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? "";
      totalTokens = chunk.usage?.total_tokens ?? totalTokens;
    }
    expect([text, totalTokens]).toEqual(["1, 2, 3, 4", 11]);
  });

  it("runs a tool to the end", async () => {
    const runner = client.chat.completions.runTools({
      model: "sandbox/echo-1",
      messages: [{ role: "user", content: "What is the weather in Oslo?" }],
      tools: [
        {
          type: "function",
          function: {
            name: "get_weather",
            description: "Current weather of a city",
            parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
            function: (given: { city: string }) => `snow in ${given.city}`,
            parse: JSON.parse,
          },
        },
      ],
    });
    expect(await runner.finalContent()).toBe("The tool answered: snow in Oslo");
  });

  it("reads a streamed tool call", async () => {
    const stream = client.chat.completions.stream({
      model: "sandbox/thinker-1",
      messages: [{ role: "user", content: 'Search the archive for "age of the vault"' }],
      tools: [
        {
          type: "function",
          function: { name: "archive", parameters: { type: "object", properties: { query: { type: "string" } } } },
        },
      ],
    });
    const message = await stream.finalMessage();
    expect(message.tool_calls?.[0]).toMatchObject({
      function: { name: "archive", arguments: '{"query":"age of the vault"}' },
    });
  });

  it("embeds, the same text to the same vector, like texts closer than unlike ones", async () => {
    const input = ["the quick brown fox", "the quick brown fox", "a quick brown dog", "tax returns of 1987"];
    const { data } = await client.embeddings.create({ model: "sandbox/embed-1", input });
    const [first, same, like, unlike] = data.map((entry) => entry.embedding);
    expect(first).toEqual(same);
    expect(first).toHaveLength(64);
    const dot = (other: number[] = []) => (first ?? []).reduce((sum, value, at) => sum + value * (other[at] ?? 0), 0);
    expect(dot(like)).toBeGreaterThan(dot(unlike) + 0.2);
    const plain = await client.embeddings.create({
      model: "sandbox/embed-1",
      input: input[0] ?? "",
      encoding_format: "float",
    });
    expect(plain.data[0]?.embedding).toEqual(first);
  });

  it("raises the client's own error classes", async () => {
    const wrong = new OpenAI({ baseURL: sandbox.broker.baseURL, apiKey: sandbox.broker.keys.wrong, maxRetries: 0 });
    await expect(wrong.models.list()).rejects.toBeInstanceOf(OpenAI.AuthenticationError);
    await expect(client.chat.completions.create({ model: "none", messages })).rejects.toMatchObject({
      status: 404,
      code: "model_not_found",
    });
  });
});

/** Says what is given, then fails. */
function failingEngine(said: readonly EngineEvent[], error: ZephError): Engine {
  return {
    models: builtInEngine().models,
    async *complete() {
      yield* said;
      throw error;
    },
  };
}

describe("an engine that fails", () => {
  const ask = (sandbox: Sandbox, stream: boolean) =>
    fetch(`${sandbox.broker.baseURL}/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${sandbox.broker.keys.good}` },
      body: JSON.stringify({ model: "sandbox/echo-1", stream, messages: [{ role: "user", content: "hi" }] }),
    });

  it.each(["unreachable", "upstream_error"] as const)("becomes a refusal: %s", async (code) => {
    const sandbox = await startSandbox({ engine: failingEngine([], new ZephError(code)) });
    const response = await ask(sandbox, false);
    expect([response.status, await response.json()]).toMatchObject([502, { error: { code } }]);
    await sandbox.stop();
  });

  it("in mid-stream becomes an error inside the stream, and no [DONE]", async () => {
    const engine = failingEngine([{ type: "text", text: "Half" }], new ZephError("stream_error"));
    const sandbox = await startSandbox({ engine });
    const text = await (await ask(sandbox, true)).text();
    expect(text).toContain("Half");
    expect(text).toContain('data: {"error":{"message":');
    expect(text).not.toContain("[DONE]");
    await sandbox.stop();
  });
});
