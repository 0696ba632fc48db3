import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type Sandbox, startSandbox } from "../../src/sandbox/index.ts";
import { scriptedEndpoint, sendJson } from "./ai-sdk-scripted-endpoint.ts";
import { CHAT, type GatewayWorld, HELLO, LOCAL_KEY, rawExchange, startGateway } from "./gateway-world.ts";

const PAGE = "http://app.example:3000";
let sandbox: Sandbox;
let local: GatewayWorld;

beforeAll(async () => {
  sandbox = await startSandbox();
  local = await startGateway(
    { baseURL: sandbox.broker.baseURL, apiKey: sandbox.broker.keys.good },
    {
      aliases: { "gpt-4o": CHAT, embed: "sandbox/embed-1" },
      defaultModel: CHAT,
      allowedOrigins: [PAGE],
      allowedHosts: ["host.docker.internal"],
    },
  );
});
afterAll(async () => {
  await local[Symbol.asyncDispose]();
  await sandbox.stop();
});
afterEach(() => sandbox.broker.faults.clear());

const chat = { model: CHAT, messages: HELLO };
const errorOf = async (response: Response) =>
  ((await response.json()) as { error: { code: string; message: string; type: string; param: string | null } }).error;

describe("the key", () => {
  it.each<[string, Record<string, string>]>([
    ["Bearer", { authorization: `Bearer ${LOCAL_KEY}` }],
    ["bearer, with spaces", { authorization: `bearer   ${LOCAL_KEY} ` }],
    ["x-api-key", { "x-api-key": LOCAL_KEY }],
  ])("is taken as %s", async (_, headers) => {
    expect((await fetch(`${local.baseURL}/models`, { headers })).status).toBe(200);
  });

  it.each<[string, Record<string, string>]>([
    ["none", {}],
    ["another", { authorization: "Bearer sk-zeph-another" }],
    ["a longer one", { "x-api-key": `${LOCAL_KEY}x` }],
    ["a shorter one", { "x-api-key": LOCAL_KEY.slice(0, -1) }],
    ["another scheme", { authorization: `Basic ${LOCAL_KEY}` }],
    ["an empty one", { "x-api-key": "" }],
  ])("%s is refused, and nothing is sent", async (_, headers) => {
    const before = sandbox.broker.requests.length;
    for (const path of ["/chat/completions", "/embeddings"]) {
      const response = await fetch(local.baseURL + path, { method: "POST", headers, body: JSON.stringify(chat) });
      expect(response.status).toBe(401);
      expect(await errorOf(response)).toMatchObject({ code: "local_key_refused", type: "authentication_error" });
    }
    for (const path of ["/v1/models", `/v1/models/${CHAT}`, "/metrics"]) {
      expect((await fetch(local.origin + path, { headers })).status).toBe(401);
    }
    expect(sandbox.broker.requests.length).toBe(before);
  });

  it("is not needed for /health and /ready", async () => {
    expect(await (await fetch(`${local.origin}/health`)).json()).toEqual({ status: "ok" });
    expect(await (await fetch(`${local.origin}/ready`)).json()).toEqual({ status: "ready" });
  });

  it("is not needed at all with `none`", async () => {
    await using open = await startGateway(
      { baseURL: sandbox.broker.baseURL, apiKey: sandbox.broker.keys.good },
      { key: "none" },
    );
    expect((await fetch(`${open.baseURL}/models`)).status).toBe(200);
  });
});

describe("the host name", () => {
  const withHost = (host: string) =>
    rawExchange(
      local.listening.port,
      `GET /v1/models HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${LOCAL_KEY}\r\nConnection: close\r\n\r\n`,
    );

  it.each([
    "localhost",
    "localhost:8424",
    "127.0.0.1",
    "127.9.9.9:1",
    "[::1]:80",
    "my.localhost",
    "LOCALHOST",
    "host.docker.internal:8424",
  ])("%s is ours", async (host) => {
    expect(await withHost(host)).toMatch(/^HTTP\/1\.1 200 /);
  });

  it.each([
    "attacker.example",
    "localhost.attacker.example",
    "127.0.0.1.attacker.example",
    "192.168.1.5",
    "0.0.0.0",
    "docker.internal",
  ])("%s is not: its page could have pointed its name to this computer", async (host) => {
    const answer = await withHost(host);
    expect(answer).toMatch(/^HTTP\/1\.1 403 /);
    expect(answer).toContain("host_refused");
  });
});

