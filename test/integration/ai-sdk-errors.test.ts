import { APICallError, embed, generateText, jsonSchema, Output, streamText } from "ai";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { createGonka, type GonkaProvider, toZephError } from "../../src/ai-sdk/index.ts";
import { manualClock } from "../../src/base/time.ts";
import type { ZephError, ZephErrorCode } from "../../src/errors.ts";
import { type KeyKind, type Sandbox, startSandbox } from "../../src/sandbox/index.ts";
import { gonkaFetch } from "../../src/transport/gonka-fetch.ts";
import {
  DONE,
  fixtureFrames,
  fixtureJson,
  scriptedEndpoint,
  sendEvents,
  sendJson,
} from "./ai-sdk-scripted-endpoint.ts";

const CHAT = "sandbox/echo-1";
const PROMPT = "a prompt that no error may repeat";

let sandbox: Sandbox;

beforeAll(async () => {
  sandbox = await startSandbox();
});

afterAll(() => sandbox.stop());
afterEach(() => sandbox.broker.faults.clear());

/** A provider whose waits take no time, so that only the number of attempts matters. */
function provider(key: KeyKind = "good", baseURL = sandbox.broker.baseURL): GonkaProvider {
  return createGonka({
    connection: {
      kind: "broker",
      baseURL,
      apiKey: key === "good" ? sandbox.broker.keys.good : sandbox.broker.keys[key],
      clock: manualClock(),
      random: () => 0,
    },
  });
}

async function failureOf(promise: PromiseLike<unknown>): Promise<unknown> {
  return promise.then(
    () => expect.fail("it should have failed"),
    (error: unknown) => error,
  );
}

/** Runs one call and gives back what it threw and how many requests reached the endpoint. */
async function attempts(
  run: () => PromiseLike<unknown>,
): Promise<{ thrown: unknown; error: ZephError; requests: number }> {
  const before = sandbox.broker.requests.length;
  const thrown = await failureOf(run());
  return { thrown, error: toZephError(thrown), requests: sandbox.broker.requests.length - before };
}

describe("every refusal has its own name and its number of requests", () => {
  it.each<[KeyKind, ZephErrorCode, number]>([
    ["wrong", "invalid_api_key", 1],
    ["management", "management_key", 1],
    ["disabled", "account_not_ready", 1],
    ["unverified", "account_not_ready", 1],
    ["outOfMoney", "insufficient_quota", 1],
    ["rateLimited", "rate_limited", 3],
  ])("key %s: %s after %i", async (key, code, expected) => {
    const { thrown, error, requests } = await attempts(() =>
      generateText({ model: provider(key)(CHAT), prompt: PROMPT }),
    );
    expect(error).toMatchObject({ code, requestId: expect.any(String) });
    expect(requests).toBe(expected);
    expect(error.attempts).toHaveLength(expected);
    expect(APICallError.isInstance(thrown)).toBe(true);
    expect(thrown).toMatchObject({ isRetryable: false, cause: { code }, requestBodyValues: {} });
  });

  it.each<[number, string | undefined, ZephErrorCode, number]>([
    [402, undefined, "insufficient_quota", 1],
    [404, "model_not_found", "model_not_found", 1],
    [400, "invalid_request", "invalid_request", 1],
    [400, "context_length_exceeded", "context_length", 1],
    [413, undefined, "request_too_large", 1],
    [409, undefined, "conflict", 1],
    [410, undefined, "endpoint_gone", 1],
    [429, "transfer_agent_capacity_reached", "capacity_reached", 3],
    [500, undefined, "upstream_error", 3],
    [502, undefined, "upstream_error", 3],
    [503, undefined, "service_unavailable", 3],
    [504, undefined, "upstream_error", 1],
  ])("status %i %s: %s after %i", async (status, code, expected, count) => {
    sandbox.broker.faults.always({ kind: "status", status, message: "no", ...(code === undefined ? {} : { code }) });
    for (const mode of ["whole", "stream"] as const) {
      const { error, requests } = await attempts(() =>
        mode === "whole" ? generateText({ model: provider()(CHAT), prompt: PROMPT }) : streamFailure(provider(), CHAT),
      );
      expect(error.code).toBe(expected);
      expect(requests).toBe(count);
    }
  });

  it("status 500 for embeddings: the same policy", async () => {
    await using endpoint = await scriptedEndpoint(({ path }, response) =>
      path === "/v1/models"
        ? sendJson(response, 200, { data: [{ id: "x/embed-1" }] })
        : sendJson(response, 500, { error: { message: "worker died" } }),
    );
    const model = provider("good", endpoint.baseURL).embeddingModel("x/embed-1");
    expect(toZephError(await failureOf(embed({ model, value: "a" }))).code).toBe("upstream_error");
    expect(endpoint.seen.filter(({ path }) => path === "/v1/embeddings")).toHaveLength(3);
  });

  it("a web page: wrong_url after 1", async () => {
    sandbox.broker.faults.always({ kind: "html-page", status: 200 });
    const { error, requests } = await attempts(() => generateText({ model: provider()(CHAT), prompt: PROMPT }));
    expect(error.code).toBe("wrong_url");
    expect(requests).toBe(1);
  });

  it("an unknown model: model_not_found", async () => {
    const { error, requests } = await attempts(() =>
      generateText({ model: provider()("sandbox/gone"), prompt: PROMPT }),
    );
    expect(error.code).toBe("model_not_found");
    expect(requests).toBe(1);
  });
});

