import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { manualClock } from "../../src/base/time.ts";

import type { ZephError } from "../../src/errors.ts";
import { type Fault, type Sandbox, type SandboxKeys, startSandbox } from "../../src/sandbox/index.ts";
import { errorBehind } from "../../src/transport/exchange.ts";
import { gonkaFetch, withNearestModels } from "../../src/transport/gonka-fetch.ts";

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await startSandbox({ broker: { retryAfterSeconds: 7 } });
});
afterAll(() => sandbox.stop());
beforeEach(() => sandbox.broker.faults.clear());

/** Sends one chat through the connection and says how it ended, as a user of the library would see it. */
async function chat(key: string, body: object = {}, maxAttempts = 3) {
  const clock = manualClock();
  const before = sandbox.broker.requests.length;
  let error: ZephError | undefined;
  const gonka = gonkaFetch({
    kind: "broker",
    baseURL: sandbox.broker.baseURL,
    apiKey: key,
    clock,
    maxAttempts,
    random: () => 1,
    onEvent: (event) => {
      if (event.type === "gave-up") error = event.error;
    },
  });
  const messages = [{ role: "user", content: "say hello" }];
  const text = await gonka(`${gonka.baseURL}/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: sandbox.broker.models[0]?.id, messages, ...body }),
  }).then(
    (response) => response.text().catch(String),
    (thrown: unknown) => String(thrown),
  );
  return { error, text, requests: sandbox.broker.requests.length - before, sleepsMs: clock.sleepsMs };
}

describe("a key the broker refuses", () => {
  const rows: readonly (readonly [keyof SandboxKeys, string, number, RegExp])[] = [
    ["wrong", "invalid_api_key", 1, /zeph (?:init|vault set)/],
    ["management", "management_key", 1, /ordinary API key/],
    ["disabled", "account_not_ready", 1, /check that account and key are active/],
    ["unverified", "account_not_ready", 1, /verify the e-mail/],
    ["outOfMoney", "insufficient_quota", 1, /top up/i],
    ["rateLimited", "rate_limited", 3, /Wait as long/],
  ];
  it.each(rows)("%s: %s after %i request(s)", async (kind, code, requests, hint) => {
    const key = sandbox.broker.keys[kind];
    const result = await chat(key);
    expect(result).toMatchObject({ error: { code }, requests });
    expect(result.error?.hint).toMatch(hint);
    expect(JSON.stringify(result.error)).not.toContain(key);
  });

  it("waits as long as the broker asks before it tries again", async () => {
    expect((await chat(sandbox.broker.keys.rateLimited)).sleepsMs).toEqual([7000, 7000]);
  });
});

describe("a request the broker or its network refuses", () => {
  const rows: readonly (readonly [string, object, string, RegExp])[] = [
    ["an unknown model", { model: "no/such-model" }, "model_not_found", /zeph models/],
    ["a model in other letter case", { model: "SANDBOX/ECHO-1" }, "model_not_found", /letter case/],
    ["a parameter off the list", { tags: ["a"] }, "parameter_rejected", /tags/],
    [
      "a prompt beyond the window",
      { model: "sandbox/Tiny-1", messages: [{ role: "user", content: "word ".repeat(3000) }] },
      "context_length",
      /Shorten/,
    ],
    ["a bad message", { messages: [{ role: "moderator", content: "x" }] }, "invalid_request", /names in its message/],
    ["more than 10 MiB", { user: "x".repeat(10_485_761) }, "request_too_large", /10 MiB/],
  ];
  it.each(rows)("%s", async (_what, body, code, hint) => {
    const result = await chat(sandbox.broker.keys.good, body);
    expect(result).toMatchObject({ error: { code }, requests: 1 });
    expect(result.error?.hint).toMatch(hint);
  });
});

describe("a broker in trouble", () => {
  const rows: readonly (readonly [string, Fault, string, number])[] = [
    ["500", { kind: "status", status: 500 }, "upstream_error", 3],
    ["502 page of a proxy", { kind: "html-page", status: 502 }, "upstream_error", 3],
    ["503", { kind: "status", status: 503, code: "service_unavailable" }, "service_unavailable", 3],
    ["504", { kind: "status", status: 504 }, "upstream_error", 1],
    [
      "429 of capacity",
      { kind: "status", status: 429, code: "transfer_agent_capacity_reached" },
      "capacity_reached",
      3,
    ],
    ["402", { kind: "status", status: 402 }, "insufficient_quota", 1],
    ["409", { kind: "status", status: 409 }, "conflict", 1],
    ["410", { kind: "status", status: 410 }, "endpoint_gone", 1],
    ["a connection closed without an answer", { kind: "refuse" }, "unreachable", 1],
    ["a connection reset", { kind: "refuse", how: "reset" }, "unreachable", 1],
    ["a web page with 200", { kind: "html-page", status: 200 }, "wrong_url", 1],
    [
      "a redirect to another host",
      { kind: "redirect", location: "http://127.0.0.2:9/v1/chat/completions" },
      "endpoint_moved",
      1,
    ],
    ["308 with a new address", { kind: "moved", newUrl: "https://other.example/v1" }, "endpoint_moved", 1],
    ["a Retry-After of an hour", { kind: "status", status: 429, retryAfter: "3600" }, "rate_limited", 1],
  ];
  it.each(rows)("%s", async (_what, fault, code, requests) => {
    sandbox.broker.faults.always(fault);
    const result = await chat(sandbox.broker.keys.good);
    expect(result).toMatchObject({ error: { code }, requests });
    expect(result.error?.hint).not.toBe("");
    expect(result.error?.attempts).toHaveLength(requests);
  });

  it("does not offer an empty list when the model it refuses is on it", async () => {
    sandbox.broker.faults.next({ kind: "status", status: 404, code: "model_not_found" }, 1);
    const gonka = withNearestModels(
      gonkaFetch({ kind: "broker", baseURL: sandbox.broker.baseURL, apiKey: sandbox.broker.keys.good }),
    );
    const response = await gonka(`${gonka.baseURL}/chat/completions`, {
      method: "POST",
      body: JSON.stringify({ model: sandbox.broker.models[0]?.id, messages: [{ role: "user", content: "hi" }] }),
    });
    expect(errorBehind(response)).toMatchObject({
      code: "model_not_found",
      hint: expect.stringMatching(/lists it all the same/),
    });
  });

  it("answers after two failures as if nothing had been", async () => {
    sandbox.broker.faults.next({ kind: "status", status: 503 }, 2);
    const result = await chat(sandbox.broker.keys.good);
    expect(result.error).toBeUndefined();
    expect(result.text).toContain("hello");
    expect(result.requests).toBe(3);
  });
});

describe("a stream in trouble", () => {
  const rows: readonly (readonly [string, Fault, string | undefined])[] = [
    ["cut in the middle", { kind: "cut", afterFrames: 2 }, "stream_cut"],
    ["reset in the middle", { kind: "cut", afterFrames: 2, how: "reset" }, "stream_cut"],
    ["ended without [DONE]", { kind: "no-done" }, "stream_cut"],
    ["one endless line", { kind: "oversized", of: "line", bytes: 6 * 1024 * 1024 }, "response_too_large"],
    ["dripping bytes", { kind: "drip", chunkBytes: 64, delayMs: 0 }, undefined],
    ["CRLF lines", { kind: "crlf" }, undefined],
    ["comments between events", { kind: "comments" }, undefined],
    ["usage only", { kind: "usage-only" }, undefined],
  ];
  it.each(rows)("%s", async (_what, fault, code) => {
    sandbox.broker.faults.always(fault);
    const result = await chat(sandbox.broker.keys.good, { stream: true });
    expect(result.error?.code).toBe(code);
    expect(result.requests).toBe(1);
  });
});

it("keeps every key out of the sandbox's own log", () => {
  const log = JSON.stringify(sandbox.broker.requests);
  for (const key of Object.values(sandbox.broker.keys)) expect(log).not.toContain(key);
});
