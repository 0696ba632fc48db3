import { embed, generateText, jsonSchema, Output, stepCountIs, streamObject, streamText, tool } from "ai";
import OpenAI, { APIError, APIUserAbortError } from "openai";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createGonka, type GonkaProvider, toZephError } from "../../src/ai-sdk/index.ts";
import { gonkaOpenAIOptions } from "../../src/openai/index.ts";
import { builtInEngine } from "../../src/sandbox/built-in.ts";
import { RequestSigner } from "../../src/signer/signer.ts";
import { endpointsOf, type NativeWorld, startNativeWorld } from "../support/native-world.ts";

/** The official `openai` client and the AI SDK over signed requests: what works with a broker works here. */

const CHAT = "sandbox/echo-1";
let world: NativeWorld;
let client: OpenAI;
let gonka: GonkaProvider;

beforeAll(() => {
  globalThis.AI_SDK_LOG_WARNINGS = false;
});
beforeEach(async () => {
  world = await startNativeWorld({ engine: builtInEngine() });
  const signer = RequestSigner.fromHex(world.account.privateKeyHex);
  const native = { signer, endpoints: endpointsOf(world.network), clock: world.clock };
  // A user who also raises the SDK's own retries: they must add nothing.
  client = new OpenAI({ ...gonkaOpenAIOptions({ kind: "native", ...native }), maxRetries: 3 });
  gonka = createGonka({ native });
});
afterEach(async () => {
  expect(world.network.violations).toEqual([]);
  await world.stop();
});

const messages = [{ role: "user" as const, content: "say hello" }];
const charges = () => world.network.chain.ledger.entries.length;

/** A network that takes no signed requests, in the three ways it tells so. */
const CLOSED = [
  ["an API key is wanted", "native_requires_api_key", () => world.network.nodes[0]!.faults.next("gateway-401")],
  ["410", "native_closed", () => world.network.nodes[0]!.faults.next("retired")],
  ["its version", "native_closed", () => Object.assign(world.network.state, { version: "0.2.14" })],
] as const;
const WAYS_THAT_WORK = /broker key.*`zeph init`.*devshard gateway/;

describe("the official client", () => {
  const weather = {
    type: "function" as const,
    function: {
      name: "weather",
      description: "Get the weather in a city",
      parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
    },
  };
  const asking = {
    model: CHAT,
    max_tokens: 200,
    messages: [{ role: "user" as const, content: "What is the weather in Oslo?" }],
    tools: [weather],
  };

  it("lists the models, chats and streams with usage", async () => {
    expect((await client.models.list()).data.map(({ id }) => id)).toContain(CHAT);
    const whole = await client.chat.completions.create({ model: CHAT, messages, max_tokens: 50 });
    expect(whole.choices[0]?.message.content?.toLowerCase()).toContain("hello");
    const stream = await client.chat.completions.create({ model: CHAT, messages, max_tokens: 50, stream: true });
    let text = "";
    let tokens = 0;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? "";
      tokens = chunk.usage?.total_tokens ?? tokens;
    }
    expect(text).toBe(whole.choices[0]?.message.content);
    expect(tokens).toBe(whole.usage?.total_tokens);
    expect(charges()).toBe(2);
  });

  it("calls tools, whole and streamed", async () => {
    const whole = (await client.chat.completions.create(asking)).choices[0]?.message.tool_calls?.[0];
    const streamed = (await client.chat.completions.stream(asking).finalMessage()).tool_calls?.[0];
    expect(whole).toMatchObject({ type: "function", function: { name: "weather" } });
    expect(whole?.type === "function" && JSON.parse(whole.function.arguments)).toHaveProperty("city");
    expect(streamed).toMatchObject({ id: whole?.id, function: { name: "weather" } });
  });

  it("gets JSON that fits a schema", async () => {
    const schema = {
      type: "object",
      properties: { city: { type: "string" }, people: { type: "integer" } },
      required: ["city", "people"],
      additionalProperties: false,
    };
    const answer = await client.chat.completions.create({
      model: CHAT,
      messages,
      max_tokens: 200,
      response_format: { type: "json_schema", json_schema: { name: "place", strict: true, schema } },
    });
    expect(JSON.parse(answer.choices[0]?.message.content ?? "")).toEqual({
      city: expect.any(String),
      people: expect.any(Number),
    });
  });

  it.each([
    ["insufficient_balance", 402, () => {}],
    ["executor_failed", 502, () => world.network.nodes[0]!.faults.next("executor-unreachable")],
    ["native_requires_api_key", 401, () => world.network.nodes[0]!.faults.next("gateway-401")],
    ["native_closed", 410, () => world.network.nodes[0]!.faults.next("retired")],
  ] as const)("throws its own error for %s with the code, and asks once", async (code, status, arrange) => {
    arrange();
    // Only the first case needs it: more tokens than the account can pay.
    const max_tokens = code === "insufficient_balance" ? 2_000_000_000 : 50;
    const error: unknown = await client.chat.completions
      .create({ model: CHAT, messages, max_tokens })
      .catch((thrown) => thrown);
    expect(error).toBeInstanceOf(APIError);
    expect(error).toMatchObject({ status, headers: expect.anything() });
    expect((error as APIError).headers?.get("x-zeph-error-code")).toBe(code);
    expect((error as APIError).message.length).toBeGreaterThan(10);
    expect(world.posts()).toHaveLength(1);
  });

  it.each(CLOSED)("says in its message which ways work: %s", async (_name, code, arrange) => {
    arrange();
    const error: unknown = await client.chat.completions.create({ model: CHAT, messages }).catch((thrown) => thrown);
    expect(error).toMatchObject({ code, message: expect.stringMatching(WAYS_THAT_WORK) });
  });

  it("is told when nobody answers, in OpenAI's shape, and when the user aborts, as an abort", async () => {
    const controller = new AbortController();
    world.network.nodes[0]!.faults.next("hang");
    const aborted = client.chat.completions.create({ model: CHAT, messages }, { signal: controller.signal });
    setTimeout(() => controller.abort(), 100);
    await expect(aborted).rejects.toBeInstanceOf(APIUserAbortError);
    for (const node of world.network.nodes) await node.goDown();
    await expect(client.chat.completions.create({ model: CHAT, messages })).rejects.toMatchObject({
      status: 502,
      code: "unreachable",
    });
  });
});

