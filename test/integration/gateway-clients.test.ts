import { generateText, jsonSchema, streamText, tool } from "ai";
import OpenAI from "openai";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { createGonka, toZephError } from "../../src/ai-sdk/index.ts";
import { type Sandbox, startSandbox } from "../../src/sandbox/index.ts";
import { RequestSigner } from "../../src/signer/signer.ts";
import { gonkaFetch } from "../../src/transport/gonka-fetch.ts";
import { scriptedEndpoint } from "./ai-sdk-scripted-endpoint.ts";
import { CHAT, type GatewayWorld, HELLO, LOCAL_KEY, startGateway } from "./gateway-world.ts";

let sandbox: Sandbox;
let local: GatewayWorld;

beforeAll(async () => {
  globalThis.AI_SDK_LOG_WARNINGS = false;
  sandbox = await startSandbox();
  // As a program of the user's own has it; the other tests use what `zeph serve` uses.
  const fetch = (input: string | URL | Request, init?: RequestInit) => globalThis.fetch(input, init);
  local = await startGateway({ baseURL: sandbox.broker.baseURL, apiKey: sandbox.broker.keys.good, fetch });
});
afterAll(async () => {
  await local[Symbol.asyncDispose]();
  await sandbox.stop();
});
afterEach(() => sandbox.broker.faults.clear());

/** As a user makes one who raised the SDK's retries: they must add nothing. */
const client = (baseURL = local.baseURL, apiKey = LOCAL_KEY) => new OpenAI({ baseURL, apiKey, maxRetries: 3 });

const weather = {
  type: "function" as const,
  function: {
    name: "weather",
    description: "Get the weather in a city",
    parameters: { type: "object", properties: { city: { $ref: "#/$defs/City" } }, $defs: { City: { type: "string" } } },
  },
};
const question = {
  model: CHAT,
  messages: [{ role: "user" as const, content: "What is the weather in Oslo?" }],
  tools: [weather],
};

