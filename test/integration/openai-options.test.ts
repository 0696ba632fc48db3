import OpenAI from "openai";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { manualClock } from "../../src/base/time.ts";
import type { ZephErrorCode } from "../../src/errors.ts";
import { gonkaOpenAIOptions } from "../../src/openai/index.ts";
import { type KeyKind, type Sandbox, startSandbox } from "../../src/sandbox/index.ts";
import { gonkaFetch } from "../../src/transport/gonka-fetch.ts";
import { scriptedEndpoint } from "./ai-sdk-scripted-endpoint.ts";

const CHAT = "sandbox/echo-1";
const messages = [{ role: "user" as const, content: "say hello" }];

let sandbox: Sandbox;

beforeAll(async () => {
  sandbox = await startSandbox();
});

afterAll(() => sandbox.stop());
afterEach(() => sandbox.broker.faults.clear());

function connection(key: KeyKind = "good", baseURL = sandbox.broker.baseURL) {
  return {
    kind: "broker",
    baseURL,
    apiKey: sandbox.broker.keys[key],
    clock: manualClock(),
    random: () => 0,
  } as const;
}

/** A client as a user makes it who also raised the SDK's retries: they must add nothing. */
const client = (key: KeyKind = "good") => new OpenAI({ ...gonkaOpenAIOptions(connection(key)), maxRetries: 3 });

async function failureOf(run: () => PromiseLike<unknown>) {
  const before = sandbox.broker.requests.length;
  const error: unknown = await run().then(
    () => expect.fail("it should have failed"),
    (thrown: unknown) => thrown,
  );
  return { error, requests: sandbox.broker.requests.length - before };
}

