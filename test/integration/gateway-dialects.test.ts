import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { Secret } from "../../src/base/secret.ts";
import { ZephError } from "../../src/errors.ts";
import { type Sandbox, startSandbox } from "../../src/sandbox/index.ts";
import { anthropicMessage, readAnthropicEvents } from "../support/anthropic-events.ts";
import { readResponsesEvents, responseResource } from "../support/open-responses.ts";
import { shapesOf } from "../support/shapes.ts";
import { DONE, fixtureFrames, scriptedEndpoint, sendEvents, sendJson } from "./ai-sdk-scripted-endpoint.ts";
import { CHAT, type GatewayWorld, LOCAL_KEY, rawExchange, startGateway, until } from "./gateway-world.ts";

const PLANTED = "planted-secret-of-the-user-0123456789";

let sandbox: Sandbox;
let local: GatewayWorld;

beforeAll(async () => {
  sandbox = await startSandbox();
  local = await startGateway(
    { baseURL: sandbox.broker.baseURL, apiKey: sandbox.broker.keys.good },
    {
      defaultModel: CHAT,
      aliases: { "claude-*": CHAT, "gpt-*": "gone", "gpt-5": CHAT },
      secrets: [new Secret(PLANTED)],
    },
  );
});
afterAll(async () => {
  await local[Symbol.asyncDispose]();
  await sandbox.stop();
});
afterEach(() => sandbox.broker.faults.clear());

const openai = (world = local) => new OpenAI({ apiKey: LOCAL_KEY, baseURL: world.baseURL, maxRetries: 0 });
const anthropic = (world = local) => new Anthropic({ apiKey: LOCAL_KEY, baseURL: world.origin, maxRetries: 0 });
const WEATHER = { type: "object", properties: { city: { type: "string" } }, required: ["city"] } as const;
const hello = [{ role: "user" as const, content: "say hello" }];

/** One question to every API besides Chat Completions, in its own form. */
const ASKING = [
  ["/responses", { model: CHAT, input: "say hello" }],
  ["/responses/compact", { model: CHAT, input: "say hello" }],
  ["/messages", { model: CHAT, max_tokens: 50, messages: hello }],
  ["/completions", { model: CHAT, prompt: "say hello" }],
] as const;
const STREAMED = ASKING.filter(([path]) => path !== "/responses/compact").map(
  ([path, body]) => [path, { ...body, stream: true }] as const,
);

describe("the OpenAI SDK's responses", () => {
  it("are whole, and kept for the next turn until they are deleted", async () => {
    const first = await openai().responses.create({ model: CHAT, input: "say hello" });
    expect(first.output_text).toMatch(/hello/i);
    expect(first.usage?.total_tokens).toBeGreaterThan(0);
    responseResource.parse(JSON.parse(JSON.stringify(first)));
    const next = await openai().responses.create({
      model: CHAT,
      input: "What did I ask?",
      previous_response_id: first.id,
    });
    expect(next.output_text).toContain("say hello");
    expect((await openai().responses.retrieve(first.id)).output).toEqual(first.output);
    await openai().responses.delete(first.id);
    await expect(openai().responses.retrieve(first.id)).rejects.toMatchObject({
      status: 404,
      code: "response_not_found",
    });
    await expect(
      openai().responses.create({ model: CHAT, input: "x", previous_response_id: first.id }),
    ).rejects.toMatchObject({ status: 400, param: "previous_response_id" });
  });

  it("are streamed, with a tool's round trip", async () => {
    const tools = [{ type: "function" as const, name: "get_weather", parameters: WEATHER, strict: false }];
    const input: OpenAI.Responses.ResponseInput = [{ role: "user", content: "What is the weather in Oslo?" }];
    const asked = await openai().responses.stream({ model: CHAT, input, tools }).finalResponse();
    const [call] = asked.output;
    expect(call).toMatchObject({ type: "function_call", name: "get_weather", arguments: '{"city":"Oslo"}' });
    if (call?.type !== "function_call") throw new Error("no call");
    const output = { type: "function_call_output" as const, call_id: call.call_id, output: "4 degrees" };
    const answered = await openai()
      .responses.stream({ model: CHAT, input: [...input, call, output], tools })
      .finalResponse();
    expect(answered.output_text).toContain("4 degrees");
  });

  it("name the model that was taken when the request named none", async () => {
    const response = await local.ask("/responses", { input: "say hello" });
    expect(await response.json()).toMatchObject({ model: CHAT });
  });

  it("are written in short", async () => {
    const input = [{ role: "user" as const, content: "say that the summary is short" }];
    const { output } = await openai().responses.compact({ model: CHAT as "gpt-5", input });
    expect(output.at(-1)).toMatchObject({ type: "compaction", encrypted_content: expect.stringMatching(/^zeph\./) });
  });
});