describe("the official client", () => {
  it("chats", async () => {
    const answer = await client().chat.completions.create({ model: CHAT, messages: HELLO });
    expect(answer.choices[0]?.message.content?.toLowerCase()).toContain("hello");
    expect(answer.usage?.total_tokens).toBeGreaterThan(0);
    expect(answer._request_id).toBe(local.records.at(-1)?.requestId);
  });

  it("streams, with usage", async () => {
    const stream = await client().chat.completions.create({
      model: CHAT,
      messages: HELLO,
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = "";
    let tokens: number | undefined;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? "";
      tokens = chunk.usage?.total_tokens ?? tokens;
    }
    expect(text.toLowerCase()).toContain("hello");
    expect(tokens).toBeGreaterThan(0);
    expect(local.records.at(-1)).toMatchObject({
      stream: true,
      outcome: "complete",
      usage: { costUsd: expect.any(Number) },
    });
  });

  it("calls tools, whole and streamed, with a schema the network would refuse", async () => {
    const whole = (await client().chat.completions.create(question)).choices[0]?.message.tool_calls?.[0];
    const streamed = await client().chat.completions.stream(question).finalMessage();
    expect(whole).toMatchObject({ id: "functions.weather:0", type: "function", function: { name: "weather" } });
    expect(whole?.type === "function" && JSON.parse(whole.function.arguments)).toHaveProperty("city");
    expect(streamed.tool_calls?.[0]).toMatchObject({ id: whole?.id });
    const messages = [
      ...question.messages,
      { role: "assistant" as const, content: null, tool_calls: whole === undefined ? [] : [whole] },
      { role: "tool" as const, tool_call_id: whole?.id ?? "", content: "cold" },
    ];
    const after = await client().chat.completions.create({ ...question, messages });
    expect(after.choices[0]?.message.content).toMatch(/\S/);
  });

  it("embeds", async () => {
    const { data } = await client().embeddings.create({ model: "sandbox/embed-1", input: ["one", "two"] });
    expect(data).toHaveLength(2);
    expect(data[0]?.embedding.length).toBeGreaterThan(8);
  });

  it("is told that a chat model makes no embeddings, and nothing is sent", async () => {
    const sent = () => sandbox.broker.requests.filter(({ path }) => path.endsWith("/embeddings")).length;
    const before = sent();
    const failure = client().embeddings.create({ model: CHAT, input: "one" });
    await expect(failure).rejects.toMatchObject({
      status: 400,
      code: "unsupported_capability",
      message: expect.stringContaining("sandbox/embed-1"),
    });
    expect(sent()).toBe(before);
  });

  it("lists models, and finds one with a slash in its id", async () => {
    const ids = (await client().models.list()).data.map(({ id }) => id);
    expect(ids).toContain(CHAT);
    expect(await client().models.retrieve(CHAT)).toMatchObject({ id: CHAT, object: "model" });
    await expect(client().models.retrieve("sandbox/ecko-1")).rejects.toMatchObject({
      status: 404,
      code: "model_not_found",
      message: expect.stringContaining(CHAT),
    });
  });

  it("breaks a stream off, and the upstream's ends too", async () => {
    await using endpoint = await scriptedEndpoint((_request, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write('data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}\n\n');
    });
    await using own = await startGateway({ baseURL: endpoint.baseURL });
    const stream = await client(own.baseURL).chat.completions.create({ model: CHAT, messages: HELLO, stream: true });
    for await (const chunk of stream) {
      expect(chunk.choices[0]?.delta.content).toBe("a");
      stream.controller.abort();
    }
    expect(await endpoint.seen[0]?.brokenOff).toBe(true);
    expect(own.records).toMatchObject([{ outcome: "caller-left", status: 200, firstByteMs: expect.any(Number) }]);
  });

  it("breaks a whole answer off while it waits, and the upstream's ends too", async () => {
    const controller = new AbortController();
    await using endpoint = await scriptedEndpoint(() => controller.abort());
    await using own = await startGateway({ baseURL: endpoint.baseURL });
    const request = client(own.baseURL).chat.completions.create(
      { model: CHAT, messages: HELLO },
      { signal: controller.signal },
    );
    await expect(request).rejects.toBeInstanceOf(OpenAI.APIUserAbortError);
    expect(await endpoint.seen[0]?.brokenOff).toBe(true);
    await expect.poll(() => own.records).toMatchObject([{ outcome: "caller-left", status: 499 }]);
    expect(endpoint.seen).toHaveLength(1);
  });
});

describe("refusals are the client's own errors, with a request id, after one attempt", () => {
  it.each([
    [400, OpenAI.BadRequestError],
    [402, OpenAI.APIError],
    [403, OpenAI.PermissionDeniedError],
    [404, OpenAI.NotFoundError],
    [429, OpenAI.RateLimitError],
    [500, OpenAI.InternalServerError],
    [503, OpenAI.InternalServerError],
  ] as const)("status %i", async (status, type) => {
    sandbox.broker.faults.always({ kind: "status", status, message: "no" });
    const before = sandbox.broker.requests.length;
    const error: unknown = await client()
      .chat.completions.create({ model: CHAT, messages: HELLO })
      .catch((thrown) => thrown);
    expect(error).toBeInstanceOf(type);
    expect(error).toMatchObject({ status, requestID: local.records.at(-1)?.requestId });
    expect(sandbox.broker.requests.length - before).toBe(1);
  });

  it("no answer at all is a 502 with the next step", async () => {
    sandbox.broker.faults.always({ kind: "refuse" });
    const failure = client().chat.completions.create({ model: CHAT, messages: HELLO });
    await expect(failure).rejects.toMatchObject({
      status: 502,
      code: "unreachable",
      message: expect.stringContaining("zeph doctor"),
    });
  });

  it("a wrong local key", async () => {
    const failure = client(local.baseURL, "sk-other").models.list();
    await expect(failure).rejects.toBeInstanceOf(OpenAI.AuthenticationError);
    await expect(failure).rejects.toMatchObject({ code: "local_key_refused" });
  });

  it("a key the broker refuses is not mistaken for the local one", async () => {
    await using own = await startGateway({ baseURL: sandbox.broker.baseURL, apiKey: sandbox.broker.keys.wrong });
    const failure = client(own.baseURL).chat.completions.create({ model: CHAT, messages: HELLO });
    await expect(failure).rejects.toMatchObject({ status: 401, message: expect.stringMatching(/local key is good/) });
    expect(own.records.at(-1)).toMatchObject({ errorCode: "invalid_api_key" });
  });
});

describe("the AI SDK", () => {
  const gonka = () => createGonka({ baseURL: local.baseURL, apiKey: LOCAL_KEY });

  it("answers whole and as a stream", async () => {
    const whole = await generateText({ model: gonka()(CHAT), prompt: "say hello" });
    expect(whole.text.toLowerCase()).toContain("hello");
    expect(whole.providerMetadata?.gonka?.costUsd).toBeGreaterThan(0);
    expect(await streamText({ model: gonka()(CHAT), prompt: "say hello" }).text).toBe(whole.text);
  });

  it("calls a tool", async () => {
    const { toolCalls } = await generateText({
      model: gonka()(CHAT),
      prompt: "What is the weather in Oslo?",
      tools: {
        weather: tool({
          description: "Get the weather in a city",
          inputSchema: jsonSchema(weather.function.parameters as never),
        }),
      },
    });
    expect(toolCalls[0]).toMatchObject({ toolName: "weather", input: { city: expect.any(String) } });
  });

  it("gets refusals with their cause", async () => {
    const error = await generateText({ model: gonka()("sandbox/none"), prompt: "hi" }).catch(toZephError);
    expect(error).toMatchObject({ code: "model_not_found" });
  });
});

describe("signed requests", () => {
  it("go through the same endpoint: any client can use the native path", async () => {
    const world = await startSandbox({ network: true });
    const account = world.network.createAccount();
    const upstream = gonkaFetch({
      kind: "native",
      signer: RequestSigner.fromHex(account.privateKeyHex),
      endpoints: world.network.nodes.map(({ baseURL, address }) => ({ baseURL, address })),
    });
    await using own = await startGateway(upstream, { access: "native" });
    const models = await client(own.baseURL).models.list();
    const model = models.data[0]?.id ?? "";
    const messages = [{ role: "user" as const, content: "say hello", name: "ann" }];
    const answer = await client(own.baseURL).chat.completions.create({ model, messages });
    expect(answer.choices[0]?.message.content).toMatch(/\S/);
    const stream = await client(own.baseURL).chat.completions.create({ model, messages, stream: true });
    let text = "";
    for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? "";
    expect(text).toBe(answer.choices[0]?.message.content);
    expect(own.records.at(-1)?.removed).toEqual(["messages[0].name"]);
    await world.stop();
  });
});