describe("the official client", () => {
  it("chats", async () => {
    const answer = await client().chat.completions.create({ model: CHAT, messages });
    expect(answer.choices[0]?.message.content?.toLowerCase()).toContain("hello");
    expect(answer._request_id).toMatch(/\S/);
    expect(answer.usage?.total_tokens).toBeGreaterThan(0);
  });

  it("streams, with usage", async () => {
    const stream = await client().chat.completions.create({
      model: CHAT,
      messages,
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
  });

  it("calls tools, whole and streamed", async () => {
    const weather = {
      type: "function" as const,
      function: {
        name: "weather",
        description: "Get the weather in a city",
        parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
      },
    };
    const request = {
      model: CHAT,
      messages: [{ role: "user" as const, content: "What is the weather in Oslo?" }],
      tools: [weather],
    };
    const whole = (await client().chat.completions.create(request)).choices[0]?.message.tool_calls?.[0];
    const streamed = await client().chat.completions.stream(request).finalMessage();
    expect(whole).toMatchObject({ id: "functions.weather:0", type: "function", function: { name: "weather" } });
    expect(whole?.type === "function" && JSON.parse(whole.function.arguments)).toHaveProperty("city");
    expect(streamed.tool_calls?.[0]).toMatchObject({
      id: whole?.id,
      function: whole?.type === "function" ? whole.function : {},
    });
  });

  it("embeds", async () => {
    const { data } = await client().embeddings.create({ model: "sandbox/embed-1", input: ["one", "two"] });
    expect(data).toHaveLength(2);
    expect(data[0]?.embedding.length).toBeGreaterThan(8);
  });

  it("lists models, and finds one with a slash in its id", async () => {
    const ids = (await client().models.list()).data.map(({ id }) => id);
    expect(ids).toContain(CHAT);
    expect(await client().models.retrieve(CHAT)).toMatchObject({ id: CHAT });
  });

  it("takes a connection that exists already, and shows how its endpoints did", async () => {
    const gonka = gonkaFetch(connection());
    const options = gonkaOpenAIOptions(gonka);
    await new OpenAI(options).models.list();
    expect(options).toMatchObject({ baseURL: gonka.baseURL, maxRetries: 0 });
    expect(options.fetch.endpoints()).toEqual(gonka.endpoints());
  });

  it("is given no key", () => {
    const { apiKey, ...options } = gonkaOpenAIOptions(connection());
    expect(apiKey).not.toBe(sandbox.broker.keys.good);
    expect(JSON.stringify(options)).not.toContain(sandbox.broker.keys.good);
  });

  it("sends through the caller's own fetch", async () => {
    const urls: string[] = [];
    const fetch = (input: string | URL | Request, init?: RequestInit) => {
      urls.push(String(input));
      return globalThis.fetch(input, init);
    };
    await new OpenAI(gonkaOpenAIOptions({ ...connection(), fetch })).models.list();
    expect(urls).toEqual([`${sandbox.broker.baseURL}/models`]);
  });
});

describe("refusals are the client's own errors, after our attempts and no more", () => {
  it.each<[KeyKind, new (...args: never[]) => Error, ZephErrorCode, number]>([
    ["wrong", OpenAI.AuthenticationError, "invalid_api_key", 1],
    ["disabled", OpenAI.PermissionDeniedError, "account_not_ready", 1],
    ["outOfMoney", OpenAI.RateLimitError, "insufficient_quota", 1],
    ["rateLimited", OpenAI.RateLimitError, "rate_limited", 3],
  ])("key %s", async (key, type, code, expected) => {
    const { error, requests } = await failureOf(() => client(key).chat.completions.create({ model: CHAT, messages }));
    expect(error).toBeInstanceOf(type);
    expect(error).toMatchObject({ requestID: expect.stringMatching(/\S/) });
    expect(error instanceof OpenAI.APIError && error.headers?.get("x-zeph-error-code")).toBe(code);
    expect(requests).toBe(expected);
  });

  it.each([
    [400, OpenAI.BadRequestError, 1],
    [404, OpenAI.NotFoundError, 1],
    [500, OpenAI.InternalServerError, 3],
    [503, OpenAI.InternalServerError, 3],
  ] as const)("status %i", async (status, type, expected) => {
    sandbox.broker.faults.always({ kind: "status", status, message: "no" });
    const { error, requests } = await failureOf(() => client().chat.completions.create({ model: CHAT, messages }));
    expect(error).toBeInstanceOf(type);
    expect(requests).toBe(expected);
  });

  it("streams are opened by the same policy", async () => {
    sandbox.broker.faults.always({ kind: "status", status: 502 });
    const { error, requests } = await failureOf(() =>
      client().chat.completions.create({ model: CHAT, messages, stream: true }),
    );
    expect(error).toBeInstanceOf(OpenAI.InternalServerError);
    expect(requests).toBe(3);
  });
});

describe("no answer at all", () => {
  it("is an error with a status, a code and the next step; not a connection error to be tried again", async () => {
    sandbox.broker.faults.always({ kind: "refuse" });
    const { error, requests } = await failureOf(() => client().chat.completions.create({ model: CHAT, messages }));
    expect(error).toBeInstanceOf(OpenAI.InternalServerError);
    expect(error).toMatchObject({ status: 502, code: "unreachable", type: "zeph_error" });
    expect(String(error)).toContain("could not be reached");
    expect(requests).toBe(1);
  });

  it("because of the address: nothing is sent", async () => {
    const options = gonkaOpenAIOptions({ kind: "broker", baseURL: "http://broker.example/v1", apiKey: "gp-test" });
    const { error } = await failureOf(() => new OpenAI(options).models.list());
    expect(error).toMatchObject({ status: 400, code: "insecure_url" });
  });

  it.each([undefined, "", "\n"])("because there is no key (%j): nothing is sent", async (apiKey) => {
    const { baseURL } = sandbox.broker;
    const posts = () => sandbox.broker.requests.filter(({ method }) => method === "POST").length;
    const before = posts();
    const broker = new OpenAI(gonkaOpenAIOptions({ kind: "broker", baseURL, apiKey }));
    const { error, requests } = await failureOf(() => broker.models.list());
    expect(error).toMatchObject({ code: "secret_missing", message: expect.stringContaining("no API key was given") });
    expect(requests).toBe(0);
    const endpoints = [{ baseURL, address: "gonka1w508d6qejxtdg4y5r3zarvary0c5xw7k2gsyg6" }];
    const signing = new OpenAI(gonkaOpenAIOptions({ kind: "native", privateKey: apiKey, endpoints }));
    const unsigned = await failureOf(() => signing.chat.completions.create({ model: CHAT, messages }));
    expect(unsigned.error).toMatchObject({ code: "secret_missing", message: expect.stringContaining("private key") });
    expect(posts()).toBe(before);
  });

  it("in the middle of a stream: the stream throws, the text so far was given", async () => {
    sandbox.broker.faults.next({ kind: "cut", afterFrames: 6 });
    const long = [{ role: "user" as const, content: "count to 9" }];
    const stream = await client().chat.completions.create({ model: CHAT, messages: long, stream: true });
    let text = "";
    const { error, requests } = await failureOf(async () => {
      for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? "";
    });
    expect(error).toMatchObject({ name: "ZephError", code: "stream_cut" });
    expect(text).not.toBe("");
    expect(requests).toBe(0);
  });
});

describe("abort", () => {
  it("is an abort, and reaches the endpoint", async () => {
    const controller = new AbortController();
    await using endpoint = await scriptedEndpoint(() => controller.abort());
    const options = { ...gonkaOpenAIOptions(connection("good", endpoint.baseURL)), maxRetries: 3 };
    const failure = new OpenAI(options).models.list({ signal: controller.signal });
    await expect(failure).rejects.toBeInstanceOf(OpenAI.APIUserAbortError);
    expect(await endpoint.seen[0]?.brokenOff).toBe(true);
    expect(endpoint.seen).toHaveLength(1);
  });

  it("of a stream ends it quietly, as the client promises", async () => {
    await using endpoint = await scriptedEndpoint((_request, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write('data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}\n\n');
    });
    const openai = new OpenAI(gonkaOpenAIOptions(connection("good", endpoint.baseURL)));
    const stream = await openai.chat.completions.create({ model: CHAT, messages, stream: true });
    let text = "";
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? "";
      stream.controller.abort();
    }
    expect(text).toBe("a");
    expect(await endpoint.seen[0]?.brokenOff).toBe(true);
  });
});
