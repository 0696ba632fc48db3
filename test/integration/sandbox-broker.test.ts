import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { builtInEngine, type Engine, type KeyKind, type Sandbox, startSandbox } from "../../src/sandbox/index.ts";

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await startSandbox();
});
afterAll(() => sandbox.stop());

function ask(path: string, options: { key?: KeyKind; body?: unknown; text?: string } = {}): Promise<Response> {
  const { key = "good", body, text = body === undefined ? undefined : JSON.stringify(body) } = options;
  return fetch(`${sandbox.broker.baseURL}${path}`, {
    method: text === undefined ? "GET" : "POST",
    headers: { authorization: `Bearer ${sandbox.broker.keys[key]}`, "content-type": "application/json" },
    ...(text === undefined ? {} : { body: text }),
  });
}

const chat = (content: string, more: object = {}) => ({
  model: "sandbox/echo-1",
  messages: [{ role: "user", content }],
  ...more,
});

const jsonOf = async (response: Response | Promise<Response>) => JSON.parse(await (await response).text());

/** The JSON of every `data:` line of a stream; `[DONE]` stays a string. */
function chunksOf(text: string) {
  return text
    .split("\n")
    .filter((line) => line.startsWith("data: "))
    .map((line) => (line === "data: [DONE]" ? "[DONE]" : JSON.parse(line.slice(6))));
}

describe("keys", () => {
  it.each([
    ["good", 200, undefined],
    ["wrong", 401, "invalid_api_key"],
    ["management", 401, "invalid_api_key"],
    ["disabled", 403, "account_deactivated"],
    ["unverified", 403, "email_not_verified"],
    ["outOfMoney", 429, "insufficient_quota"],
    ["rateLimited", 429, "rate_limit_exceeded"],
  ] as const)("answers a chat with the %s key with %i %s", async (key, status, code) => {
    const response = await ask("/chat/completions", { key, body: chat("hello") });
    expect(response.status).toBe(status);
    expect(response.headers.get("x-request-id")).toMatch(/^req_\w{24}$/);
    const body = await jsonOf(response);
    expect(body.error?.code).toBe(code);
    if (code !== undefined) expect(body.error.message).toEqual(expect.any(String));
  });

  it("refuses a request without a key", async () => {
    const response = await fetch(`${sandbox.broker.baseURL}/models`);
    expect(response.status).toBe(401);
    expect(await response.json()).toMatchObject({ error: { code: "invalid_api_key" } });
  });

  it("lists models to an account without money, and names the balance when it asks for more", async () => {
    expect((await ask("/models", { key: "outOfMoney" })).status).toBe(200);
    const refused = await ask("/chat/completions", { key: "outOfMoney", body: chat("hello") });
    expect(await refused.json()).toMatchObject({ error: { metadata: { balance_usd: "0.00" } } });
  });

  it("tells a rate-limited caller how long to wait", async () => {
    const response = await ask("/models", { key: "rateLimited" });
    expect(response.headers.get("retry-after")).toBe("1");
  });

  it("can say 402, and Retry-After as a date", async () => {
    const strict = await startSandbox({
      broker: { outOfMoneyStatus: 402, retryAfterForm: "date", retryAfterSeconds: 30, keys: { good: "gp-fixed" } },
    });
    const { baseURL, keys } = strict.broker;
    const send = (key: string) =>
      fetch(`${baseURL}/chat/completions`, {
        method: "POST",
        headers: { authorization: `Bearer ${key}` },
        body: JSON.stringify(chat("hello")),
      });
    expect((await send("gp-fixed")).status).toBe(200);
    expect((await send(keys.outOfMoney)).status).toBe(402);
    const limited = await send(keys.rateLimited);
    const waitMs = Date.parse(limited.headers.get("retry-after") ?? "") - Date.now();
    expect(waitMs).toBeGreaterThan(20_000);
    expect(waitMs).toBeLessThan(31_000);
    await strict.stop();
  });
});