describe("web pages", () => {
  it("that are not listed are refused before anything is sent", async () => {
    const before = sandbox.broker.requests.length;
    for (const origin of ["http://evil.example", "null", "http://app.example:3001", `${PAGE}.evil.example`]) {
      const response = await local.ask("/chat/completions", chat, { headers: { origin } });
      expect(response.status).toBe(403);
      expect((await errorOf(response)).code).toBe("origin_refused");
      expect(response.headers.get("access-control-allow-origin")).toBeNull();
    }
    expect(sandbox.broker.requests.length).toBe(before);
  });

  it("that are listed may call and read", async () => {
    const response = await local.ask("/chat/completions", chat, { headers: { origin: PAGE } });
    expect(response.status).toBe(200);
    expect(response.headers.get("access-control-allow-origin")).toBe(PAGE);
    expect(response.headers.get("vary")).toBe("origin");
    expect(response.headers.get("access-control-expose-headers")).toContain("x-zeph-removed-params");
  });

  it("that are listed can read refusals too", async () => {
    const response = await local.ask("/chat/completions", "{", { headers: { origin: PAGE } });
    expect(response.status).toBe(400);
    expect(response.headers.get("access-control-allow-origin")).toBe(PAGE);
  });

  it("may ask first", async () => {
    const preflight = (origin: string) =>
      fetch(`${local.baseURL}/chat/completions`, {
        method: "OPTIONS",
        headers: { origin, "access-control-request-method": "POST", "access-control-request-headers": "authorization" },
      });
    const allowed = await preflight(PAGE);
    expect(allowed.status).toBe(204);
    expect(allowed.headers.get("access-control-allow-origin")).toBe(PAGE);
    expect(allowed.headers.get("access-control-allow-headers")).toContain("authorization");
    expect((await preflight("http://evil.example")).status).toBe(403);
  });

  it("of the endpoint's own address are no strangers", async () => {
    expect((await local.ask("/models", undefined, { headers: { origin: local.origin } })).status).toBe(200);
  });
});

describe("paths", () => {
  it.each<[string, string, number, string, RegExp]>([
    ["POST", "/chat/completions", 404, "route_not_found", /\/v1 is missing/],
    ["POST", "/v1/v1/chat/completions", 404, "route_not_found", /stands in it twice/],
    ["POST", "/responses", 404, "route_not_found", /\/v1 is missing/],
    ["POST", "/v1/v1/messages", 404, "route_not_found", /stands in it twice/],
    ["POST", "/messages/count_tokens", 404, "route_not_found", /\/v1 is missing/],
    ["POST", "/v1beta/models/gemini-3:streamGenerateContent", 404, "route_not_found", /Gemini/],
    ["GET", "/v1/responses", 405, "method_not_allowed", /GET where POST belongs/],
    ["PUT", "/v1/responses/resp_1", 405, "method_not_allowed", /PUT where GET, DELETE belongs/],
    ["POST", "/v1/images/generations", 404, "route_not_found", /text models only/],
    ["GET", "/api/tags", 404, "route_not_found", /Ollama/],
    ["GET", "/models", 404, "route_not_found", /\/v1 is missing/],
    ["GET", "/", 404, "route_not_found", /base URL/],
    ["GET", "/v1/models/%E0%A4%A", 404, "model_not_found", /percent-encoding/],
    ["GET", "/v1/chat/completions", 405, "method_not_allowed", /GET where POST belongs/],
    ["DELETE", `/v1/models/${CHAT}`, 405, "method_not_allowed", /DELETE where GET belongs/],
  ])("%s %s: %i with help", async (method, path, status, code, message) => {
    const response = await fetch(local.origin + path, { method });
    expect(response.status).toBe(status);
    expect(response.headers.get("x-should-retry")).toBe("false");
    expect(response.headers.get("x-request-id")).toMatch(/^zeph-/);
    expect(await errorOf(response)).toMatchObject({ code, message: expect.stringMatching(message) });
    if (status === 405) expect(response.headers.get("allow")).toMatch(/^(?:GET|POST|GET, DELETE)$/);
  });

  it("are not repeated: somebody may have put a key into one", async () => {
    const text = await (await fetch(`${local.origin}/v1/gp-secretsecret?key=sk-secretsecret`)).text();
    expect(text + local.log()).not.toContain("secretsecret");
  });

  it("may end in a slash, and be asked with HEAD", async () => {
    expect((await local.ask("/models/")).status).toBe(200);
    const head = await local.ask("/models", undefined, { method: "HEAD" });
    expect([head.status, await head.text()]).toEqual([200, ""]);
  });

  it.each([CHAT, encodeURIComponent(CHAT), "gpt-4o"])("find a model by %s", async (id) => {
    const response = await local.ask(`/models/${id}`);
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ id: decodeURIComponent(id), object: "model" });
  });
});

