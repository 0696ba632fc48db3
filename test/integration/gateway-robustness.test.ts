import { once } from "node:events";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { manualClock } from "../../src/base/time.ts";
import { listen, localGateway } from "../../src/gateway/index.ts";
import { type Sandbox, startSandbox } from "../../src/sandbox/index.ts";
import { gonkaFetch } from "../../src/transport/gonka-fetch.ts";
import { thrownBy } from "../support/thrown-by.ts";
import { DONE, scriptedEndpoint, sendEvents, sendJson } from "./ai-sdk-scripted-endpoint.ts";
import {
  CHAT,
  type GatewayWorld,
  HELLO,
  LOCAL_KEY,
  openSocket,
  rawExchange,
  startGateway,
  until,
} from "./gateway-world.ts";

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await startSandbox();
});
afterAll(() => sandbox.stop());
afterEach(() => sandbox.broker.faults.clear());

const broker = () => ({ baseURL: sandbox.broker.baseURL, apiKey: sandbox.broker.keys.good });
const chat = { model: CHAT, messages: HELLO };
const HEAD = `Host: localhost\r\nAuthorization: Bearer ${LOCAL_KEY}\r\n`;

describe("connections that say nothing", () => {
  it("a thousand of them, silent or half way through their headers, stop nobody and go away", async () => {
    await using local = await startGateway(broker(), {}, { headersTimeoutMs: 2_000 });
    const sockets = await Promise.all(
      Array.from({ length: 1000 }, async (_, index) => {
        const socket = await openSocket(local.listening.port);
        socket.on("error", () => {});
        socket.resume();
        if (index % 2 === 0) socket.write("POST /v1/chat/completions HTTP/1.1\r\nHost: local");
        return socket;
      }),
    );
    const answers = await Promise.all(Array.from({ length: 20 }, () => local.ask("/chat/completions", chat)));
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 20 }, () => 200));
    await until(() => sockets.every(({ closed }) => closed));
    expect((await local.ask("/models")).status).toBe(200);
  });

  it("a body that never ends is given up on", async () => {
    await using local = await startGateway(broker(), {}, { headersTimeoutMs: 300, requestTimeoutMs: 300 });
    const answer = await rawExchange(
      local.listening.port,
      `POST /v1/chat/completions HTTP/1.1\r\n${HEAD}Content-Length: 500\r\n\r\n{"model"`,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 408 |^$/);
    await until(() => local.gateway.inFlight === 0);
  });

  it("make room for those that speak when there are more than are allowed", async () => {
    await using local = await startGateway(broker(), {}, { maxConnections: 5 });
    const sockets = await Promise.all(Array.from({ length: 20 }, () => openSocket(local.listening.port)));
    for (const socket of sockets) socket.on("error", () => {}).resume();
    await until(() => sockets.filter(({ closed }) => closed).length === 15);
    expect((await local.ask("/models")).status).toBe(200);
    await until(() => sockets.filter(({ closed }) => closed).length === 16);
    for (const socket of sockets) socket.destroy();
  });

  it("are closed where every other has a request under way", async () => {
    await using local = await startGateway(broker(), {}, { maxConnections: 2 });
    sandbox.broker.faults.next({ kind: "hang-mid-stream", afterFrames: 1 }, 2);
    const leaving = new AbortController();
    const [first, second] = await Promise.all(
      [1, 2].map(() => local.ask("/chat/completions", { ...chat, stream: true }, { signal: leaving.signal })),
    );
    expect([first?.status, second?.status]).toEqual([200, 200]);
    const third = (await openSocket(local.listening.port)).on("error", () => {}).resume();
    await until(() => third.closed);
    leaving.abort();
    await until(async () => (await local.ask("/models").catch(() => undefined))?.status === 200);
  });
});

