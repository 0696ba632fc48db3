import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import { Secret } from "../base/secret.ts";
import { manualClock } from "../base/time.ts";
import type { ZephError } from "../errors.ts";
import { errorBehind } from "./exchange.ts";
import { gonkaFetch, withNearestModels } from "./gonka-fetch.ts";
import type { TransportEvent } from "./policy.ts";
import { bearerFor } from "./send.ts";

type Reply = () => Response | Promise<Response>;

/** A connection whose network is a list of replies; what is asked beyond the list fails the test. */
function connect(
  replies: readonly Reply[],
  options: { maxAttempts?: number; totalMs?: number; retryCharged?: boolean } = {},
) {
  const clock = manualClock();
  const requests: Request[] = [];
  const events: TransportEvent[] = [];
  const gonka = gonkaFetch({
    kind: "broker",
    baseURL: "https://api.example",
    apiKey: "gp-planted-key",
    clock,
    random: () => 1,
    onEvent: (event) => events.push(event),
    ...(options.retryCharged === undefined ? {} : { retryCharged: options.retryCharged }),
    ...(options.maxAttempts === undefined ? {} : { maxAttempts: options.maxAttempts }),
    deadlines: { headersMs: 1000, idleMs: 500, totalMs: options.totalMs ?? 60_000 },
    fetch: async (input, init) => {
      const reply = replies[requests.length];
      requests.push(new Request(input, init));
      if (reply === undefined) throw new Error("more requests than expected");
      return reply();
    },
  });
  const send = (init: RequestInit = {}) =>
    gonka("https://api.example/v1/chat/completions", { method: "POST", body: '{"a":1}', ...init });
  return { gonka, send, clock, requests, events };
}

const json =
  (status: number, body: unknown, headers: Record<string, string> = {}) =>
  () =>
    new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json", ...headers } });
const ok = json(200, { ok: true });
const refuse = (code: string) => () =>
  Promise.reject(new TypeError("fetch failed", { cause: Object.assign(new Error(code), { code }) }));

