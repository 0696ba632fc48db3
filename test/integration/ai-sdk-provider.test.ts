import { embed, embedMany, generateText, jsonSchema, Output, stepCountIs, streamObject, streamText, tool } from "ai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createGonka, type GonkaProvider, toZephError } from "../../src/ai-sdk/index.ts";
import { type Sandbox, startSandbox } from "../../src/sandbox/index.ts";
import { gonkaFetch } from "../../src/transport/gonka-fetch.ts";
import { VERSION } from "../../src/version.ts";
import { scriptedEndpoint, sendJson } from "./ai-sdk-scripted-endpoint.ts";

const CHAT = "sandbox/echo-1";
const EMBEDDING = "sandbox/embed-1";

let sandbox: Sandbox;
let gonka: GonkaProvider;

beforeAll(async () => {
  // The SDK would print the warnings that are looked at below.
  globalThis.AI_SDK_LOG_WARNINGS = false;
  sandbox = await startSandbox({ broker: { recordBodies: true } });
  gonka = createGonka({ baseURL: sandbox.broker.baseURL, apiKey: sandbox.broker.keys.good });
});

afterAll(() => sandbox.stop());

const requestsTo = (path: string) => sandbox.broker.requests.filter((request) => request.path === path);

describe("chat", () => {
  it("answers whole, with usage and cost", async () => {
    const result = await generateText({ model: gonka(CHAT), prompt: "say hello" });
    expect(result.text.toLowerCase()).toContain("hello");
    expect(result.usage.totalTokens).toBeGreaterThan(0);
    expect(result.providerMetadata?.gonka?.costUsd).toBeGreaterThan(0);
    expect(result.response.headers?.["x-request-id"]).toMatch(/\S/);
  });

  it("answers as a stream, with usage and cost, because it asks for them", async () => {
    const result = streamText({ model: gonka.chatModel(CHAT), prompt: "count to 5" });
    let pieces = 0;
    for await (const piece of result.textStream) pieces += piece === "" ? 0 : 1;
    expect(pieces).toBeGreaterThan(3);
    expect((await result.usage).outputTokens).toBeGreaterThan(0);
    expect((await result.providerMetadata)?.gonka?.costUsd).toBeGreaterThan(0);
    const body = requestsTo("/v1/chat/completions").at(-1)?.body;
    expect(body).toMatchObject({ stream: true, stream_options: { include_usage: true } });
  });

  it("leaves usage out when told to", async () => {
    const { baseURL, keys } = sandbox.broker;
    const quiet = createGonka({ baseURL, apiKey: keys.good, includeUsage: false });
    await streamText({ model: quiet(CHAT), prompt: "Hi" }).consumeStream();
    expect(requestsTo("/v1/chat/completions").at(-1)?.body).not.toHaveProperty("stream_options");
  });

  it("shows the thinking of models that think", async () => {
    for (const id of ["sandbox/thinker-1", "sandbox/muser-1"]) {
      const whole = await generateText({ model: gonka.languageModel(id), prompt: "say hello" });
      expect(whole.reasoningText).toContain("say hello");
      expect(whole.text).not.toContain("think");
      const stream = streamText({ model: gonka(id), prompt: "say hello" });
      expect(await stream.text).toBe(whole.text);
      expect((await stream.reasoningText)?.trim()).toBe(whole.reasoningText?.trim());
    }
  });
});

describe("tools", () => {
  const weather = tool({
    description: "Get the weather in a city",
    inputSchema: jsonSchema<{ city: string }>({
      type: "object",
      properties: { city: { type: "string" } },
      required: ["city"],
    }),
    execute: async ({ city }) => `sunny in ${city}`,
  });
  const call = { model: "", prompt: "What is the weather in Oslo?", tools: { weather }, stopWhen: stepCountIs(3) };

  it("are called, and their results are answered with", async () => {
    const { steps, text } = await generateText({ ...call, model: gonka(CHAT) });
    expect(steps[0]?.toolCalls).toMatchObject([{ toolName: "weather", toolCallId: "functions.weather:0" }]);
    expect(text).toContain("sunny");
  });

  it("are called in streams", async () => {
    const result = streamText({ ...call, model: gonka("sandbox/muser-1") });
    const types = new Set<string>();
    for await (const part of result.fullStream) types.add(part.type);
    expect([...types]).toEqual(
      expect.arrayContaining(["tool-input-start", "tool-input-delta", "tool-call", "tool-result"]),
    );
    expect(await result.text).toContain("sunny");
    const history = requestsTo("/v1/chat/completions").at(-1)?.body;
    expect(JSON.stringify(history)).toContain("<think>");
  });
});