describe("no answer at all", () => {
  it("unreachable: three attempts and no more, although the SDK would repeat network errors", async () => {
    let tries = 0;
    const { baseURL, keys } = sandbox.broker;
    const fetch = async () => {
      tries += 1;
      throw Object.assign(new TypeError("fetch failed"), {
        cause: Object.assign(new Error(), { code: "ECONNREFUSED" }),
      });
    };
    const connection = { kind: "broker", baseURL, apiKey: keys.good, fetch, clock: manualClock() } as const;
    const thrown = await failureOf(generateText({ model: createGonka({ connection })(CHAT), prompt: PROMPT }));
    expect(thrown).toMatchObject({ name: "ZephError", code: "unreachable" });
    expect(toZephError(thrown).attempts).toHaveLength(3);
    expect(tries).toBe(3);
  });

  it("a connection that is closed when the request is there: once, as it may be answered and paid for", async () => {
    sandbox.broker.faults.always({ kind: "refuse" });
    const { error, requests } = await attempts(() => generateText({ model: provider()(CHAT), prompt: PROMPT }));
    expect(error).toMatchObject({ code: "unreachable", charged: "maybe" });
    expect(requests).toBe(1);
  });

  it("an answer that breaks off after its headers is not asked for again", async () => {
    sandbox.broker.faults.always({ kind: "cut", on: "/chat/completions" });
    const { error, requests } = await attempts(() => generateText({ model: provider()(CHAT), prompt: PROMPT }));
    expect(error.code).toBe("stream_cut");
    expect(requests).toBe(1);
  });

  it("a missing key: secret_missing, and nothing is sent", async () => {
    const { error, requests } = await attempts(() =>
      generateText({ model: createGonka({ baseURL: sandbox.broker.baseURL })(CHAT), prompt: PROMPT }),
    );
    expect(error.code).toBe("secret_missing");
    expect(error.detail).toContain("GONKA_API_KEY");
    expect(requests).toBe(0);
  });
});

async function collect(model: GonkaProvider, id = CHAT) {
  const errors: unknown[] = [];
  const result = streamText({ model: model(id), prompt: PROMPT, onError: ({ error }) => void errors.push(error) });
  let text = "";
  const parts: string[] = [];
  for await (const part of result.fullStream) {
    if (part.type === "text-delta") text += part.text;
    parts.push(part.type);
  }
  return { text, parts, errors, error: errors[0] === undefined ? undefined : toZephError(errors[0]) };
}

async function streamFailure(model: GonkaProvider, id: string): Promise<never> {
  const { errors } = await collect(model, id);
  throw errors[0];
}

describe("streams that go wrong", () => {
  it.each([
    ["cut", "stream_cut"],
    ["error-in-stream", "stream_error"],
  ] as const)("%s: %s, once, and the text so far is kept", async (kind, code) => {
    sandbox.broker.faults.next({ kind, afterFrames: 6 });
    const before = sandbox.broker.requests.length;
    const { text, errors, error } = await collect(provider());
    expect(error?.code).toBe(code);
    expect(errors).toHaveLength(1);
    expect(text).not.toBe("");
    expect(sandbox.broker.requests.length - before).toBe(1);
  });

  it("an error object is named by its code", async () => {
    sandbox.broker.faults.next({ kind: "error-in-stream", code: "insufficient_quota", message: "no more money" });
    expect((await collect(provider())).error).toMatchObject({ code: "insufficient_quota", detail: "no more money" });
  });

  it.each(["crlf", "multi-line-data", "comments"] as const)("%s is read as usual", async (kind) => {
    const plain = await collect(provider());
    sandbox.broker.faults.next({ kind });
    const odd = await collect(provider());
    expect(odd).toMatchObject({ text: plain.text, errors: [] });
  });

  it("a text for an error is read", async () => {
    await using endpoint = await scriptedEndpoint((_request, response) =>
      sendEvents(response, [...fixtureFrames("text").slice(0, 2), 'data: {"error":"worker died"}\n\n']),
    );
    const { text, error } = await collect(provider("good", endpoint.baseURL));
    expect(text).toBe("Grüße");
    expect(error).toMatchObject({ code: "stream_error", detail: "worker died" });
  });
});