describe("failover", () => {
  it("sends the key, the path and the exact body, and returns the answer", async () => {
    const { send, requests } = connect([ok]);
    const response = await send({ headers: { authorization: "Bearer other", "x-api-key": "z", "x-kept": "1" } });
    expect(await response.json()).toEqual({ ok: true });
    const request = requests[0]!;
    expect(request.url).toBe("https://api.example/v1/chat/completions");
    expect(await request.text()).toBe('{"a":1}');
    expect(request.headers.get("authorization")).toBe("Bearer gp-planted-key");
    expect(request.headers.get("x-api-key")).toBeNull();
    expect(request.headers.get("x-kept")).toBe("1");
  });

  it("rides out two 503 with back-off, and the waits are told", async () => {
    const { send, clock, events } = connect([json(503, {}), json(503, {}), ok]);
    expect((await send()).status).toBe(200);
    expect(clock.sleepsMs).toEqual([500, 1000]);
    expect(events.filter((event) => event.type === "waiting")).toMatchObject([
      { attempt: 2, maxAttempts: 3, delayMs: 500 },
      { attempt: 3, delayMs: 1000 },
    ]);
  });

  it("waits as long as Retry-After says", async () => {
    const { send, clock } = connect([json(429, {}, { "retry-after": "3" }), ok]);
    await send();
    expect(clock.sleepsMs).toEqual([3000]);
  });

  it.each([
    [400, "invalid_request"],
    [401, "invalid_api_key"],
    [402, "insufficient_quota"],
    [403, "forbidden"],
    [404, "wrong_url"],
    [410, "endpoint_gone"],
    [413, "request_too_large"],
  ])("makes exactly one request on %i", async (status, code) => {
    const { send, requests } = connect([json(status, { error: { message: "no" } })]);
    const response = await send();
    expect(requests).toHaveLength(1);
    expect(response.status).toBe(status);
    expect(response.headers.get("x-should-retry")).toBe("false");
    expect(response.headers.get("x-zeph-error-code")).toBe(code);
    expect(await response.json()).toEqual({ error: { message: "no" } });
  });

  it("never waits for money: a billing 429 is final", async () => {
    const { send, requests } = connect([json(429, { error: { message: "x", code: "insufficient_quota" } })]);
    expect((await send()).headers.get("x-zeph-error-code")).toBe("insufficient_quota");
    expect(requests).toHaveLength(1);
  });

  it("gives up after the attempts allowed, with every attempt on record", async () => {
    const { send, requests } = connect([
      json(500, {}, { "x-request-id": "id-1" }),
      refuse("ECONNREFUSED"),
      json(502, {}),
    ]);
    const response = await send();
    expect(requests).toHaveLength(3);
    expect(errorBehind(response)).toMatchObject({
      code: "upstream_error",
      attempts: [{ status: 500, requestId: "id-1" }, { code: "unreachable" }, { status: 502 }],
    });
  });

  it.each([
    ["a reset after the request was sent", refuse("ECONNRESET")],
    ["a connection closed without an answer", refuse("UND_ERR_SOCKET")],
    ["a 504 of a proxy", () => new Response("<html>", { status: 504, headers: { "content-type": "text/html" } })],
    ["a 524 of a proxy", json(524, {})],
  ])("does not send a second time after %s, unless told to", async (_what, reply) => {
    const { send, requests } = connect([reply, ok]);
    const outcome = await send().catch((error: ZephError) => error);
    expect(requests).toHaveLength(1);
    const error = outcome instanceof Response ? errorBehind(outcome) : outcome;
    expect(error).toMatchObject({ charged: "maybe", hint: expect.stringContaining("second charge") });
    const willing = connect([reply, ok], { retryCharged: true });
    expect((await willing.send()).status).toBe(200);
    expect(willing.requests).toHaveLength(2);
  });

  it("asks again for what costs nothing", async () => {
    const { send, requests } = connect([refuse("ECONNRESET"), ok]);
    expect((await send({ method: "GET", body: null })).status).toBe(200);
    expect(requests).toHaveLength(2);
  });

  it.each([422, 500, 504, 520, 529])(
    "answers with the broker's own status, in whatever shape it came: %i",
    async (status) => {
      for (const reply of [
        () => new Response("<html><title>no</title></html>", { status, headers: { "content-type": "text/html" } }),
        () => new Response("no", { status }),
        json(status, ["no"]),
        json(status, { error: { message: "no" } }),
      ]) {
        const { send } = connect([reply, reply, reply]);
        const response = await send();
        expect([
          response.status,
          typeof ((await response.json()) as { error: { message: unknown } }).error.message,
        ]).toEqual([status, "string"]);
      }
    },
  );

  it("names a coding that fetch has left in the answer, which is paid for and not asked for again", async () => {
    const { send, requests } = connect([
      () => new Response("(zstd)", { headers: { "content-encoding": "zstd", "content-type": "application/json" } }),
    ]);
    await expect(send()).rejects.toMatchObject({ code: "bad_response", detail: expect.stringContaining('"zstd"') });
    expect(requests).toHaveLength(1);
  });

  it("does not call a read charged, whatever becomes of its answer", async () => {
    const cut = () =>
      new Response(new ReadableStream({ start: (stream) => stream.error(new Error("cut")) }), { status: 200 });
    const { send, events } = connect([cut]);
    const response = await send({ method: "GET", body: null });
    await expect(response.text()).rejects.toMatchObject({ charged: "no" });
    expect(events).toContainEqual(
      expect.objectContaining({ record: expect.objectContaining({ code: "ok", charged: "no" }) }),
    );
    const coded = connect([() => new Response("x", { headers: { "content-encoding": "odd" } })]);
    await expect(coded.send({ method: "GET", body: null })).rejects.toMatchObject({ charged: "no" });
  });

  it("sends a key without the line's end that came with it from a file", () => {
    expect(bearerFor(new Secret("gp-key\n"), "https://api.example")).toBe("Bearer gp-key");
  });

  it("keeps the error for those who wrap the response", async () => {
    const { send } = connect([json(402, { error: { message: "no" } })]);
    const response = await send();
    const wrapped = new Response(response.body, { status: 402, headers: { "x-more": "1" } });
    expect(errorBehind(wrapped)).toBe(errorBehind(response));
    expect(errorBehind(wrapped)?.code).toBe("insufficient_quota");
    expect(errorBehind(new Response("{}"))).toBeUndefined();
  });

  it("loses nothing of a refusal to which the models there are were added", async () => {
    const missing = { error: { message: "no model x", code: "model_not_found" } };
    const listed = json(200, { data: [{ id: "Other/Model" }] });
    const replies = [refuse("ECONNRESET"), json(404, missing, { "retry-after": "9", "x-request-id": "id-2" }), listed];
    const before = errorBehind(await connect(replies, { retryCharged: true }).send())!;
    const { gonka } = connect(replies, { retryCharged: true });
    const response = await withNearestModels(gonka)(`${gonka.baseURL}/chat/completions`, {
      method: "POST",
      body: '{"model":"x"}',
    });
    const after = errorBehind(response)!;
    expect(before).toMatchObject({ code: "model_not_found", charged: "maybe", retryAfterMs: 9000, requestId: "id-2" });
    expect(after.toJSON()).toEqual({ ...before.toJSON(), hint: expect.stringContaining("Other/Model") });
  });

  it("loses nothing of an error in an answer that had begun", async () => {
    const cut = () =>
      new Response("data: {}\n\n", { headers: { "content-type": "text/event-stream", "x-request-id": "id-3" } });
    const { send } = connect([cut]);
    const reading = (await send()).text();
    await expect(reading).rejects.toMatchObject({ code: "stream_cut", charged: "yes", requestId: "id-3" });
  });

  it("throws when nobody answered", async () => {
    const { send } = connect([refuse("ECONNREFUSED"), refuse("ECONNREFUSED")], { maxAttempts: 2 });
    await expect(send()).rejects.toMatchObject({ code: "unreachable", detail: "api.example: connection refused" });
  });

  it("puts a web page into OpenAI's error shape", async () => {
    const page = () => new Response("<html><title>Wallet</title></html>", { headers: { "content-type": "text/html" } });
    const { send, requests } = connect([page]);
    const response = await send();
    expect(response.status).toBe(502);
    expect(await response.json()).toMatchObject({ error: { code: "wrong_url", type: "zeph_error" } });
    expect(requests).toHaveLength(1);
  });

  it("does not follow a redirect with the key", async () => {
    const location = "https://user:planted@evil.example/v1?token=planted";
    const moved = () => new Response(null, { status: 307, headers: { location } });
    const { send, requests } = connect([moved]);
    const response = await send();
    expect(errorBehind(response)).toMatchObject({ code: "endpoint_moved", detail: "to https://evil.example/v1" });
    expect(response.headers.get("x-zeph-error-code")).toBe("endpoint_moved");
    expect(requests.map(({ url, redirect }) => [new URL(url).host, redirect])).toEqual([["api.example", "manual"]]);
  });

  it("passes the caller's abort on unchanged and does not retry it", async () => {
    const controller = new AbortController();
    const reason = new Error("changed my mind");
    const { send, requests } = connect([
      () => {
        controller.abort(reason);
        return Promise.reject(controller.signal.reason);
      },
    ]);
    await expect(send({ signal: controller.signal })).rejects.toBe(reason);
    expect(requests).toHaveLength(1);
  });

  it("refuses plain http beyond this computer before anything is sent", async () => {
    let asked = 0;
    const gonka = gonkaFetch({
      kind: "broker",
      baseURL: "http://10.1.1.1",
      apiKey: "k",
      fetch: async () => {
        asked += 1;
        return new Response();
      },
    });
    await expect(gonka("http://10.1.1.1/v1/models")).rejects.toMatchObject({ code: "insecure_url" });
    expect(asked).toBe(0);
  });

  it.each(["gp-first\nsecond-half", "gp-\u0431"])(
    "names a key that no header can hold, without repeating it",
    async (apiKey) => {
      const gonka = gonkaFetch({ kind: "broker", baseURL: "https://api.example", apiKey, fetch: async () => ok() });
      const error = await gonka("https://api.example/v1/models").catch((thrown) => thrown);
      expect(error).toMatchObject({ code: "invalid_api_key" });
      expect(inspect(error, { depth: 9 })).not.toMatch(/gp-|second-half/);
    },
  );

  it("stops retrying for everybody when the budget is used up", async () => {
    const { send, requests } = connect(
      Array.from({ length: 1000 }, () => refuse("ECONNREFUSED")),
      { maxAttempts: 1000, totalMs: 3_600_000 },
    );
    await expect(send()).rejects.toBeInstanceOf(Error);
    expect(requests.length).toBeLessThan(1000);
  });
});