describe("structured output", () => {
  const schema = jsonSchema<{ city: string; people: number }>({
    type: "object",
    properties: { city: { type: "string" }, people: { type: "integer" } },
    required: ["city", "people"],
    additionalProperties: false,
  });

  it.each([CHAT, "sandbox/muser-1"])("fits the schema (%s)", async (id) => {
    const { output } = await generateText({ model: gonka(id), prompt: "Oslo", output: Output.object({ schema }) });
    expect(output).toEqual({ city: expect.any(String), people: expect.any(Number) });
    const body = requestsTo("/v1/chat/completions").at(-1)?.body;
    expect(body).toMatchObject({ response_format: { type: "json_schema", json_schema: { strict: true } } });
  });

  it("streams", async () => {
    const { object, partialObjectStream } = streamObject({ model: gonka(CHAT), prompt: "Oslo", schema });
    let partials = 0;
    for await (const _partial of partialObjectStream) partials += 1;
    expect(partials).toBeGreaterThan(0);
    expect(await object).toEqual({ city: expect.any(String), people: expect.any(Number) });
  });
});

describe("embeddings", () => {
  it("work where the endpoint lists the model, in the order of the values", async () => {
    const model = gonka.embeddingModel(EMBEDDING);
    const { embeddings, usage } = await embedMany({ model, values: ["one", "two", "three"] });
    const alone = await embed({ model, value: "two" });
    expect(embeddings).toHaveLength(3);
    expect(embeddings[1]).toEqual(alone.embedding);
    expect(usage.tokens).toBeGreaterThan(0);
  });

  it.each([CHAT, "text-embedding-3-small"])(
    "of an unlisted model are refused before anything leaves: %s",
    async (id) => {
      const before = requestsTo("/v1/embeddings").length;
      const failure = embed({ model: gonka.embeddingModel(id), value: "one" });
      await expect(failure).rejects.toMatchObject({ name: "ZephError", code: "unsupported_capability" });
      expect(requestsTo("/v1/embeddings")).toHaveLength(before);
    },
  );

  it("come in order and complete, or not at all", async () => {
    let data: unknown[] = [];
    await using endpoint = await scriptedEndpoint(({ path }, response) =>
      sendJson(response, 200, { data: path === "/v1/models" ? [{ id: "x/embed-1" }] : data }),
    );
    const model = createGonka({ baseURL: endpoint.baseURL, apiKey: "gp-test" }).embeddingModel("x/embed-1");
    data = [
      { index: 1, embedding: [1] },
      { index: 0, embedding: [0] },
    ];
    expect((await embedMany({ model, values: ["a", "b"] })).embeddings).toEqual([[0], [1]]);
    data = [{ index: 0, embedding: [0] }];
    await expect(embedMany({ model, values: ["a", "b"] })).rejects.toMatchObject({ code: "bad_response" });
    expect(endpoint.seen.filter(({ path }) => path === "/v1/models")).toHaveLength(1);
  });
});