describe("what is no HTTP, or odd HTTP", () => {
  it.each<[string, string, RegExp]>([
    ["noise", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", /^HTTP\/1\.1 400 /],
    ["no Host", "GET /health HTTP/1.1\r\n\r\n", /^HTTP\/1\.1 400 /],
    [
      "a host that is none",
      "GET /health HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n",
      /^HTTP\/1\.1 (?:400|403) /,
    ],
    ["huge headers", `GET /health HTTP/1.1\r\nHost: localhost\r\nX: ${"x".repeat(40_000)}\r\n\r\n`, /^HTTP\/1\.1 431 /],
    [
      "two lengths",
      `POST /v1/chat/completions HTTP/1.1\r\n${HEAD}Content-Length: 5\r\nContent-Length: 6\r\n\r\n{}`,
      /^HTTP\/1\.1 400 /,
    ],
    [
      "length and chunks",
      `POST /v1/chat/completions HTTP/1.1\r\n${HEAD}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
      /^HTTP\/1\.1 400 /,
    ],
    [
      "another host in the line",
      `GET http://evil.example/v1/models HTTP/1.1\r\n${HEAD}Connection: close\r\n\r\n`,
      /^HTTP\/1\.1 200 /,
    ],
    [
      "dots in the path",
      `GET /v1/../metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`,
      /^HTTP\/1\.1 401 /,
    ],
    ["a method nobody knows", `PURGE /v1/models HTTP/1.1\r\n${HEAD}Connection: close\r\n\r\n`, /^HTTP\/1\.1 40[05] /],
    [
      "an upgrade",
      `GET /v1/models HTTP/1.1\r\n${HEAD}Connection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n`,
      /^HTTP\/1\.1 200 /,
    ],
  ])("%s is answered, and the next request too", async (_, request, expected) => {
    await using local = await startGateway(broker());
    const socket = await openSocket(local.listening.port);
    let answer = "";
    socket.setEncoding("utf8").on("data", (piece) => {
      answer += piece;
    });
    socket.on("error", () => {});
    socket.write(request, "latin1");
    await until(() => expected.test(answer) || socket.closed);
    expect(answer).toMatch(expected);
    socket.destroy();
    expect((await local.ask("/models")).status).toBe(200);
  });

  it("two requests in one packet are both answered, in order", async () => {
    await using local = await startGateway(broker());
    const body = JSON.stringify(chat);
    const post = `POST /v1/chat/completions HTTP/1.1\r\n${HEAD}Content-Length: ${body.length}\r\n\r\n${body}`;
    const answer = await rawExchange(
      local.listening.port,
      `${post}GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`,
    );
    expect(answer.match(/HTTP\/1\.1 200/g)).toHaveLength(2);
    expect(answer.indexOf("chat.completion")).toBeLessThan(answer.indexOf('{"status":"ok"}'));
  });
});

describe("callers who leave", () => {
  it("at every moment of a stream leave nothing behind", async () => {
    const CALLERS = 60;
    const controllers = Array.from({ length: CALLERS }, () => new AbortController());
    // The endpoint makes caller number n leave after n frames: before the headers, between frames, and late.
    await using endpoint = await scriptedEndpoint(async ({ body }, response) => {
      const number = Number(body.user);
      if (number > 0) response.writeHead(200, { "content-type": "text/event-stream" });
      for (let index = 0; index < number; index += 1) {
        response.write(`data: {"choices":[{"index":0,"delta":{"content":"${index}"}}]}\n\n`);
        await new Promise((resolve) => setImmediate(resolve));
      }
      controllers[number]?.abort();
    });
    await using local = await startGateway({ baseURL: endpoint.baseURL });
    await Promise.all(
      controllers.map(async ({ signal }, index) => {
        const request = local.ask("/chat/completions", { ...chat, stream: true, user: String(index) }, { signal });
        await expect(request.then((response) => response.text())).rejects.toThrow();
      }),
    );
    await until(() => local.records.length === CALLERS);
    expect(local.records.map(({ outcome }) => outcome)).toEqual(controllers.map(() => "caller-left"));
    expect(await Promise.all(endpoint.seen.map(({ brokenOff }) => brokenOff))).toEqual(controllers.map(() => true));
    expect(local.gateway.inFlight).toBe(0);
  });
});

describe("large bodies", () => {
  it("more of them at once than memory allows are asked to come back, and do no harm", async () => {
    const waiting: (() => void)[] = [];
    await using endpoint = await scriptedEndpoint(async (_request, response) => {
      await new Promise<void>((resolve) => waiting.push(resolve));
      response.writeHead(200, { "content-type": "application/json" }).end("{}");
    });
    await using local = await startGateway({ baseURL: endpoint.baseURL });
    const body = JSON.stringify({ ...chat, messages: [{ role: "user", content: "x".repeat(9 * 1024 * 1024) }] });
    const answers = Array.from({ length: 16 }, () => local.ask("/chat/completions", body));
    // 14 of 9 MiB are 126 MiB; two more would be too much.
    await until(() => local.records.length === 2 && waiting.length === 14);
    for (const go of waiting) go();
    const statuses = (await Promise.all(answers)).map(({ status }) => status).sort();
    expect(statuses).toEqual([...Array.from({ length: 14 }, () => 200), 503, 503]);
    expect(local.records[0]).toMatchObject({ status: 503, errorCode: "service_unavailable" });
    const small = local.ask("/chat/completions", chat);
    await until(() => waiting.length === 15);
    waiting[14]?.();
    expect((await small).status).toBe(200);
  });
});

describe("stopping", () => {
  it("lets answers under way end, refuses new ones, and says not ready", async () => {
    let release = () => {};
    await using endpoint = await scriptedEndpoint(async (_request, response) => {
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      sendEvents(response, [DONE]);
    });
    const local = await startGateway({ baseURL: endpoint.baseURL });
    const idle = await openSocket(local.listening.port);
    const kept = await openSocket(local.listening.port);
    kept.setEncoding("utf8");
    const body = JSON.stringify({ ...chat, stream: true });
    kept.write(`POST /v1/chat/completions HTTP/1.1\r\n${HEAD}Content-Length: ${body.length}\r\n\r\n${body}`);
    await until(() => endpoint.seen.length === 1);
    const closed = local.listening.close();
    await once(idle.resume(), "close");
    expect(await local.gateway(new Request("http://127.0.0.1/ready")).then(({ status }) => status)).toBe(503);
    const headers = { authorization: `Bearer ${LOCAL_KEY}` };
    const refused = await local.gateway(new Request("http://127.0.0.1/v1/models", { headers }));
    expect(await refused.json()).toMatchObject({ error: { code: "service_unavailable" } });
    await expect(fetch(`${local.origin}/health`)).rejects.toThrow();
    release();
    let answer = "";
    for await (const piece of kept) answer += String(piece);
    expect(answer).toContain("[DONE]");
    expect(answer.toLowerCase()).toContain("connection: close");
    await closed;
  });

  it("ends what does not end by itself after the time given, and the upstream hears of it", async () => {
    await using endpoint = await scriptedEndpoint(() => {});
    const local = await startGateway({ baseURL: endpoint.baseURL });
    const pending = local.ask("/chat/completions", chat).catch((error: unknown) => error);
    await until(() => endpoint.seen.length === 1);
    await local.listening.close({ graceMs: 50 });
    expect(await pending).toBeInstanceOf(Error);
    expect(await endpoint.seen[0]?.brokenOff).toBe(true);
  });

  it("gives the port back", async () => {
    const first = await startGateway(broker());
    const { port } = first.listening;
    await expect(startGateway(broker(), {}, { port })).rejects.toMatchObject({
      code: "usage",
      detail: expect.stringContaining("EADDRINUSE"),
    });
    await first[Symbol.asyncDispose]();
    await using second = await startGateway(broker(), {}, { port });
    expect((await second.ask("/models")).status).toBe(200);
  });
});

describe("secrets", () => {
  it("are in no log, no metric and no answer", async () => {
    await using local = await startGateway(broker(), { providerName: "box", defaultModel: CHAT });
    const { good } = sandbox.broker.keys;
    const answers = await Promise.all([
      local.ask("/chat/completions", chat),
      local.ask("/chat/completions", { ...chat, stream: true }),
      local.ask("/chat/completions", { ...chat, model: good }),
      local.ask("/chat/completions", { ...chat, [LOCAL_KEY]: 1 }),
      local.ask(`/models/${good}`),
      local.ask("/chat/completions", {
        ...chat,
        messages: [{ role: "user", content: "the planted prompt" }],
        user: LOCAL_KEY,
      }),
      local.ask(`/${LOCAL_KEY}?key=${good}`),
      fetch(`${local.baseURL}/models`, { headers: { "x-api-key": good } }),
    ]);
    const texts = await Promise.all(answers.slice(0, 5).map((response) => response.text()));
    await Promise.all(answers.slice(5).map((response) => response.text()));
    const headers = answers.map((response) => JSON.stringify([...response.headers]));
    const metrics = await (await fetch(`${local.origin}/metrics`, { headers: { "x-api-key": LOCAL_KEY } })).text();
    const everything = [...texts, ...headers, metrics, local.log()].join("\n");
    for (const secret of [LOCAL_KEY, good, good.slice(3, 20), "the planted prompt"])
      expect(everything).not.toContain(secret);
    expect(local.log()).toContain("[redacted]");
  });
});

describe("metrics", () => {
  it("tell what happened, in Prometheus' form", async () => {
    await using local = await startGateway(broker(), { providerName: 'my "box"' });
    await (await local.ask("/chat/completions", chat)).text();
    await (
      await local.ask("/chat/completions", { ...chat, stream: true, tags: [], stream_options: { include_usage: true } })
    ).text();
    await local.ask("/chat/completions", "{");
    local.gateway.observe({ type: "attempt-started", attempt: 2, endpoint: "x", signed: false });
    local.gateway.observe({
      type: "attempt-ended",
      attempt: 2,
      record: { endpoint: "x", code: "ok", elapsedMs: 1, charged: "yes" },
    });
    const response = await fetch(`${local.origin}/metrics`, { headers: { authorization: `Bearer ${LOCAL_KEY}` } });
    expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
    const text = await response.text();
    for (const line of text.trimEnd().split("\n"))
      expect(line).toMatch(/^(?:# (?:HELP|TYPE) zeph_\w+ .+|zeph_\w+(?:\{(?:\w+="(?:[^"\\]|\\.)*",?)+\})? [\d.e+-]+)$/);
    expect(text).toContain(`zeph_requests_total{route="chat",provider="my \\"box\\"",model="${CHAT}",status="200"} 2`);
    expect(text).toContain('zeph_requests_total{route="chat",provider="my \\"box\\"",model="",status="400"} 1');
    expect(text).toContain('zeph_removed_parameters_total{parameter="tags"} 1');
    expect(text).toMatch(/zeph_tokens_total\{[^}]*direction="completion"\} [1-9]/);
    expect(text).toMatch(/zeph_cost_usd_total\{[^}]*\} 0\.0/);
    expect(text).toContain('zeph_upstream_retries_total{provider="my \\"box\\""} 1');
    expect(text).toContain('zeph_endpoints{state="usable"} 1');
    const buckets = [...text.matchAll(/zeph_request_duration_seconds_bucket\{route="chat"[^}]*\} (\d+)/g)].map(
      ([, count]) => Number(count),
    );
    expect(buckets).toEqual([...buckets].sort((a, b) => a - b));
    expect(buckets.at(-1)).toBe(3);
    expect(text).not.toMatch(/127\.0\.0\.1|gonka1/);
  });
});