describe("models and account", () => {
  it("lists models with context length and prices", async () => {
    const body = await jsonOf(ask("/models"));
    expect(body.object).toBe("list");
    expect(body.data[0]).toEqual({
      id: "sandbox/echo-1",
      object: "model",
      created: expect.any(Number),
      owned_by: "gonka",
      name: "echo-1",
      description: expect.any(String),
      context_length: 128_000,
      pricing: { prompt: "0.00000022", completion: "0.00000044" },
    });
  });

  it("finds one model by an id with slashes, and letter case counts", async () => {
    expect(await (await ask("/models/sandbox/Tiny-1")).json()).toMatchObject({ id: "sandbox/Tiny-1" });
    const response = await ask("/models/sandbox/tiny-1");
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({ error: { code: "model_not_found" } });
  });

  it.each([
    ["bare", 200, { data: [{ id: "sandbox/echo-1", object: "model" }] }],
    ["empty", 200, { data: [] }],
    ["unavailable", 503, { error: { code: "service_unavailable" } }],
  ] as const)("can have a model list that is %s", async (modelList, status, body) => {
    const other = await startSandbox({ broker: { modelList } });
    const headers = { authorization: `Bearer ${other.broker.keys.good}` };
    const response = await fetch(`${other.broker.baseURL}/models`, { headers });
    expect(response.status).toBe(status);
    const json = await jsonOf(response);
    expect({ ...json, ...(json.data?.length ? { data: json.data.slice(0, 1) } : {}) }).toMatchObject(body);
    if (modelList === "bare") expect(json.data[0]).not.toHaveProperty("context_length");
    await other.stop();
  });

  it("publishes prices to everybody, and to keys", async () => {
    const origin = new URL(sandbox.broker.baseURL).origin;
    const body = await jsonOf(fetch(`${origin}/api/v1/public/pricing`));
    expect(body.success).toBe(true);
    expect(body.data.models[0]).toEqual({
      id: "sandbox/echo-1",
      usdPer1MTokens: { network: 0.2, platformFee: 0.02, total: 0.22 },
    });
    expect((await fetch(`${origin}/api/v1/pricing`)).status).toBe(401);
    expect((await fetch(`${origin}/health`)).status).toBe(200);
  });

  it.each([
    ["good", { emailVerified: true }, { usd: "10.00", status: "active" }],
    ["outOfMoney", { emailVerified: true }, { usd: "0.00", status: "suspended" }],
    ["unverified", { emailVerified: false }, { status: "active" }],
  ] as const)("tells the %s key about its account", async (key, user, balance) => {
    const response = await fetch(new URL("/api/v1/whoami", sandbox.broker.baseURL), {
      headers: { authorization: `Bearer ${sandbox.broker.keys[key]}` },
    });
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({
      success: true,
      data: { user, apiKey: { status: "active" }, balance },
    });
  });

  it("words a refusal of /api in its own shape", async () => {
    const response = await fetch(new URL("/api/v1/whoami", sandbox.broker.baseURL));
    expect(response.status).toBe(401);
    const requestId = response.headers.get("x-request-id");
    expect(await response.json()).toMatchObject({ success: false, error: { statusCode: 401, requestId } });
  });
});

describe("wrong addresses", () => {
  it.each(["/v1/v1/models", "/models", "/chat/completions", "/v1", "/"])("answers %s without JSON", async (path) => {
    const response = await fetch(new URL(path, sandbox.broker.baseURL));
    expect(response.status).toBe(404);
    expect(response.headers.get("content-type")).toContain("text/html");
    expect(await response.text()).toContain("<title>404 Not Found</title>");
  });
});