describe("the Anthropic SDK's messages", () => {
  it("are whole and streamed, with a tool's round trip and a model by prefix", async () => {
    const tools = [{ name: "get_weather", input_schema: WEATHER as never }];
    const messages: Anthropic.MessageParam[] = [{ role: "user", content: "What is the weather in Oslo?" }];
    const base = { model: "claude-sonnet-4-5", max_tokens: 200, tools };
    const asked = await anthropic().messages.create({ ...base, messages });
    anthropicMessage.parse(JSON.parse(JSON.stringify(asked)));
    expect(asked).toMatchObject({ model: "claude-sonnet-4-5", stop_reason: "tool_use" });
    expect(asked._request_id).toMatch(/^zeph-/);
    const use = asked.content.find(({ type }) => type === "tool_use");
    if (use?.type !== "tool_use") throw new Error("no call");
    expect(use.input).toEqual({ city: "Oslo" });
    messages.push(
      { role: "assistant", content: asked.content },
      { role: "user", content: [{ type: "tool_result", tool_use_id: use.id, content: "4 degrees" }] },
    );
    const answer = await anthropic()
      .messages.stream({ ...base, messages })
      .finalMessage();
    expect(answer.content).toMatchObject([{ type: "text", text: expect.stringContaining("4 degrees") }]);
    expect(local.records.at(-1)).toMatchObject({ route: "messages", model: CHAT, stream: true, outcome: "complete" });
    expect(local.records.at(-1)?.usage?.promptTokens).toBeGreaterThan(0);
  });

  it("are counted, and said to be an estimate", async () => {
    const { data, response } = await anthropic().messages.countTokens({ model: CHAT, messages: hello }).withResponse();
    expect(data.input_tokens).toBeGreaterThan(0);
    expect(response.headers.get("x-zeph-token-count")).toBe("estimate");
  });

  it("find the models in their own form", async () => {
    const { data } = await anthropic().models.list();
    expect(data.find(({ id }) => id === CHAT)).toMatchObject({ type: "model", max_input_tokens: 128_000 });
    expect(data.map(({ id }) => id)).not.toContain("claude-*");
    expect(await anthropic().models.retrieve("claude-opus-4-5")).toMatchObject({ id: "claude-opus-4-5" });
  });
});

describe("text completions", () => {
  it("are whole and streamed", async () => {
    const whole = await openai().completions.create({ model: CHAT, prompt: "say hello" });
    expect(whole.choices[0]?.text).toMatch(/hello/i);
    let text = "";
    for await (const chunk of await openai().completions.create({ model: CHAT, prompt: "say hello", stream: true })) {
      text += chunk.choices[0]?.text ?? "";
    }
    expect(text).toBe(whole.choices[0]?.text);
  });

  it.each([[[1, 2, 3]], [[[1, 2], [3]]]])("and embeddings of tokens are refused in words: %j", async (input) => {
    const refused = openai().embeddings.create({ model: "sandbox/embed-1", input });
    await expect(refused).rejects.toMatchObject({ status: 400, param: "input", message: /check_embedding_ctx_length/ });
  });
});