describe("the AI SDK", () => {
  const weather = tool({
    description: "Get the weather in a city",
    inputSchema: jsonSchema<{ city: string }>({
      type: "object",
      properties: { city: { type: "string" } },
      required: ["city"],
    }),
    execute: async ({ city }) => `sunny in ${city}`,
  });
  const call = {
    prompt: "What is the weather in Oslo?",
    tools: { weather },
    stopWhen: stepCountIs(3),
    maxOutputTokens: 200,
  };
  const schema = jsonSchema<{ city: string; people: number }>({
    type: "object",
    properties: { city: { type: "string" }, people: { type: "integer" } },
    required: ["city", "people"],
    additionalProperties: false,
  });

  it("calls tools and answers with their results, whole and streamed", async () => {
    const { steps, text } = await generateText({ ...call, model: gonka(CHAT) });
    expect(steps[0]?.toolCalls).toMatchObject([{ toolName: "weather" }]);
    expect(text).toContain("sunny");
    const result = streamText({ ...call, model: gonka(CHAT) });
    const types = new Set<string>();
    for await (const part of result.fullStream) types.add(part.type);
    expect([...types]).toEqual(
      expect.arrayContaining(["tool-input-start", "tool-input-delta", "tool-call", "tool-result"]),
    );
    expect(await result.text).toContain("sunny");
    expect(charges()).toBe(4);
  });

  it.each([CHAT, "sandbox/muser-1"])("gets structured output, whole and streamed (%s)", async (id) => {
    const model = gonka(id);
    const { output } = await generateText({
      model,
      prompt: "Oslo",
      output: Output.object({ schema }),
      maxOutputTokens: 300,
    });
    expect(output).toEqual({ city: expect.any(String), people: expect.any(Number) });
    const { object, partialObjectStream } = streamObject({ model, prompt: "Oslo", schema, maxOutputTokens: 300 });
    let partials = 0;
    for await (const _partial of partialObjectStream) partials += 1;
    expect(partials).toBeGreaterThan(0);
    expect(await object).toEqual(output);
  });

  it.each(CLOSED)("says which ways work: %s", async (_name, code, arrange) => {
    arrange();
    const error: unknown = await generateText({ model: gonka(CHAT), prompt: "hi" }).catch((thrown) => thrown);
    expect(error).toMatchObject({ message: expect.stringContaining("signed requests") });
    expect(toZephError(error)).toMatchObject({ code, hint: expect.stringMatching(WAYS_THAT_WORK) });
  });

  it("fails over inside one call, and does not ask again for what may be charged", async () => {
    world.network.nodes[0]!.faults.next("capacity");
    const { text } = await generateText({ model: gonka(CHAT), prompt: "say hello", maxOutputTokens: 50 });
    expect(text.toLowerCase()).toContain("hello");
    expect(world.posts()).toHaveLength(2);
    for (const node of world.network.nodes) node.faults.always("no-ml-node");
    const failure: unknown = await generateText({
      model: gonka(CHAT),
      prompt: "say hello",
      maxOutputTokens: 50,
      maxRetries: 4,
    }).catch((thrown) => thrown);
    expect(toZephError(failure)).toMatchObject({ code: "executor_failed", charged: "maybe" });
    expect(world.posts()).toHaveLength(3);
  });

  it("is told about a stream that breaks, with the text so far", async () => {
    world.network.nodes[0]!.faults.next({ kind: "cut", afterEvents: 3 });
    const errors: unknown[] = [];
    const { textStream } = streamText({
      model: gonka(CHAT),
      prompt: "count to 9",
      maxOutputTokens: 50,
      onError: ({ error }) => {
        errors.push(error);
      },
    });
    let text = "";
    for await (const piece of textStream) text += piece;
    expect(text).not.toBe("");
    expect(errors.map((error) => toZephError(error).code)).toEqual(["stream_cut"]);
    expect(world.posts()).toHaveLength(1);
  });

  it("embeds only with models that are listed, and no node lists any", async () => {
    const failure = embed({ model: gonka.embeddingModel("sandbox/embed-1"), value: "one" });
    await expect(failure).rejects.toMatchObject({ code: "unsupported_capability" });
    expect(world.posts()).toEqual([]);
    await expect(client.embeddings.create({ model: "sandbox/embed-1", input: "one" })).rejects.toMatchObject({
      status: 400,
      code: "unsupported_capability",
    });
    expect(world.posts()).toHaveLength(1);
  });
});
