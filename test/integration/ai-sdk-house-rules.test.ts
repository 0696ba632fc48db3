import type { LanguageModelV3CallOptions, LanguageModelV3StreamPart } from "@ai-sdk/provider";
import { describe, expect, it } from "vitest";
import { createGonka } from "../../src/ai-sdk/index.ts";
import { type Answer, answerWith, scriptedEndpoint } from "./ai-sdk-scripted-endpoint.ts";

// The rules of vercel/ai for providers, at the level the SDK itself calls: what is sent, and the parts that come back.

const weather = {
  type: "function",
  name: "weather",
  description: "The weather in a city",
  inputSchema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
} as const;

const OPTIONS: LanguageModelV3CallOptions = {
  prompt: [
    { role: "system", content: "Be brief." },
    { role: "user", content: [{ type: "text", text: "Hi" }] },
  ],
  maxOutputTokens: 64,
  temperature: 0.5,
  topK: 5,
  stopSequences: ["END"],
  seed: 7,
  tools: [weather],
  toolChoice: { type: "auto" },
  providerOptions: { gonka: { thinking: { type: "disabled" } } },
};

const BODY = {
  model: "org/model",
  messages: [
    { role: "system", content: "Be brief." },
    { role: "user", content: "Hi" },
  ],
  max_tokens: 64,
  temperature: 0.5,
  top_k: 5,
  stop: ["END"],
  seed: 7,
  thinking: { type: "disabled" },
  tools: [
    {
      type: "function",
      function: { name: "weather", description: "The weather in a city", parameters: weather.inputSchema },
    },
  ],
  tool_choice: "auto",
};

async function generated(answer: Answer, options = OPTIONS) {
  await using endpoint = await scriptedEndpoint(answer);
  const result = await createGonka({ baseURL: endpoint.baseURL, apiKey: "gp-test" })("org/model").doGenerate(options);
  return { result, sent: endpoint.seen[0]?.body };
}

async function streamed(answer: Answer, options = OPTIONS) {
  await using endpoint = await scriptedEndpoint(answer);
  const { stream } = await createGonka({ baseURL: endpoint.baseURL, apiKey: "gp-test" })("org/model").doStream(options);
  const parts: LanguageModelV3StreamPart[] = [];
  for await (const part of stream) parts.push(part);
  return { parts, sent: endpoint.seen[0]?.body };
}

describe("what is sent", () => {
  it("is these fields and no others, whole and as a stream", async () => {
    expect((await generated(answerWith("text"))).sent).toEqual(BODY);
    const stream = { stream: true, stream_options: { include_usage: true } };
    expect((await streamed(answerWith("text"))).sent).toEqual({ ...BODY, ...stream });
  });
});

describe("what comes back", () => {
  it("has a finish reason in both forms, and usage in its nested form with the broker's own words", async () => {
    const { result } = await generated(answerWith("text"));
    expect(result).toMatchObject({
      finishReason: { unified: "stop", raw: "stop" },
      usage: { inputTokens: { total: 12, noCache: 8, cacheRead: 4 }, outputTokens: { total: 5 } },
      warnings: [],
      response: { id: expect.any(String), modelId: "org/model" },
    });
    expect(result.usage.raw).toMatchObject({ prompt_tokens: 12, completion_tokens: 5 });
    expect(result.request?.body).toBeDefined();
  });

  it.each([
    [
      "reasoning",
      "stream-start response-metadata reasoning-start reasoning-delta reasoning-end text-start text-delta text-end finish",
    ],
    [
      "think-tags",
      "stream-start response-metadata reasoning-start reasoning-delta reasoning-end text-start text-delta text-end finish",
    ],
    ["tool-call", "stream-start response-metadata tool-input-start tool-input-delta tool-input-end tool-call finish"],
  ])("is a stream of parts in the SDK's order: %s", async (fixture, order) => {
    const { parts } = await streamed(answerWith(fixture));
    const types = parts.map(({ type }) => type).filter((type, index, all) => type !== all[index - 1]);
    expect(types.join(" ")).toBe(order);
    expect(parts.at(-1)).toMatchObject({ finishReason: { raw: fixture === "tool-call" ? "tool_calls" : "stop" } });
  });

  it("has the chunks as they came before what they mean, when they are asked for", async () => {
    const { parts } = await streamed(answerWith("text"), { ...OPTIONS, includeRawChunks: true });
    const raw = parts.filter((part) => part.type === "raw");
    expect(raw[0]).toMatchObject({ rawValue: { object: "chat.completion.chunk" } });
    expect(parts.findIndex(({ type }) => type === "raw")).toBeLessThan(
      parts.findIndex(({ type }) => type === "response-metadata"),
    );
    expect((await streamed(answerWith("text"))).parts.filter((part) => part.type === "raw")).toEqual([]);
  });
});

it("the network takes no addresses of files, so the SDK is told of none", async () => {
  expect(await createGonka({ baseURL: "http://127.0.0.1:9/v1", apiKey: "gp-test" })("m").supportedUrls).toEqual({});
});
