import { generateText, jsonSchema, type ModelMessage, streamText } from "ai";
import { describe, expect, it } from "vitest";
import { createGonka } from "../../src/ai-sdk/index.ts";
import {
  type Answer,
  answerWith,
  DONE,
  fixtureFrames,
  fixtureJson,
  scriptedEndpoint,
  sendEvents,
  sendJson,
} from "./ai-sdk-scripted-endpoint.ts";

// Not made with `tool()`: its type without `execute` does not go with exactOptionalPropertyTypes.
const weather = {
  description: "The weather in a city",
  inputSchema: jsonSchema<{ city: string; unit?: string }>({
    type: "object",
    properties: { city: { type: "string" }, unit: { type: "string" } },
    required: ["city"],
  }),
};

async function ask(
  answer: Answer,
  mode: "whole" | "stream",
  messages: ModelMessage[] = [{ role: "user", content: "Hi" }],
) {
  await using endpoint = await scriptedEndpoint(answer);
  const model = createGonka({ baseURL: endpoint.baseURL, apiKey: "gp-test" })("org/model");
  const tools = { weather };
  const settings = { model, messages, tools };
  const errors: unknown[] = [];
  const result =
    mode === "whole"
      ? await generateText(settings)
      : streamText({ ...settings, onError: ({ error }) => void errors.push(error) });
  return {
    text: await result.text,
    reasoning: await result.reasoningText,
    toolCalls: await result.toolCalls,
    usage: await result.usage,
    finishReason: await result.finishReason,
    metadata: await result.providerMetadata,
    messages: (await result.response).messages,
    errors,
    seen: endpoint.seen,
  };
}

const MODES = ["whole", "stream"] as const;

describe("text, usage and cost", () => {
  it.each(MODES)("are read (%s)", async (mode) => {
    const answer = await ask(answerWith("text"), mode);
    expect(answer.text).toBe("Grüße aus 東京");
    expect(answer.usage).toMatchObject({ inputTokens: 12, outputTokens: 5, totalTokens: 17 });
    expect(answer.usage.inputTokenDetails.cacheReadTokens).toBe(4);
    expect(answer.metadata).toMatchObject({ gonka: { costUsd: 0.00011 } });
    expect(answer.finishReason).toBe("stop");
  });

  it.each(MODES)("are read from a header, and an unknown cost stays absent (%s)", async (mode) => {
    const withHeader = await ask(answerWith("think-tags", { "x-gonka-cost-usd": "0.25" }), mode);
    expect(withHeader.metadata).toEqual({ gonka: { costUsd: 0.25 } });
    const without = await ask(answerWith("think-tags"), mode);
    expect(without.metadata).toEqual({ gonka: {} });
  });

  it("stand under the provider's name too", async () => {
    await using endpoint = await scriptedEndpoint(answerWith("text"));
    const named = createGonka({ name: "my.broker", baseURL: endpoint.baseURL, apiKey: "gp-test" });
    expect(named("m").provider).toBe("my-broker.chat");
    const { providerMetadata } = await generateText({ model: named("m"), prompt: "Hi" });
    expect(providerMetadata).toEqual({ gonka: { costUsd: 0.00011 }, "my-broker": { costUsd: 0.00011 } });
  });

  it("are all there is of an answer without words: no error", async () => {
    const answer = await ask(
      (_request, response) =>
        sendEvents(response, [
          'data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":0,"total_tokens":5}}\n\n',
          DONE,
        ]),
      "stream",
    );
    expect(answer).toMatchObject({ text: "", usage: { inputTokens: 5 }, finishReason: "stop", errors: [] });
  });

  it("come from a usage chunk that has no list of choices", async () => {
    const answer = await ask(
      (_request, response) => sendEvents(response, [...fixtureFrames("usage-only"), DONE]),
      "stream",
    );
    expect(answer).toMatchObject({ text: "42", usage: { totalTokens: 17 }, errors: [] });
  });
});