describe("the model list", () => {
  it("is what Open WebUI and LibreChat read, aliases included", async () => {
    const { object, data } = (await (await local.ask("/models")).json()) as {
      object: string;
      data: Record<string, unknown>[];
    };
    expect(object).toBe("list");
    for (const entry of data)
      expect(entry).toMatchObject({
        id: expect.any(String),
        object: "model",
        created: expect.any(Number),
        owned_by: expect.any(String),
      });
    expect(data.map(({ id }) => id)).toEqual([...sandbox.broker.models.map(({ id }) => id), "gpt-4o", "embed"]);
    expect(data.find(({ id }) => id === "gpt-4o")).toMatchObject({ owned_by: "zeph", alias_of: CHAT });
    // What the broker says beyond OpenAI's fields stays.
    expect(data[0]).toHaveProperty("pricing");
  });

  it.each<[string, unknown]>([
    ["of a node before v0.2.12", { models: [{ id: "m" }, { model: "n" }, { name: "no id" }] }],
    ["without a frame", [{ id: "m" }, { id: "n" }]],
  ])("%s is put into the same form", async (_, body) => {
    await using endpoint = await scriptedEndpoint((_request, response) => sendJson(response, 200, body));
    await using own = await startGateway({ baseURL: endpoint.baseURL });
    const { data } = (await (await own.ask("/models")).json()) as { data: { id: string }[] };
    expect(data.map(({ id }) => id)).toEqual(["m", "n"]);
  });

  it("that cannot be read is an error, not an empty list", async () => {
    await using endpoint = await scriptedEndpoint((_request, response) => sendJson(response, 200, "<html>"));
    await using own = await startGateway({ baseURL: endpoint.baseURL });
    const response = await own.ask("/models");
    expect([response.status, (await errorOf(response)).code]).toEqual([502, "bad_response"]);
  });

  it("is refused as the broker refuses it", async () => {
    sandbox.broker.faults.next({
      kind: "status",
      status: 503,
      code: "service_unavailable",
      message: "later",
      retryAfter: "7",
    });
    const response = await local.ask("/models");
    expect(response.status).toBe(503);
    expect(response.headers.get("retry-after")).toBe("7");
    expect(await errorOf(response)).toMatchObject({ message: "later" });
  });
});