describe("an upstream that lies", () => {
  const answer = (usage: object, headers: Record<string, string> = {}) =>
    scriptedEndpoint((_, response) => {
      for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
      sendJson(response, 200, {
        object: "chat.completion",
        choices: [{ index: 0, message: { role: "assistant", content: "x" }, finish_reason: "stop" }],
        usage,
      });
    });
  const metricsOf = async (local: GatewayWorld) =>
    (await fetch(`${local.origin}/metrics`, { headers: { authorization: `Bearer ${LOCAL_KEY}` } })).text();

  it.each([-1, 1e300, 1e7, 0.5, "12", Number.MAX_SAFE_INTEGER])("about tokens is not counted: %s", async (count) => {
    await using endpoint = await answer({ prompt_tokens: count, completion_tokens: count });
    await using local = await startGateway({ baseURL: endpoint.baseURL });
    await (await local.ask("/chat/completions", chat)).text();
    expect(local.records[0]?.usage).toEqual(count === 1e7 ? { promptTokens: 1e7, completionTokens: 1e7 } : {});
  });

  it.each<[string, object, Record<string, string>]>([
    ["in the body", { total_cost_usd: 1e12 }, {}],
    ["in the body, below nothing", { total_cost_usd: -5 }, {}],
    ["in cents", { total_cost_cents: 1e300 }, {}],
    ["in parts", { base_cost_usd: 90, platform_fee_usd: 90 }, {}],
    ["in a header", {}, { "x-cost-usd": "1e308" }],
    ["as text", { cost_usd: "1e999" }, {}],
  ])("about costs is not counted: %s", async (_, usage, headers) => {
    await using endpoint = await answer({ prompt_tokens: 1, ...usage }, headers);
    await using local = await startGateway({ baseURL: endpoint.baseURL });
    await (await local.ask("/chat/completions", chat)).text();
    expect(local.records[0]?.usage).toEqual({ promptTokens: 1 });
    expect(await metricsOf(local)).not.toMatch(/zeph_cost_usd_total\{/);
  });

  it("cannot speak in zeph's name, at any door, with an answer, a stream or a refusal", async () => {
    await using endpoint = await scriptedEndpoint(({ path, body }, response) => {
      response.setHeader("x-zeph-error-code", "local_key_refused");
      response.setHeader("x-zeph-fallback-provider", "somebody-else");
      response.setHeader("x-zeph-removed-params", "messages");
      response.setHeader("X-Zeph-Made-Up", "1");
      if (body.stream === true) response.setHeader("content-type", "text/event-stream").end("data: [DONE]\n\n");
      else
        sendJson(response, path.endsWith("/models") ? 200 : body.user === "bad" ? 418 : 200, { data: [], choices: [] });
    });
    await using local = await startGateway({ baseURL: endpoint.baseURL });
    const direct = gonkaFetch({ kind: "broker", baseURL: endpoint.baseURL, apiKey: "gp-planted", maxAttempts: 1 });
    const ask = (body: object) => ({
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    const answers = [
      await local.ask("/chat/completions", chat),
      await local.ask("/chat/completions", { ...chat, stream: true }),
      await local.ask("/chat/completions", { ...chat, user: "bad" }),
      await local.ask("/models"),
      await direct(`${direct.baseURL}/models`),
      await direct(`${direct.baseURL}/chat/completions`, ask({ ...chat, stream: true })),
      await direct(`${direct.baseURL}/chat/completions`, ask({ ...chat, user: "bad" })),
    ];
    for (const response of answers) {
      await response.text();
      const own = [...response.headers].filter(([name]) => name.startsWith("x-zeph-"));
      expect(own.filter(([name]) => name !== "x-zeph-error-code")).toEqual([]);
      expect(response.headers.get("x-zeph-error-code")).not.toBe("local_key_refused");
    }
    expect(local.records.every(({ fallbackProvider }) => fallbackProvider === undefined)).toBe(true);
  });

  it.each([
    ["a million nested lists", () => `{"data":${"[".repeat(1_000_000)}${"]".repeat(1_000_000)}}`],
    [
      "a million fields",
      () => `{"data":[{"id":"m"}],${Array.from({ length: 1_000_000 }, (_, i) => `"f${i}":1`).join(",")}}`,
    ],
    ["a million empty objects", () => `{"data":[${"{},".repeat(1_000_000)}{}]}`],
  ])("in a list of models that holds %s is not read", async (_, body) => {
    await using endpoint = await scriptedEndpoint((_, response) => void response.end(body()));
    await using local = await startGateway({ baseURL: endpoint.baseURL });
    const response = await local.ask("/models");
    expect([response.status, response.headers.get("x-zeph-error-code")]).toEqual([502, "bad_response"]);
  });

  it("and callers that make up models do not add to the labels of metrics", async () => {
    await using endpoint = await scriptedEndpoint((_, response) => sendJson(response, 200, { choices: [] }));
    await using local = await startGateway(
      { baseURL: endpoint.baseURL },
      { defaultModel: "own/Model-1", aliases: { a: "Тест" } },
    );
    for (let index = 0; index < 60; index += 1)
      await (await local.ask("/chat/completions", { ...chat, model: `made-up-${index}` })).text();
    for (const model of ['x"} 9\nevil{a="', "a b", "\u202eabc", "x".repeat(500), "own/Model-1", "a"])
      await (await local.ask("/chat/completions", { ...chat, model })).text();
    const text = await metricsOf(local);
    const models = new Set([...text.matchAll(/model="((?:[^"\\]|\\.)*)"/g)].map(([, model]) => model));
    expect(models.size).toBeLessThan(40);
    for (const own of ["own/Model-1", "Тест", "other"]) expect(models).toContain(own);
    expect(text).not.toMatch(/evil|\u202e|xxxxx/);
  });
});

describe("as a plain function", () => {
  const upstream = Object.assign(async () => Response.json({ object: "list", data: [{ id: "m" }] }), {
    baseURL: "http://127.0.0.1:1/v1",
    endpoints: () => [],
  });
  it("needs no server", async () => {
    const gateway = localGateway({ upstream, key: "none", clock: manualClock() });
    const response = await gateway(new Request("http://localhost/v1/models"));
    expect(await response.json()).toMatchObject({ data: [{ id: "m" }] });
    expect((await gateway(new Request("http://evil.example/v1/models"))).status).toBe(403);
  });

  it("streams, and a reader that cancels stops the upstream", async () => {
    let cancelled = false;
    const body = new ReadableStream({
      pull: (controller) => controller.enqueue(new TextEncoder().encode("data: {}\n\n")),
      cancel: () => {
        cancelled = true;
      },
    });
    const streaming = Object.assign(
      async () => new Response(body, { headers: { "content-type": "text/event-stream" } }),
      { baseURL: "http://127.0.0.1:1/v1", endpoints: () => [] },
    );
    const gateway = localGateway({ upstream: streaming, key: "none" });
    const request = new Request("http://localhost/v1/chat/completions", {
      method: "POST",
      body: JSON.stringify({ ...chat, stream: true }),
    });
    const reader = (await gateway(request)).body?.getReader();
    expect(Buffer.from((await reader?.read())?.value ?? []).toString()).toBe("data: {}\n\n");
    await reader?.cancel();
    expect(cancelled).toBe(true);
    expect(gateway.inFlight).toBe(0);
  });

  it("listens on an address that is there only", async () => {
    const gateway = localGateway({ upstream, key: "none" });
    const error = await listen(gateway, { port: 0, hostname: "192.0.2.1" }).catch((thrown) => thrown);
    expect(
      thrownBy(() => {
        throw error;
      }),
    ).toMatchObject({ code: "usage" });
  });
});