describe("answers that are no answers", () => {
  it("an error object under status 200 is an error", async () => {
    await using endpoint = await scriptedEndpoint((_request, response) =>
      sendJson(response, 200, { error: { message: "worker died", code: 500 } }),
    );
    const thrown = await failureOf(generateText({ model: provider("good", endpoint.baseURL)("m"), prompt: PROMPT }));
    expect(thrown).toMatchObject({ name: "ZephError", code: "upstream_error", detail: "worker died" });
    expect(endpoint.seen).toHaveLength(1);
  });

  it.each(["{}", "[]", "not json", '{"choices":[]}'])("%s is a bad_response, asked for once", async (body) => {
    await using endpoint = await scriptedEndpoint((_request, response) => sendJson(response, 200, body));
    const thrown = await failureOf(generateText({ model: provider("good", endpoint.baseURL)("m"), prompt: PROMPT }));
    expect(toZephError(thrown).code).toBe("bad_response");
    expect(endpoint.seen).toHaveLength(1);
  });

  it("an answer that does not fit the schema is a bad_response that repeats no text", async () => {
    await using endpoint = await scriptedEndpoint((_request, response) => sendJson(response, 200, fixtureJson("text")));
    const schema = jsonSchema<{ a: string }>({ type: "object", properties: { a: { type: "string" } } });
    const model = provider("good", endpoint.baseURL)("m");
    const thrown = await failureOf(
      generateText({ model, prompt: PROMPT, output: Output.object({ schema }) }).then(({ output }) => output),
    );
    const error = toZephError(thrown);
    expect(error.code).toBe("bad_response");
    expect(JSON.stringify(error)).not.toContain("Grüße");
  });
});

describe("abort", () => {
  it("reaches the endpoint and is called cancelled", async () => {
    await using endpoint = await scriptedEndpoint((_request, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(fixtureFrames("text").slice(0, 2).join(""));
    });
    const controller = new AbortController();
    const model = provider("good", endpoint.baseURL)("m");
    const { stream } = await model.doStream({
      prompt: [{ role: "user", content: [{ type: "text", text: PROMPT }] }],
      abortSignal: controller.signal,
    });
    const thrown = await failureOf(
      (async () => {
        for await (const part of stream) if (part.type === "text-delta") controller.abort();
      })(),
    );
    expect(toZephError(thrown).code).toBe("cancelled");
    expect(await endpoint.seen[0]?.brokenOff).toBe(true);
  });

  it("ends a request that waits for its headers, without another attempt", async () => {
    await using endpoint = await scriptedEndpoint(() => controller.abort());
    const controller = new AbortController();
    const model = provider("good", endpoint.baseURL)("m");
    const thrown = await failureOf(generateText({ model, prompt: PROMPT, abortSignal: controller.signal }));
    expect(thrown).toMatchObject({ name: "AbortError" });
    expect(toZephError(thrown).code).toBe("cancelled");
    expect(endpoint.seen).toHaveLength(1);
  });

  it("by a timeout of the caller is a timeout", async () => {
    await using endpoint = await scriptedEndpoint(() => {});
    const abortSignal = AbortSignal.timeout(20);
    const model = createGonka({ baseURL: endpoint.baseURL, apiKey: "gp-test" })("m");
    expect(toZephError(await failureOf(generateText({ model, prompt: PROMPT, abortSignal }))).code).toBe(
      "timeout_total",
    );
  });
});

it("no error repeats the prompt or the key", async () => {
  const { keys, faults } = sandbox.broker;
  faults.always({ kind: "status", status: 400, message: `bad key ${keys.good}` });
  const gonka = createGonka({
    connection: gonkaFetch({ kind: "broker", baseURL: sandbox.broker.baseURL, apiKey: keys.good }),
  });
  const error = toZephError(await failureOf(generateText({ model: gonka(CHAT), prompt: PROMPT })));
  expect(`${error.message} ${JSON.stringify(error)}`).not.toContain(keys.good);
  expect(JSON.stringify(error)).not.toContain(PROMPT);
});

it("a stream that ends after [DONE] is complete", async () => {
  await using endpoint = await scriptedEndpoint((_request, response) =>
    sendEvents(response, [...fixtureFrames("text"), DONE]),
  );
  expect(await collect(provider("good", endpoint.baseURL))).toMatchObject({ text: "Grüße aus 東京", errors: [] });
});