describe("models", () => {
  it("may be called by an alias, or not at all", async () => {
    for (const model of ["gpt-4o", undefined, "", null]) {
      const response = await local.ask("/chat/completions", { ...chat, model });
      expect(await response.json()).toMatchObject({ model: CHAT });
      expect(local.records.at(-1)?.model).toBe(CHAT);
    }
    const embedded = await local.ask("/embeddings", { model: "embed", input: "x" });
    expect(await embedded.json()).toMatchObject({ model: "sandbox/embed-1" });
  });

  it("must be named where there is no default", async () => {
    await using own = await startGateway({ baseURL: sandbox.broker.baseURL });
    const response = await own.ask("/chat/completions", { messages: HELLO });
    expect([response.status, (await errorOf(response)).code]).toEqual([400, "model_missing"]);
  });

  it("called like something every object has are no aliases", async () => {
    expect((await local.ask("/chat/completions", { ...chat, model: "constructor" })).status).toBe(404);
  });
});

describe("bodies", () => {
  it.each<[string, NonNullable<RequestInit["body"]>, RegExp]>([
    ["broken JSON", '{"model":', /not valid JSON/],
    ["nothing", "", /not valid JSON/],
    ["a list", "[]", /must be a JSON object/],
    ["a word", '"hi"', /must be a JSON object/],
    ["no UTF-8", new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x7d]), /not valid UTF-8/],
    ["a form", new URLSearchParams({ model: CHAT }), /not valid JSON/],
  ])("that hold %s are refused in words", async (_, body, message) => {
    for (const path of ["/chat/completions", "/embeddings"]) {
      const response = await local.ask(path, undefined, { method: "POST", body });
      expect(response.status).toBe(400);
      expect(await errorOf(response)).toMatchObject({
        code: "invalid_request",
        message: expect.stringMatching(message),
      });
    }
  });

  it("nested five hundred levels deep do no harm", async () => {
    const deep = "[".repeat(500) + "]".repeat(500);
    const harmless = await local.ask(
      "/chat/completions",
      `{"messages":[{"role":"user","content":"hi"}],"made_up":${deep}}`,
    );
    expect(harmless.status).toBe(200);
    expect(harmless.headers.get("x-zeph-removed-params")).toBe("made_up");
    const inside = await local.ask("/chat/completions", `{"messages":[{"role":"user","content":${deep}}]}`);
    expect(inside.status).toBe(400);
    await using plain = await startGateway(
      { baseURL: sandbox.broker.baseURL },
      { cleanUp: "none", defaultModel: CHAT },
    );
    expect((await plain.ask("/chat/completions", `{"messages":${deep}}`)).status).toBeLessThan(502);
  });

  const many = (count: number, entry: (index: number) => string) =>
    Array.from({ length: count }, (_, i) => entry(i)).join();
  const tools = (count: number) => `[${many(count, (i) => `{"type":"function","function":{"name":"f${i}"}}`)}]`;
  const TOO_MUCH: readonly (readonly [string, number, () => string, RegExp])[] = [
    [
      "900,000 unknown fields",
      413,
      () =>
        many(900_000, (i) => `"f${i}":1`)
          .slice(0, 9_999_900)
          .replace(/,[^,]*$/, ""),
      /more than 10000 fields in one object\. Leave out/,
    ],
    [
      "200,000 fields in many objects",
      413,
      () => `"x":[${many(2_000, () => `{${many(100, (i) => `"f${i}":1`)}}`)}]`,
      /more than 100000 fields\. Leave out/,
    ],
    [
      "a million nested lists",
      413,
      () => `"x":${"[".repeat(1_000_000)}${"]".repeat(1_000_000)}`,
      /more than 512 levels of nesting\./,
    ],
    ["a million empty lists", 413, () => `"x":[${"[],".repeat(1_000_000)}0]`, /more than 100000 objects and lists\./],
    ["four million numbers", 413, () => `"x":[${"0,".repeat(4_000_000)}0]`, /more than 500000 values\./],
    ["50,000 tools", 413, () => `"tools":${tools(50_000)}`, /tools: more than 1024\. Send at most 1024/],
    ["1,025 tools by an escaped name", 413, () => `"t\\u006fols":${tools(1_025)}`, /tools: more than 1024\./],
    ["1,025 tools in extra_body", 413, () => `"extra_body":{"tools":${tools(1_025)}}`, /tools: more than 1024\./],
    [
      "50,000 functions",
      413,
      () => `"functions":[${many(50_000, () => '{"name":"f"}')}]`,
      /functions: more than 1024\./,
    ],
    [
      "2,049 messages",
      400,
      () => `"messages":[${many(2_049, () => '{"role":"user","content":"x"}')}]`,
      /messages: the network takes 2048 at most/,
    ],
    [
      "1,025 calls in a turn",
      400,
      () =>
        `"messages":[{"role":"assistant","tool_calls":[${many(1_025, (i) => `{"id":"c${i}","function":{"name":"f"}}`)}]}]`,
      /tool_calls: has more than 1024 calls/,
    ],
  ];
  it.each(TOO_MUCH)("of %s are refused with %i and what to do", async (_, status, fields, message) => {
    const before = fields().includes('"messages"') ? "" : '"messages":[{"role":"user","content":"hi"}],';
    const response = await local.ask("/chat/completions", `{${before}${fields()}}`);
    expect(response.status).toBe(status);
    expect(await errorOf(response)).toMatchObject({
      code: status === 413 ? "request_too_large" : "invalid_request",
      message: expect.stringMatching(message),
    });
  });

  it("of a thousand tools are taken", async () => {
    const response = await local.ask(
      "/chat/completions",
      `{"messages":[{"role":"user","content":"hi"}],"tools":${tools(1_024)}}`,
    );
    expect(response.status).toBe(200);
  });

  it("over 10 MiB are refused, announced or not", async () => {
    const announced = await rawExchange(
      local.listening.port,
      `POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${LOCAL_KEY}\r\nContent-Length: 10485761\r\nConnection: close\r\n\r\n{`,
    );
    expect(announced).toMatch(/^HTTP\/1\.1 413 /);
    expect(announced).toContain("request_too_large");
    const chunks = new ReadableStream({
      start(controller) {
        for (let index = 0; index < 11; index += 1) controller.enqueue(new Uint8Array(1024 * 1024).fill(0x20));
        controller.close();
      },
    });
    const response = await local.ask("/chat/completions", undefined, {
      method: "POST",
      body: chunks,
      duplex: "half",
    } as RequestInit);
    expect([response.status, (await errorOf(response)).code]).toEqual([413, "request_too_large"]);
  });

  it("just below are taken", async () => {
    await using endpoint = await scriptedEndpoint(({ body }, response) =>
      sendJson(response, 200, { got: JSON.stringify(body).length }),
    );
    await using own = await startGateway({ baseURL: endpoint.baseURL });
    const content = "x".repeat(10 * 1024 * 1024 - 200);
    const response = await own.ask("/chat/completions", { model: "m", messages: [{ role: "user", content }] });
    expect(await response.json()).toMatchObject({ got: expect.any(Number) });
  });
});