describe("what is sent", () => {
  it("names zeph, keeps the caller's headers and uses the key", async () => {
    await using endpoint = await scriptedEndpoint((_request, response) =>
      sendJson(response, 200, { choices: [{ message: { content: "ok" }, finish_reason: "stop" }] }),
    );
    const provider = createGonka({
      baseURL: endpoint.baseURL,
      apiKey: "gp-test",
      headers: { "User-Agent": "mine/1", "x-team": "a" },
    });
    await generateText({ model: provider("m"), prompt: "Hi", headers: { "x-trace": "b" } });
    expect(endpoint.seen[0]?.headers).toMatchObject({ authorization: "Bearer gp-test", "x-team": "a", "x-trace": "b" });
    const userAgent = endpoint.seen[0]?.headers["user-agent"] ?? "";
    expect(userAgent).toMatch(/^ai\//);
    expect(userAgent.endsWith(` mine/1 zeph/${VERSION}`)).toBe(true);
  });

  it("carries topK and the network's own options under their wire names", async () => {
    await generateText({
      model: gonka(CHAT),
      prompt: "Hi",
      topK: 40,
      maxOutputTokens: 50,
      providerOptions: { gonka: { minP: 0.1, thinking: { type: "disabled" }, thinkingTokenBudget: 0, user: "u1" } },
    });
    const body = requestsTo("/v1/chat/completions").at(-1)?.body;
    const wire = { top_k: 40, min_p: 0.1, thinking: { type: "disabled" }, thinking_token_budget: 0, user: "u1" };
    expect(body).toMatchObject({ ...wire, max_tokens: 50 });
    expect(body).not.toHaveProperty("minP");
  });

  it("leaves out what the network refuses, with a warning", async () => {
    const { warnings } = await generateText({
      model: gonka(CHAT),
      prompt: "Use the clock",
      tools: { clock: tool({ inputSchema: jsonSchema({ type: "object", properties: {} }) }) },
      toolChoice: "required",
      providerOptions: { gonka: { textVerbosity: "low" } },
    });
    expect(warnings).toMatchObject([
      { type: "unsupported", feature: "textVerbosity" },
      { type: "compatibility", feature: "toolChoice required" },
    ]);
    expect(requestsTo("/v1/chat/completions").at(-1)?.body).not.toHaveProperty("verbosity");
  });
});

describe("the provider", () => {
  it("takes a ready connection, as data or as a function", async () => {
    const { baseURL, keys } = sandbox.broker;
    const connection = { kind: "broker", baseURL, apiKey: keys.good } as const;
    for (const ready of [connection, gonkaFetch(connection)]) {
      const { text } = await generateText({ model: createGonka({ connection: ready })(CHAT), prompt: "say hello" });
      expect(text.toLowerCase()).toContain("hello");
    }
  });

  it("sends through the caller's own fetch", async () => {
    const { baseURL, keys } = sandbox.broker;
    const urls: string[] = [];
    const fetch = (input: string | URL | Request, init?: RequestInit) => {
      urls.push(String(input));
      return globalThis.fetch(input, init);
    };
    await generateText({ model: createGonka({ baseURL, apiKey: keys.good, fetch })(CHAT), prompt: "Hi" });
    expect(urls).toEqual([`${baseURL}/chat/completions`]);
  });

  it("has no image models", () => {
    expect(() => gonka.imageModel("any")).toThrow(/any/);
    expect(toZephErrorOf(() => gonka.imageModel("any"))).toMatchObject({ code: "unsupported_capability" });
  });

  it("does not know brokers that are not in the registry", () => {
    expect(() => createGonka({ broker: "nobody" })).toThrow(/"nobody" is not a known broker/);
  });

  it("gives models that work behind a proxy, as ai 7 and tracers call them", async () => {
    const model = new Proxy(gonka(CHAT), {});
    expect((await generateText({ model, prompt: "say hello" })).text.toLowerCase()).toContain("hello");
    expect(await streamText({ model, prompt: "say hello" }).text).not.toBe("");
    const embedding = await embed({ model: new Proxy(gonka.embeddingModel(EMBEDDING), {}), value: "one" });
    expect(embedding.embedding.length).toBeGreaterThan(0);
  });

  it("is of specification V3", () => {
    expect(gonka.specificationVersion).toBe("v3");
    expect(gonka(CHAT)).toMatchObject({ specificationVersion: "v3", provider: "gonka.chat", modelId: CHAT });
    expect(gonka.embeddingModel("e")).toMatchObject({ specificationVersion: "v3", provider: "gonka.embedding" });
  });
});

function toZephErrorOf(run: () => unknown) {
  try {
    return run();
  } catch (error) {
    return toZephError(error);
  }
}