describe("what real clients send", () => {
  const recorded = ["/v1/responses", "/v1/messages", "/v1/completions", "/v1/embeddings"].flatMap(shapesOf);
  it.each(recorded.map((shape) => [shape.name, shape] as const))("%s is answered", async (_name, shape) => {
    const { authorization: _bearer, "x-api-key": _key, ...headers } = shape.headers;
    const own = { ...headers, "accept-encoding": "identity" };
    const response = await local.ask(shape.path.slice("/v1".length), shape.body, { headers: own });
    const text = await response.text();
    expect({ status: response.status, text: response.status === 200 ? "" : text }).toEqual({ status: 200, text: "" });
    if (shape.path.startsWith("/v1/responses") && shape.body.stream === true) readResponsesEvents(text);
    else if (shape.path.startsWith("/v1/messages") && shape.body.stream === true) readAnthropicEvents(text);
    else if (shape.path.startsWith("/v1/messages")) anthropicMessage.parse(JSON.parse(text));
  });

  it.each([...shapesOf("/v1/messages/count_tokens"), ...shapesOf("/v1/responses/input_tokens")])(
    "$name is counted",
    async ({ path, body }) => {
      expect(await (await local.ask(path.slice("/v1".length), body)).json()).toMatchObject({
        input_tokens: expect.any(Number),
      });
    },
  );

  it("Codex finds a list it can read, and no WebSocket", async () => {
    const list = await (await local.ask("/models?client_version=0.171.0")).json();
    expect(list).toMatchObject({ object: "list", models: [] });
    const upgrade = await rawUpgrade(local);
    expect(upgrade).toMatch(/^HTTP\/1\.1 426 /);
  });
});

describe("what the network does not take", () => {
  it.each([
    ["/responses", { model: CHAT, input: "hi", tools: [{ type: "web_search" }], max_tool_calls: 3 }, /web_search/],
    [
      "/messages",
      {
        model: CHAT,
        max_tokens: 9,
        messages: hello,
        tools: [{ type: "web_search_20250305", name: "web_search" }],
        context_management: { edits: [{}] },
      },
      /web_search_20250305/,
    ],
  ])("%s names it in a header", async (path, body, name) => {
    const response = await local.ask(path, body);
    expect(response.status).toBe(200);
    expect(response.headers.get("x-zeph-removed-params")).toMatch(name);
    expect(local.records.at(-1)?.removed.join()).toMatch(name);
  });

  it("temperature is brought within bounds on every path", async () => {
    for (const [path, body] of ASKING.filter(([each]) => each !== "/responses/compact")) {
      const response = await local.ask(path, { ...body, temperature: 7 });
      expect([path, response.headers.get("x-zeph-changed-params")]).toEqual([path, "temperature"]);
    }
  });
});

describe("a secret of the user", () => {
  const everyPath = [
    ...ASKING,
    ...STREAMED,
    ["/chat/completions", { model: CHAT, messages: hello }],
    ["/chat/completions", { model: CHAT, messages: hello, stream: true }],
    ["/embeddings", { model: "sandbox/embed-1", input: "say hello" }],
  ] as const;
  it.each(everyPath)("goes nowhere: %s %j", async (path, body) => {
    await using upstream = await scriptedEndpoint((request, response) => {
      if (request.method === "GET")
        return sendJson(response, 200, { data: [{ id: "sandbox/embed-1", type: "embedding" }] });
      if (request.body.stream === true) return sendEvents(response, [...fixtureFrames("text"), DONE]);
      return sendJson(response, 200, {
        choices: [{ index: 0, message: { role: "assistant", content: "ok" } }],
        data: [],
      });
    });
    await using own = await startGateway({ baseURL: upstream.baseURL }, { secrets: [new Secret(PLANTED)] });
    const asked = JSON.stringify(body).replace("say hello", `say ${PLANTED}`);
    const response = await own.ask(path, asked);
    expect(response.status).toBe(200);
    expect(response.headers.get("x-zeph-changed-params")).toContain("secrets");
    await response.text();
    const [sent] = upstream.seen.filter(({ method }) => method === "POST");
    expect(JSON.stringify(sent?.body)).toContain("say [redacted]");
    expect(JSON.stringify(upstream.seen)).not.toContain(PLANTED);
  });

  it("stops nothing that holds none", async () => {
    const response = await local.ask("/messages", { model: CHAT, max_tokens: 9, messages: hello });
    expect(response.headers.get("x-zeph-changed-params")).toBeNull();
  });
});