describe("deadlines", () => {
  it("tells a timeout before the headers, retries it elsewhere or again, and names it", async () => {
    const clock = manualClock(0, "manual");
    let asked = 0;
    const gonka = gonkaFetch({
      kind: "broker",
      baseURL: "https://api.example",
      apiKey: "k",
      clock,
      maxAttempts: 1,
      deadlines: { headersMs: 1000 },
      fetch: (_input, init) => {
        asked += 1;
        return new Promise((_resolve, reject) =>
          init?.signal?.addEventListener("abort", () => reject(init.signal?.reason)),
        );
      },
    });
    const sending = gonka("https://api.example/v1/models");
    const outcome = expect(sending).rejects.toMatchObject({
      code: "timeout_headers",
      detail: "api.example: after 1 s",
    });
    await new Promise(setImmediate);
    await clock.advance(1000);
    await outcome;
    expect(asked).toBe(1);
    expect(clock.pendingTimers).toBe(0);
  });

  it.each([
    ["keeps a slow stream that goes on", 400, undefined],
    ["ends a stalled one", 600, "timeout_idle"],
  ])("%s", async (_what, gapMs, code) => {
    const clock = manualClock(0, "manual");
    let controller: ReadableStreamDefaultController<Uint8Array> | undefined;
    const body = new ReadableStream<Uint8Array>({
      start(given) {
        controller = given;
      },
    });
    const errors: ZephError[] = [];
    const gonka = gonkaFetch({
      kind: "broker",
      baseURL: "https://api.example",
      apiKey: "k",
      clock,
      deadlines: { headersMs: 100, idleMs: 500, totalMs: 100_000 },
      onEvent: (event) => event.type === "gave-up" && errors.push(event.error),
      fetch: async (_input, init) => {
        init?.signal?.addEventListener("abort", () => controller?.error(init.signal?.reason));
        return new Response(body, { headers: { "content-type": "text/event-stream" } });
      },
    });
    const response = await gonka("https://api.example/v1/models");
    const reading = response.text().then(
      () => undefined,
      (error: ZephError) => error.code,
    );
    for (let i = 0; i < 10; i += 1) {
      await new Promise(setImmediate);
      await clock.advance(gapMs);
      if (errors.length > 0) break;
      controller?.enqueue(new TextEncoder().encode(i === 9 ? "data: [DONE]\n\n" : "data: {}\n\n"));
    }
    if (code === undefined) controller?.close();
    expect(await reading).toBe(code);
    expect(errors.map((error) => error.code)).toEqual(code === undefined ? [] : [code]);
    expect(clock.pendingTimers).toBe(0);
  });

  it("gives the first chunk as long as the headers: some endpoints think after they sent them", async () => {
    const clock = manualClock(0, "manual");
    let controller: ReadableStreamDefaultController<Uint8Array> | undefined;
    const body = new ReadableStream<Uint8Array>({
      start(given) {
        controller = given;
      },
    });
    const gonka = gonkaFetch({
      kind: "broker",
      baseURL: "https://api.example",
      apiKey: "k",
      clock,
      deadlines: { headersMs: 2000, idleMs: 500, totalMs: 100_000 },
      fetch: async () => new Response(body, { headers: { "content-type": "text/event-stream" } }),
    });
    const response = await gonka("https://api.example/v1/models");
    const reading = response.text();
    await new Promise(setImmediate);
    await clock.advance(1900);
    controller?.enqueue(new TextEncoder().encode("data: [DONE]\n\n"));
    controller?.close();
    expect(await reading).toContain("[DONE]");
  });

  it("keeps a refusal whose words come too slowly: its status is known", async () => {
    const clock = manualClock(0, "manual");
    const gonka = gonkaFetch({
      kind: "broker",
      baseURL: "https://api.example",
      apiKey: "k",
      clock,
      deadlines: { headersMs: 300, idleMs: 5000, totalMs: 400 },
      fetch: async () => new Response(new ReadableStream({ pull: () => new Promise(() => {}) }), { status: 401 }),
    });
    const sent = gonka("https://api.example/v1/chat/completions", { method: "POST", body: "{}" });
    await new Promise(setImmediate);
    await clock.advance(500);
    const response = await sent;
    expect(response.status).toBe(401);
    expect(errorBehind(response)).toMatchObject({ status: 401, charged: "no" });
  });

  it("does not begin a wait that the total deadline would cut: the last word is worth more", async () => {
    const { send, clock } = connect(
      Array.from({ length: 50 }, () => json(503, {}, { "retry-after": "50" })),
      { maxAttempts: 50, totalMs: 60_000 },
    );
    expect((await send()).status).toBe(503);
    expect(clock.sleepsMs).toEqual([50_000]);
  });
});