describe("chat", () => {
  it("answers with JSON, usage and cost", async () => {
    const response = await ask("/chat/completions", { body: chat("count to 5") });
    expect(await response.json()).toEqual({
      id: expect.stringMatching(/^chatcmpl-\w+$/),
      object: "chat.completion",
      created: expect.any(Number),
      model: "sandbox/echo-1",
      choices: [{ index: 0, message: { role: "assistant", content: "1, 2, 3, 4, 5" }, finish_reason: "stop" }],
      usage: {
        prompt_tokens: 7,
        completion_tokens: 5,
        total_tokens: 12,
        prompt_tokens_details: { cached_tokens: 0 },
        base_cost_usd: 0.0000034,
        platform_fee_usd: 0.00000034,
        total_cost_usd: 0.00000374,
      },
    });
  });

  it("streams the same words, a comment line first, usage in a last chunk without choices, then [DONE]", async () => {
    const body = chat("count to 5", { stream: true, stream_options: { include_usage: true } });
    const response = await ask("/chat/completions", { body });
    expect(response.headers.get("content-type")).toContain("text/event-stream");
    const text = await response.text();
    expect(text.startsWith(": keep-alive\n\n")).toBe(true);
    const chunks = chunksOf(text);
    expect(chunks[0].choices[0].delta).toEqual({ role: "assistant", content: "" });
    expect(chunks.map((chunk) => chunk.choices?.[0]?.delta.content ?? "").join("")).toBe("1, 2, 3, 4, 5");
    expect(chunks.at(-3).choices[0]).toEqual({ index: 0, delta: {}, finish_reason: "stop" });
    expect(chunks.at(-2)).toMatchObject({ choices: [], usage: { total_tokens: 12, total_cost_usd: 0.00000374 } });
    expect(chunks.at(-1)).toBe("[DONE]");
  });

  it("tells no usage when it was not asked for", async () => {
    const response = await ask("/chat/completions", { body: chat("say hello", { stream: true }) });
    expect(await response.text()).not.toContain("usage");
  });

  it.each([
    ["always", -2],
    ["on-finish-chunk", -2],
    ["none", undefined],
  ] as const)("can tell usage: %s", async (usage, place) => {
    const other = await startSandbox({ broker: { usage, costs: "no-costs" } });
    const response = await fetch(`${other.broker.baseURL}/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${other.broker.keys.good}` },
      body: JSON.stringify(chat("say hello", { stream: true })),
    });
    const chunks = chunksOf(await response.text());
    const withUsage = chunks.filter((chunk) => chunk.usage !== undefined);
    expect(withUsage).toEqual(place === undefined ? [] : [chunks.at(place)]);
    if (usage === "on-finish-chunk") expect(withUsage[0].choices[0].finish_reason).toBe("stop");
    expect(JSON.stringify(chunks)).not.toContain("cost_usd");
    await other.stop();
  });

  it("keeps to max_tokens and says so", async () => {
    const response = await ask("/chat/completions", { body: chat("count to 50", { max_tokens: 3 }) });
    const body = await jsonOf(response);
    expect(body.choices[0]).toMatchObject({ message: { content: "1, 2, 3," }, finish_reason: "length" });
    expect(body.usage.completion_tokens).toBe(3);
  });

  it.each([
    ["sandbox/thinker-1", "reasoning_content"],
    ["sandbox/muser-1", "content"],
  ])("lets %s think in %s", async (model, field) => {
    const whole = await jsonOf(ask("/chat/completions", { body: { ...chat("say yes"), model } }));
    const streamed = await ask("/chat/completions", { body: { ...chat("say yes", { stream: true }), model } });
    const deltas = chunksOf(await streamed.text()).flatMap((chunk) => chunk.choices?.[0]?.delta ?? []);
    const joined = (name: string) => deltas.map((delta) => delta[name] ?? "").join("");
    const { message } = whole.choices[0];
    expect(joined(field)).toBe(message[field]);
    expect(joined("content")).toBe(message.content);
    expect(message[field]).toContain('The user wrote "say yes".');
    if (field === "content") expect(message.content).toMatch(/^<think>\n.*\n<\/think>\n\nyes$/s);
    else expect(message.content).toBe("yes");
    expect(whole.usage.completion_tokens_details.reasoning_tokens).toBeGreaterThan(0);
  });

  it("spends a small max_tokens on thinking: empty content and length", async () => {
    const body = { ...chat("say yes", { max_tokens: 4 }), model: "sandbox/thinker-1" };
    const answer = await jsonOf(ask("/chat/completions", { body }));
    expect(answer.choices[0]).toMatchObject({ message: { content: "" }, finish_reason: "length" });
  });

  it("can send thinking under the other name", async () => {
    const other = await startSandbox({ broker: { reasoning: { "sandbox/thinker-1": "reasoning" } } });
    const response = await fetch(`${other.broker.baseURL}/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${other.broker.keys.good}` },
      body: JSON.stringify({ ...chat("say yes"), model: "sandbox/thinker-1" }),
    });
    const body = await jsonOf(response);
    expect(body.choices[0].message.reasoning).toContain("The user wrote");
    await other.stop();
  });

  it("calls a tool with content null, then uses its result", async () => {
    const tools = [
      {
        type: "function",
        function: {
          name: "get_weather",
          parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
        },
      },
    ];
    const question = chat("What is the weather in New York?", { tools });
    const first = await jsonOf(ask("/chat/completions", { body: question }));
    const { message } = first.choices[0];
    expect(first.choices[0].finish_reason).toBe("tool_calls");
    expect(message.content).toBeNull();
    expect(message.tool_calls).toEqual([
      {
        id: "functions.get_weather:0",
        type: "function",
        function: { name: "get_weather", arguments: '{"city":"New York"}' },
      },
    ]);

    const result = { role: "tool", tool_call_id: message.tool_calls[0].id, content: "21 degrees" };
    const body = { ...question, messages: [...question.messages, message, result] };
    const second = await jsonOf(ask("/chat/completions", { body }));
    expect(second.choices[0].message.content).toBe("The tool answered: 21 degrees");

    const streamed = await ask("/chat/completions", { body: { ...question, stream: true } });
    const pieces = chunksOf(await streamed.text()).flatMap((chunk) => chunk.choices?.[0]?.delta.tool_calls ?? []);
    expect(pieces[0]).toMatchObject({ index: 0, id: "functions.get_weather:0", function: { name: "get_weather" } });
    expect(pieces.length).toBeGreaterThan(2);
    expect(pieces.map((piece) => piece.function.arguments).join("")).toBe('{"city":"New York"}');
  });

  it("fills a JSON schema", async () => {
    const schema = {
      type: "object",
      properties: {
        city: { type: "string" },
        days: { type: "integer" },
        tags: { type: "array", items: { type: "string" } },
      },
      required: ["city", "days", "tags"],
    };
    const response_format = { type: "json_schema", json_schema: { name: "trip", schema } };
    const body = await jsonOf(ask("/chat/completions", { body: chat("Plan 3 days in Rome", { response_format }) }));
    expect(JSON.parse(body.choices[0].message.content)).toEqual({
      city: "Rome",
      days: 3,
      tags: ["Plan 3 days in Rome"],
    });
  });

  it.each([
    ["unknown field", chat("hi", { tags: ["a"] }), 400, /"tags" is currently rejected by the Gonka network/],
    ["unknown model", { ...chat("hi"), model: "Sandbox/echo-1" }, 404, /`Sandbox\/echo-1` does not exist/],
    ["max_tokens 0", chat("hi", { max_tokens: 0 }), 400, /max_tokens/],
    ["no messages", { model: "sandbox/echo-1", messages: [] }, 400, /messages: must be a non-empty array/],
    [
      "long prompt",
      { ...chat("word ".repeat(600)), model: "sandbox/Tiny-1" },
      400,
      /maximum context length is 512 tokens/,
    ],
  ])("refuses: %s", async (_, body, status, message) => {
    const response = await ask("/chat/completions", { body });
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({ error: { message: expect.stringMatching(message) } });
  });

  it("refuses a body that is no JSON, and one above 10 MiB", async () => {
    expect((await ask("/chat/completions", { text: "{" })).status).toBe(400);
    const response = await ask("/chat/completions", { body: chat("x".repeat(10 * 1024 * 1024)) });
    expect(response.status).toBe(413);
    expect(await response.json()).toMatchObject({ error: { message: "request body too large" } });
  });
});