describe("thinking", () => {
  it.each(["reasoning", "reasoning-content", "think-tags"])("comes apart from the answer (%s)", async (name) => {
    const answer = await ask(answerWith(name), "stream");
    expect(answer.text).toBe("42");
    expect(answer.reasoning?.trim()).toBe("Let me see.");
    expect(answer.errors).toEqual([]);
  });

  it("comes apart from a whole answer", async () => {
    const answer = await ask(answerWith("think-tags"), "whole");
    expect(answer).toMatchObject({ text: "42", reasoning: "\nLet me see.\n" });
  });

  it("may be all there is: content null", async () => {
    const answer = await ask(answerWith("content-null"), "whole");
    expect(answer).toMatchObject({ text: "", reasoning: "Let me see.", finishReason: "length" });
  });

  it.each(MODES)("goes back in its tags on the next turn (%s)", async (mode) => {
    const first = await ask(answerWith("think-tags"), mode);
    const history: ModelMessage[] = [
      { role: "user", content: "Hi" },
      ...first.messages,
      { role: "user", content: "And?" },
    ];
    const second = await ask(answerWith("text"), mode, history);
    expect(second.seen[0]?.body.messages).toMatchObject([
      { role: "user", content: "Hi" },
      { role: "assistant", content: "<think>\nLet me see.\n</think>\n\n42" },
      { role: "user", content: "And?" },
    ]);
  });
});

describe("tool calls", () => {
  it("keep id and arguments when they come in pieces", async () => {
    const answer = await ask(
      (_request, response) => sendEvents(response, [...fixtureFrames("tool-call"), DONE]),
      "stream",
    );
    expect(answer.toolCalls).toMatchObject([
      { toolCallId: "functions.weather:0", toolName: "weather", input: { city: "Tōkyō" } },
    ]);
    expect(answer).toMatchObject({ finishReason: "tool-calls", errors: [] });
  });

  it("survive a cut at any byte", async () => {
    const bytes = Buffer.from([...fixtureFrames("tool-call"), DONE].join(""));
    const answer = await ask((_request, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.socket?.setNoDelay(true);
      const writeOn = (from: number) => {
        if (from >= bytes.length) return void response.end();
        response.write(bytes.subarray(from, from + 7), () => setImmediate(writeOn, from + 7));
      };
      writeOn(0);
    }, "stream");
    expect(answer.toolCalls).toMatchObject([{ toolCallId: "functions.weather:0", input: { city: "Tōkyō" } }]);
  });

  it.each(MODES)("written as two entries become one (%s)", async (mode) => {
    const answer = await ask(answerWith("tool-call-double"), mode);
    expect(answer.toolCalls).toHaveLength(1);
    expect(answer.toolCalls).toMatchObject([
      { toolCallId: "chatcmpl-tool-1", toolName: "weather", input: { city: "Tōkyō", unit: "C" } },
    ]);
    expect(answer.errors).toEqual([]);
  });

  it.each(MODES)("with an object for arguments and without ids are read (%s)", async (mode) => {
    const { toolCalls } = await ask(answerWith("tool-call-object"), mode);
    expect(toolCalls[0]).toMatchObject({ toolName: "weather", input: { city: "Tōkyō" } });
    const ids = toolCalls.map(({ toolCallId }) => toolCallId);
    expect(new Set(ids).size).toBe(mode === "whole" ? 4 : 1);
    expect(ids.every((id) => id.trim() !== "")).toBe(true);
  });
});

describe("answers of the wrong kind", () => {
  it("take a whole answer for a stream", async () => {
    const answer = await ask((_request, response) => sendJson(response, 200, fixtureJson("text")), "stream");
    expect(answer).toMatchObject({
      text: "Grüße aus 東京",
      finishReason: "stop",
      usage: { totalTokens: 17 },
      errors: [],
    });
    const calls = await ask((_request, response) => sendJson(response, 200, fixtureJson("tool-call-object")), "stream");
    expect(calls.toolCalls).toHaveLength(4);
  });
});