describe("the daily limit", () => {
  it.each([
    ...ASKING,
    ...STREAMED,
    ["/chat/completions", { model: CHAT, messages: hello }] as const,
    ["/embeddings", { model: "sandbox/embed-1", input: "x" }] as const,
  ])("holds on %s %j", async (path, body) => {
    const before = sandbox.broker.requests.length;
    await using own = await startGateway(
      { baseURL: sandbox.broker.baseURL, apiKey: sandbox.broker.keys.good },
      { checkBudget: () => Promise.reject(new ZephError("budget_reached")) },
    );
    const response = await own.ask(path, body);
    expect(response.status).toBe(402);
    expect(response.headers.get("x-should-retry")).toBe("false");
    expect(response.headers.get("x-zeph-error-code")).toBe("budget_reached");
    expect(await response.text()).toMatch(/daily limit/);
    expect(own.records.at(-1)).toMatchObject({ status: 402, errorCode: "budget_reached" });
    const paid = sandbox.broker.requests.slice(before).filter(({ method }) => method === "POST");
    expect(paid).toEqual([]);
  });
});

describe("a refusal", () => {
  it("is Anthropic's to Anthropic's clients", async () => {
    const wrong = new Anthropic({ apiKey: "wrong", baseURL: local.origin, maxRetries: 0 });
    await expect(wrong.messages.create({ model: CHAT, max_tokens: 9, messages: hello })).rejects.toMatchObject({
      status: 401,
      type: "authentication_error",
      requestID: expect.stringMatching(/^zeph-/),
    });
    const response = await local.ask("/messages", { model: CHAT, max_tokens: 9, messages: [{ role: "x" }] });
    expect(await response.json()).toMatchObject({ type: "error", error: { type: "invalid_request_error" } });
    expect(response.headers.get("x-should-retry")).toBe("false");
  });

  it("is final for Codex where another try cannot help", async () => {
    const headers = { originator: "codex_exec", authorization: "Bearer wrong" };
    const codex = await local.ask("/responses", { model: CHAT, input: "x" }, { headers });
    expect(codex.status).toBe(400);
    const others = await local.ask(
      "/responses",
      { model: CHAT, input: "x" },
      { headers: { authorization: "Bearer x" } },
    );
    expect(others.status).toBe(401);
    expect(await others.json()).toMatchObject({ error: { type: "authentication_error", code: "local_key_refused" } });
  });

  it.each(["bearer", "x-api-key"])("does not meet who sends the key as %s beside another one", async (where) => {
    const headers: Record<string, string> =
      where === "bearer"
        ? { authorization: `Bearer ${LOCAL_KEY}`, "x-api-key": "other" }
        : { authorization: "Bearer other", "x-api-key": LOCAL_KEY };
    expect((await local.ask("/models", undefined, { headers })).status).toBe(200);
  });

  it.each([...ASKING, ...STREAMED])("of the upstream keeps its status: %s %j", async (path, body) => {
    const { baseURL, keys } = sandbox.broker;
    await using own = await startGateway({ baseURL, apiKey: keys.rateLimited });
    const response = await own.ask(path, body);
    expect(response.status).toBe(429);
    expect(response.headers.get("retry-after")).toMatch(/^\d+$/);
    expect(await response.text()).toMatch(/rate_limit/);
  });

  it("of the provider's key is not mistaken for one of the local key", async () => {
    await using own = await startGateway({ baseURL: sandbox.broker.baseURL, apiKey: sandbox.broker.keys.wrong });
    for (const [path, body] of ASKING) {
      const response = await own.ask(path, body);
      expect(response.status).toBe(401);
      expect(await response.text()).toMatch(/the local key is good/);
    }
  });
});