describe("what travels on", () => {
  it("is only what the upstream needs: no key, no cookie, no caller", async () => {
    await using endpoint = await scriptedEndpoint((_request, response) => sendJson(response, 200, {}));
    await using own = await startGateway({ baseURL: endpoint.baseURL, apiKey: "gp-brokers-own-key" });
    const headers = {
      cookie: "session=1",
      "x-forwarded-for": "10.0.0.1",
      "user-agent": "secret-agent",
      "idempotency-key": "abc",
      "x-stainless-os": "Linux",
    };
    await own.ask("/chat/completions", chat, { headers });
    const sent = endpoint.seen[0]?.headers ?? {};
    expect(sent).toMatchObject({
      authorization: "Bearer gp-brokers-own-key",
      "content-type": "application/json",
      "idempotency-key": "abc",
    });
    expect(sent["user-agent"]).toMatch(/^zeph\//);
    expect(Object.keys(sent)).not.toEqual(expect.arrayContaining(["cookie"]));
    expect(JSON.stringify(sent)).not.toMatch(/session=1|10\.0\.0\.1|secret-agent|stainless|planted/);
  });

  it("is the caller's own text when nothing has to be changed", async () => {
    let text = "";
    await using endpoint = await scriptedEndpoint(({ body }, response) => {
      text = JSON.stringify(body);
      sendJson(response, 200, {});
    });
    await using own = await startGateway({ baseURL: endpoint.baseURL });
    const body = '{"messages":[{"role":"user","content":"hi"}],"model":"m","top_p":1}';
    await own.ask("/chat/completions", body);
    expect(text).toBe(body);
  });

  it("comes back with a list of headers, the upstream's id under its own name", async () => {
    await using endpoint = await scriptedEndpoint((_request, response) =>
      sendJson(
        response,
        200,
        {},
        {
          "x-request-id": "req_up",
          "set-cookie": "a=1",
          server: "nginx",
          "x-ratelimit-remaining-requests": "9",
          "x-gonka-cost-usd": "0.5",
        },
      ),
    );
    await using own = await startGateway({ baseURL: endpoint.baseURL });
    const { headers } = await own.ask("/chat/completions", chat);
    expect(headers.get("x-upstream-request-id")).toBe("req_up");
    expect(headers.get("x-request-id")).toMatch(/^zeph-/);
    expect(headers.get("x-ratelimit-remaining-requests")).toBe("9");
    expect([headers.get("set-cookie"), headers.get("server")]).toEqual([null, null]);
    expect(own.records[0]).toMatchObject({ upstreamRequestId: "req_up" });
  });

  it("comes back byte for byte", async () => {
    const odd = '{ "choices" : [ ],\n\t"x":"\\u00e4" , "usage":null}\n';
    await using endpoint = await scriptedEndpoint((_request, response) => sendJson(response, 200, odd));
    await using own = await startGateway({ baseURL: endpoint.baseURL });
    expect(await (await own.ask("/chat/completions", chat)).text()).toBe(odd);
  });

  it("comes back whole when it is large, and its break is an error with a status", async () => {
    const large = JSON.stringify({ data: "x".repeat(5 * 1024 * 1024) });
    await using endpoint = await scriptedEndpoint((_request, response, count) => {
      if (count === 1) return sendJson(response, 200, large);
      response.writeHead(200, { "content-type": "application/json" });
      response.write(large.slice(0, 3 * 1024 * 1024), () => response.destroy());
    });
    await using own = await startGateway({ baseURL: endpoint.baseURL });
    expect((await (await own.ask("/chat/completions", chat)).text()).length).toBe(large.length);
    const broken = await own.ask("/chat/completions", chat);
    expect(broken.status).toBe(502);
    expect(await broken.json()).toMatchObject({ error: { code: "stream_cut" } });
    await expect.poll(() => own.records.at(-1)).toMatchObject({ status: 502, errorCode: "stream_cut" });
  });

  it("is an error with a status when a smaller one breaks off", async () => {
    await using endpoint = await scriptedEndpoint((_request, response) => {
      response.writeHead(200, { "content-type": "application/json" });
      response.write('{"choices":[', () => response.destroy());
    });
    await using own = await startGateway({ baseURL: endpoint.baseURL });
    const response = await own.ask("/chat/completions", chat);
    expect([response.status, (await errorOf(response)).code]).toEqual([502, "stream_cut"]);
  });

  it("holds no key that an operator repeats", async () => {
    await using endpoint = await scriptedEndpoint((_request, response) =>
      sendJson(response, 401, {
        error: { message: "Incorrect API key provided: gp-planted-broker-key", code: "invalid_api_key" },
      }),
    );
    await using own = await startGateway({ baseURL: endpoint.baseURL });
    const text = await (await own.ask("/chat/completions", chat)).text();
    expect(text).toContain("Incorrect API key provided: [redacted]");
    expect(text).not.toContain("planted");
  });
});

describe("/ready", () => {
  it("says no while every endpoint cools down", async () => {
    let coolsUntilMs: number | undefined;
    const endpoint = { baseURL: "http://127.0.0.1:1/v1" };
    const status = {
      endpoint,
      label: "x",
      successes: 0,
      failures: 1,
      latencyMs: undefined,
      lastOutcome: "unreachable",
    };
    const upstream = Object.assign(async () => new Response(), {
      baseURL: endpoint.baseURL,
      endpoints: () => [{ ...status, coolsUntilMs }],
    });
    await using own = await startGateway(upstream);
    const ready = async () => (await fetch(`${own.origin}/ready`)).status;
    expect(await ready()).toBe(200);
    coolsUntilMs = 1;
    expect(await ready()).toBe(503);
    expect((await fetch(`${own.origin}/health`)).status).toBe(200);
  });
});

describe("what an upstream answers", () => {
  it.each([
    ["broken off JSON", '{"id":"c1","choices":[{'],
    ["words", "OK"],
    ["nothing", ""],
  ])("an answer of %s is the upstream's failure", async (_, text) => {
    await using endpoint = await scriptedEndpoint((_request, response) => {
      response.writeHead(200, { "content-type": "application/json" }).end(text);
    });
    await using own = await startGateway({ baseURL: endpoint.baseURL });
    const response = await own.ask("/chat/completions", { model: "m", messages: [{ role: "user", content: "x" }] });
    expect([response.status, (await errorOf(response)).code]).toEqual([502, "bad_response"]);
    expect(own.records[0]).toMatchObject({ status: 502, errorCode: "bad_response" });
    expect(endpoint.seen).toHaveLength(1);
  });

  it.each([422, 504, 529])("keeps the status %i of an upstream, in whatever shape it came", async (status) => {
    await using endpoint = await scriptedEndpoint((_request, response) => {
      response.writeHead(status, { "content-type": "text/html" }).end("<html><title>no</title></html>");
    });
    await using own = await startGateway({ baseURL: endpoint.baseURL });
    for (const stream of [false, true]) {
      const request = { model: "m", stream, messages: [{ role: "user", content: "x" }] };
      const response = await own.ask("/chat/completions", request);
      expect(response.status).toBe(status);
      expect((await errorOf(response)).message).not.toContain("<html>");
    }
  });
});

describe("the frames of a stream", () => {
  const body = JSON.stringify({ ...chat, stream: true });
  const post = (version: string, connection: string) =>
    `POST /v1/chat/completions HTTP/${version}\r\nHost: localhost\r\nAuthorization: Bearer ${LOCAL_KEY}\r\n` +
    `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: ${connection}\r\n\r\n${body}`;
  /** What chunks hold, by their sizes; throws for what is no chunk. */
  function unframed(framed: string): string {
    let rest = Buffer.from(framed);
    let content = "";
    for (;;) {
      const at = rest.indexOf("\r\n");
      const size = Number.parseInt(rest.toString("latin1", 0, at), 16);
      if (!(size >= 0) || rest.toString("latin1", at + 2 + size, at + 4 + size) !== "\r\n") throw new Error("no chunk");
      content += rest.toString("utf8", at + 2, at + 2 + size);
      rest = rest.subarray(at + 4 + size);
      if (size === 0) return content;
    }
  }

  it("are not there for a caller that knows none (HTTP/1.0)", async () => {
    const answer = await rawExchange(local.listening.port, post("1.0", "close"));
    const [head = "", content = ""] = answer.split(/\r\n\r\n([\s\S]*)/);
    expect(head).not.toMatch(/transfer-encoding/i);
    expect(content).toMatch(/^(?:: .*\n\n)?data: \{/);
    expect(content.trimEnd()).toMatch(/data: \[DONE\]$/);
  });

  it("are whole for two requests that came one behind the other", async () => {
    const answers = await rawExchange(local.listening.port, post("1.1", "keep-alive") + post("1.1", "close"));
    const [, first = "", second = ""] = answers.split(/HTTP\/1\.1 200 OK\r\n/);
    for (const answer of [first, second]) {
      const content = unframed(answer.slice(answer.indexOf("\r\n\r\n") + 4));
      expect(content).toMatch(/^(?:: .*\n\n)?data: \{/);
      expect(content.trimEnd()).toMatch(/data: \[DONE\]$/);
    }
  });
});