describe("the request log", () => {
  it("holds names and sizes, no prompt and no key", async () => {
    const own = await startSandbox();
    const { baseURL, keys, requests } = own.broker;
    for (const key of Object.values(keys)) {
      await fetch(`${baseURL}/chat/completions?key=${key}`, {
        method: "POST",
        headers: { authorization: `Bearer ${key}`, "x-api-key": key },
        body: JSON.stringify(chat("a planted prompt")),
      });
    }
    await fetch(`${baseURL}/models/${keys.good}`, { headers: { authorization: `Bearer ${keys.good}` } });
    const log = JSON.stringify(requests);
    for (const key of Object.values(keys)) expect(log).not.toContain(key.slice(4));
    expect(log).not.toContain("planted");
    expect(requests[0]).toMatchObject({
      method: "POST",
      path: "/v1/chat/completions",
      status: 200,
      key: "good",
      model: "sandbox/echo-1",
      fields: { model: 16, messages: 46 },
    });
    expect(requests.map((record) => record.key)).toEqual([...Object.keys(keys), "good"]);
    await own.stop();
  });

  it("keeps bodies only when told to", async () => {
    const own = await startSandbox({ broker: { recordBodies: true } });
    await fetch(`${own.broker.baseURL}/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${own.broker.keys.good}` },
      body: JSON.stringify(chat("hello")),
    });
    expect(own.broker.requests[0]?.body).toEqual(chat("hello"));
    await own.stop();
  });
});

describe("a client that leaves", () => {
  it.each([true, false])("ends the engine's work, stream: %s, without a word on the console", async (stream) => {
    const spoken = [vi.spyOn(console, "error"), vi.spyOn(console, "info"), vi.spyOn(console, "log")];
    const began = signalled();
    const ended = signalled();
    const engine: Engine = {
      models: () => builtInEngine().models(),
      async *complete(_, signal) {
        yield { type: "text", text: "one" };
        began.resolve();
        await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
        ended.resolve();
        throw signal.reason;
      },
    };
    const own = await startSandbox({ engine });
    const leave = new AbortController();
    const reading = fetch(`${own.broker.baseURL}/chat/completions`, {
      method: "POST",
      signal: leave.signal,
      headers: { authorization: `Bearer ${own.broker.keys.good}` },
      body: JSON.stringify(chat("hello", { stream })),
    }).then((response) => response.text());
    await began.promise;
    leave.abort();
    await expect(reading).rejects.toThrow("aborted");
    await ended.promise;
    await own.stop();
    for (const spy of spoken) expect(spy).not.toHaveBeenCalled();
    vi.restoreAllMocks();
  });
});

function signalled() {
  let resolve = () => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

describe("stop", () => {
  it("gives the port back, and a taken port is named", async () => {
    const first = await startSandbox();
    const port = Number(new URL(first.broker.baseURL).port);
    await expect(startSandbox({ port })).rejects.toMatchObject({ code: "usage" });
    await first.stop();
    const second = await startSandbox({ port });
    expect(new URL(second.broker.baseURL).port).toBe(String(port));
    await second.stop();
    await second.stop();
  });
});