describe("an answer that breaks off", () => {
  const partly = fixtureFrames("text").slice(0, 3);
  it.each(STREAMED)("ends as an error of that API: %s", async (path, body) => {
    await using upstream = await scriptedEndpoint((_request, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(partly.join(""), () => response.destroy());
    });
    await using own = await startGateway({ baseURL: upstream.baseURL });
    const text = await (await own.ask(path, body)).text();
    const expected = { "/responses": "response.failed", "/messages": '"type":"error"', "/completions": '"error":' };
    expect(text).toContain(expected[path as keyof typeof expected]);
    expect(own.records.at(-1)).toMatchObject({ status: 200, outcome: "failed", errorCode: "stream_cut" });
  });

  it.each(ASKING)("is an error with a status where the whole was asked for: %s", async (path, body) => {
    await using upstream = await scriptedEndpoint((_request, response) => {
      response.writeHead(200, { "content-type": "application/json" });
      response.write('{"choices":[{"index":0,', () => response.destroy());
    });
    await using own = await startGateway({ baseURL: upstream.baseURL });
    const response = await own.ask(path, body);
    expect(response.status).toBe(502);
    expect(await response.text()).toMatch(/server_error|api_error/);
  });

  it.each(STREAMED)("stops at the upstream when the caller leaves: %s", async (path, body) => {
    await using upstream = await scriptedEndpoint((_request, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(partly.join(""));
    });
    await using own = await startGateway({ baseURL: upstream.baseURL });
    const leaving = new AbortController();
    const response = await own.ask(path, body, { signal: leaving.signal });
    await response.body?.getReader().read();
    leaving.abort();
    expect(await upstream.seen[0]?.brokenOff).toBe(true);
    await until(() => own.records.length > 0);
    expect(own.records[0]).toMatchObject({ outcome: "caller-left" });
  });

  it.each(STREAMED)("and one that comes late begins with a sign of life: %s", async (path, body) => {
    await using upstream = await scriptedEndpoint(async (_request, response) => {
      await new Promise((resolve) => setTimeout(resolve, 120));
      sendJson(response, 503, { error: { message: "busy" } });
    });
    await using own = await startGateway({ baseURL: upstream.baseURL }, { heartbeatMs: 30 });
    const response = await own.ask(path, body);
    expect(response.status).toBe(200);
    const text = await response.text();
    expect(text).toMatch(/still thinking|event: ping/);
    expect(text).toMatch(/response\.failed|overloaded_error|server_error/);
  });

  it.each(STREAMED)(
    "is none when the upstream gives the whole where a stream was asked for: %s",
    async (path, body) => {
      const message = { role: "assistant", content: "Hello" };
      await using upstream = await scriptedEndpoint((_request, response) =>
        sendJson(response, 200, { choices: [{ index: 0, message, finish_reason: "stop" }] }),
      );
      await using own = await startGateway({ baseURL: upstream.baseURL });
      expect(await (await own.ask(path, body)).text()).toContain("Hello");
      expect(own.records.at(-1)).toMatchObject({ outcome: "complete" });
    },
  );
});

it("always-stream asks every API's upstream for a stream", async () => {
  await using upstream = await scriptedEndpoint(({ body }, response) => {
    if (body.stream === true) sendEvents(response, [...fixtureFrames("text"), DONE]);
    else sendJson(response, 500, {});
  });
  await using own = await startGateway({ baseURL: upstream.baseURL }, { upstreamMode: "always-stream" });
  for (const [path, body] of ASKING) expect([path, (await own.ask(path, body)).status]).toEqual([path, 200]);
});

it("metrics count every API under its own name, and hold no secret", async () => {
  for (const [path, body] of ASKING) await (await local.ask(path, body)).text();
  const metrics = await (await fetch(`${local.origin}/metrics`, { headers: { "x-api-key": LOCAL_KEY } })).text();
  for (const route of ["responses", "compact", "messages", "completions"]) {
    expect(metrics).toContain(`zeph_requests_total{route="${route}"`);
  }
  expect(metrics + local.log()).not.toContain(PLANTED);
});

/** A request for a WebSocket, on a bare socket: no HTTP client sends one by itself. */
async function rawUpgrade(world: GatewayWorld): Promise<string> {
  const lines = [
    "GET /v1/responses HTTP/1.1",
    "host: 127.0.0.1",
    "connection: upgrade, close",
    "upgrade: websocket",
    `authorization: Bearer ${LOCAL_KEY}`,
  ];
  return rawExchange(world.listening.port, `${lines.join("\r\n")}\r\n\r\n`);
}
