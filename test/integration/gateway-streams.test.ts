import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type Sandbox, startSandbox } from "../../src/sandbox/index.ts";
import { DONE, fixtureFrames, scriptedEndpoint, sendEvents, sendJson } from "./ai-sdk-scripted-endpoint.ts";
import { CHAT, type GatewayWorld, HELLO, LOCAL_KEY, openSocket, startGateway, until } from "./gateway-world.ts";

let sandbox: Sandbox;
let local: GatewayWorld;

beforeAll(async () => {
  sandbox = await startSandbox();
  local = await startGateway({ baseURL: sandbox.broker.baseURL, apiKey: sandbox.broker.keys.good });
});
afterAll(async () => {
  await local[Symbol.asyncDispose]();
  await sandbox.stop();
});
afterEach(() => sandbox.broker.faults.clear());

const chat = { model: CHAT, messages: HELLO, stream: true };
const delta = (content: string) => `data: {"choices":[{"index":0,"delta":{"content":"${content}"}}]}\n\n`;
const begin = (response: ServerResponse) => response.writeHead(200, { "content-type": "text/event-stream" });
const events = (text: string) => text.split("\n\n").filter((event) => event.trim() !== "");
const lastError = (text: string) => JSON.parse(events(text).at(-1)?.trim().slice("data: ".length) ?? "").error;

describe("bytes", () => {
  const ODD = [
    ": a comment of the broker\r\n\r\n",
    'data: {"choices":[{"index":0,"delta":{"content":"ä 🎉"}}]}\r\n\r\n',
    "event: message\nid: 7\nretry: 10\n",
    'data: {"choices":[],\ndata: "usage":{"prompt_tokens":1,"completion_tokens":2}}\n\n',
    'data:{"choices":[],"usage": {"prompt_tokens":3,"completion_tokens":4}}\n\n',
    DONE,
    ": after the end\n\n",
  ].join("");

  it.each([1, 7, 64, 100_000])("pass as they come, in pieces of %i", async (size) => {
    const bytes = Buffer.from(ODD);
    await using endpoint = await scriptedEndpoint(async (_request, response) => {
      begin(response);
      for (let at = 0; at < bytes.length; at += size) {
        response.write(bytes.subarray(at, at + size));
        if (size < 64 && at % 20 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      response.end();
    });
    await using own = await startGateway({ baseURL: endpoint.baseURL });
    const response = await own.ask("/chat/completions", chat);
    expect(response.headers.get("content-type")).toContain("text/event-stream");
    expect(response.headers.get("cache-control")).toBe("no-cache");
    expect(Buffer.from(await response.arrayBuffer()).equals(bytes)).toBe(true);
    expect(own.records[0]).toMatchObject({ outcome: "complete", usage: { promptTokens: 3, completionTokens: 4 } });
  });

  it("of every form of chunk that clients can read pass as they come", async () => {
    for (const name of ["text", "tool-call", "reasoning", "reasoning-content", "think-tags"]) {
      const frames = [...fixtureFrames(name), DONE];
      await using endpoint = await scriptedEndpoint((_request, response) => sendEvents(response, frames));
      await using own = await startGateway({ baseURL: endpoint.baseURL });
      expect(await (await own.ask("/chat/completions", chat)).text()).toBe(frames.join(""));
    }
  });

  it("of forms that clients fall over are put right", async () => {
    for (const [name, shown, gone] of [
      ["tool-call-double", '"arguments":"{\\"city\\": \\"Tōkyō\\", \\"unit\\": \\"C\\"}"', '"index":1'],
      ["tool-call-object", '"arguments":"{\\"city\\":\\"Tōkyō\\"}"', '"id":""'],
      ["usage-only", '"choices":[]', "nothing"],
    ] as const) {
      const frames = [...fixtureFrames(name), DONE];
      await using endpoint = await scriptedEndpoint((_request, response) => sendEvents(response, frames));
      await using own = await startGateway({ baseURL: endpoint.baseURL });
      const text = await (await own.ask("/chat/completions", chat)).text();
      expect(text).toContain(shown);
      expect(text).not.toContain(gone);
      expect(text.endsWith(DONE)).toBe(true);
    }
  });

  it("arrive when they were sent, not later", async () => {
    let next = () => {};
    await using endpoint = await scriptedEndpoint(async (_request, response) => {
      begin(response);
      for (const word of ["a", "b", "c"]) {
        response.write(delta(word));
        await new Promise<void>((resolve) => {
          next = resolve;
        });
      }
      response.end(DONE);
    });
    await using own = await startGateway({ baseURL: endpoint.baseURL });
    const response = await own.ask("/chat/completions", chat);
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    // The endpoint sends a word only after the one before has arrived.
    for (const word of ["a", "b", "c"]) {
      const { value } = await reader.read();
      expect(Buffer.from(value ?? []).toString()).toBe(delta(word));
      next();
    }
    expect(Buffer.from((await reader.read()).value ?? []).toString()).toBe(DONE);
  });
});

describe("silence", () => {
  it("before the upstream's first word is filled with comments, and its answer follows", async () => {
    await using endpoint = await scriptedEndpoint(async (_request, response) => {
      await new Promise((resolve) => setTimeout(resolve, 200));
      sendEvents(response, [delta("late"), DONE]);
    });
    await using own = await startGateway({ baseURL: endpoint.baseURL }, { heartbeatMs: 30 });
    const response = await own.ask("/chat/completions", chat);
    expect(response.status).toBe(200);
    const text = await response.text();
    expect(text).toMatch(/^(?:: waiting\n\n){2,}data: /);
    expect(text.endsWith(delta("late") + DONE)).toBe(true);
    expect(own.records[0]?.firstByteMs).toBeGreaterThan(150);
  });

  it("between words is filled too, and never inside a line", async () => {
    const word = delta("abc");
    await using endpoint = await scriptedEndpoint(async (_request, response) => {
      begin(response);
      response.write(word.slice(0, 20));
      await new Promise((resolve) => setTimeout(resolve, 120));
      response.write(word.slice(20));
      await new Promise((resolve) => setTimeout(resolve, 120));
      response.end(DONE);
    });
    await using own = await startGateway({ baseURL: endpoint.baseURL }, { heartbeatMs: 30 });
    const text = await (await own.ask("/chat/completions", chat)).text();
    expect(text.replaceAll(": waiting\n\n", "")).toBe(word + DONE);
    expect(text.match(/: waiting/g)?.length).toBeGreaterThan(2);
  });

  it("of an upstream that then refuses ends in an error event with the refusal's words", async () => {
    await using endpoint = await scriptedEndpoint(async (_request, response) => {
      await new Promise((resolve) => setTimeout(resolve, 80));
      sendJson(response, 400, { error: { message: "too odd", code: "invalid_request" } });
    });
    await using own = await startGateway({ baseURL: endpoint.baseURL }, { heartbeatMs: 20 });
    const response = await own.ask("/chat/completions", chat);
    expect(response.status).toBe(200);
    expect(lastError(await response.text())).toMatchObject({ message: "too odd" });
    expect(own.records[0]).toMatchObject({ outcome: "failed", errorCode: "invalid_request" });
  });

  it("of an upstream that then breaks, or sends no stream, ends in an error event", async () => {
    for (const [answer, code] of [
      [(response: ServerResponse) => response.destroy(), "unreachable"],
      [(response: ServerResponse) => sendJson(response, 200, { choices: [] }), "bad_response"],
    ] as const) {
      await using endpoint = await scriptedEndpoint(async (_request, response) => {
        await new Promise((resolve) => setTimeout(resolve, 80));
        answer(response);
      });
      await using own = await startGateway({ baseURL: endpoint.baseURL }, { heartbeatMs: 20 });
      expect(lastError(await (await own.ask("/chat/completions", chat)).text())).toMatchObject({ code });
      expect(own.records[0]).toMatchObject({ outcome: "failed" });
    }
  });

  it("of a caller who leaves while it lasts ends the upstream's request", async () => {
    await using endpoint = await scriptedEndpoint(() => {});
    await using own = await startGateway({ baseURL: endpoint.baseURL }, { heartbeatMs: 20 });
    const controller = new AbortController();
    const response = await own.ask("/chat/completions", chat, { signal: controller.signal });
    const reader = response.body?.getReader();
    await reader?.read();
    await until(() => endpoint.seen.length > 0);
    controller.abort();
    await reader?.read().catch(() => {});
    expect(await endpoint.seen[0]?.brokenOff).toBe(true);
    await until(() => own.records.length > 0);
    expect(own.records).toMatchObject([{ outcome: "caller-left" }]);
  });
});

describe("a stream that ends badly", () => {
  it.each<[string, Parameters<Sandbox["broker"]["faults"]["next"]>[0], string]>([
    ["cut", { kind: "cut", afterFrames: 3 }, "stream_cut"],
    ["reset", { kind: "cut", afterFrames: 3, how: "reset" }, "stream_cut"],
    ["without [DONE]", { kind: "no-done" }, "stream_cut"],
    ["with a line without end", { kind: "oversized", of: "line", bytes: 5_000_000 }, "response_too_large"],
  ])("%s: an error event, no [DONE], the words before kept", async (_, fault, code) => {
    sandbox.broker.faults.next(fault);
    const text = await (
      await local.ask("/chat/completions", { ...chat, messages: [{ role: "user", content: "count to 9" }] })
    ).text();
    expect(lastError(text)).toMatchObject({ code, type: "server_error" });
    expect(text).not.toContain("data: [DONE]");
    expect(local.records.at(-1)).toMatchObject({ outcome: "failed", errorCode: code });
  });

  it("says so after a line that was cut in the middle, on a line of its own", async () => {
    await using endpoint = await scriptedEndpoint((_request, response) => {
      begin(response);
      response.write(`${delta("kept")}data: {"cut":`, () => response.destroy());
    });
    await using own = await startGateway({ baseURL: endpoint.baseURL });
    const text = await (await own.ask("/chat/completions", chat)).text();
    expect(text.startsWith(delta("kept"))).toBe(true);
    expect(text).not.toContain('{"cut"');
    expect(lastError(text)).toMatchObject({ code: "stream_cut" });
  });

  it("with an error of its own passes as it comes", async () => {
    sandbox.broker.faults.next({ kind: "error-in-stream", message: "the model fell over" });
    const text = await (await local.ask("/chat/completions", chat)).text();
    expect(lastError(text)).toMatchObject({ message: "the model fell over" });
    expect(text.match(/"error"/g)).toHaveLength(1);
  });
});

/** Until more can be written, or nothing any more. */
function writable(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const settle = () => {
      response.off("drain", settle).off("close", settle);
      resolve();
    };
    response.on("drain", settle).on("close", settle);
  });
}

describe("a slow reader", () => {
  it("slows the upstream instead of filling memory, and stops it by leaving", async () => {
    const frame = `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: "x".repeat(16_000) } }] })}\n\n`;
    let sentBytes = 0;
    let stopped = false;
    await using endpoint = await scriptedEndpoint(async (_request, response) => {
      begin(response);
      response.on("close", () => {
        stopped = true;
      });
      while (!stopped && sentBytes < 200_000_000) {
        sentBytes += frame.length;
        if (!response.write(frame)) await writable(response);
      }
    });
    await using own = await startGateway({ baseURL: endpoint.baseURL });
    const socket = await openSocket(own.listening.port);
    socket.on("error", () => {});
    const body = JSON.stringify(chat);
    socket.write(
      `POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${LOCAL_KEY}\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    await once(socket, "readable");
    socket.pause();
    // What fits into the sockets' buffers on the way goes through; then everything stands still.
    let before = -1;
    await until(async () => {
      const isStill = before === sentBytes;
      before = sentBytes;
      await new Promise((resolve) => setTimeout(resolve, 100));
      return isStill;
    });
    expect(sentBytes).toBeLessThan(60_000_000);
    socket.destroy();
    await until(() => stopped);
    await until(() => own.records.length > 0);
    expect(own.records).toMatchObject([{ outcome: "caller-left" }]);
  });

  it("that takes nothing at all is disconnected in the end", async () => {
    const frame = delta("x".repeat(16_000));
    await using endpoint = await scriptedEndpoint(async (_request, response) => {
      begin(response);
      while (!response.destroyed) if (!response.write(frame)) await writable(response);
    });
    await using own = await startGateway({ baseURL: endpoint.baseURL }, {}, { stallMs: 150 });
    const socket = await openSocket(own.listening.port);
    socket.on("error", () => {});
    socket.pause();
    const body = JSON.stringify(chat);
    socket.write(
      `POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${LOCAL_KEY}\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    await until(() => endpoint.seen.length > 0);
    expect(await endpoint.seen[0]?.brokenOff).toBe(true);
    await until(() => own.records.length > 0);
    expect(own.records).toMatchObject([{ outcome: "caller-left" }]);
  });
});

describe("always-stream", () => {
  const chunk = (fields: object) =>
    `data: ${JSON.stringify({ id: "c1", created: 5, model: "m", object: "chat.completion.chunk", ...fields })}\n\n`;
  const choice = (delta: object, more: object = {}) => ({
    choices: [{ index: 0, delta, finish_reason: null, ...more }],
  });
  async function assembled(frames: readonly string[], request: object = {}) {
    await using endpoint = await scriptedEndpoint((_request, response) => sendEvents(response, frames));
    await using own = await startGateway({ baseURL: endpoint.baseURL }, { upstreamMode: "always-stream" });
    const response = await own.ask("/chat/completions", { model: "m", messages: HELLO, ...request });
    return {
      status: response.status,
      body: (await response.json()) as Record<string, unknown>,
      sent: endpoint.seen[0]?.body,
      record: own.records[0],
    };
  }

  it("gives the same answer as one that was not streamed", async () => {
    await using streamed = await startGateway(
      { baseURL: sandbox.broker.baseURL, apiKey: sandbox.broker.keys.good },
      { upstreamMode: "always-stream" },
    );
    const tools = [
      {
        type: "function",
        function: {
          name: "weather",
          description: "Get the weather in a city",
          parameters: { type: "object", properties: { city: { type: "string" } } },
        },
      },
    ];
    for (const [model, more] of [
      [CHAT, {}],
      ["sandbox/thinker-1", {}],
      ["sandbox/muser-1", {}],
      [CHAT, { tools }],
      [CHAT, { max_tokens: 2 }],
    ] as const) {
      const request = { model, messages: [{ role: "user", content: "What is the weather in Oslo?" }], ...more };
      const [whole, put] = await Promise.all(
        [local, streamed].map(
          async (each) => (await each.ask("/chat/completions", request)).json() as Promise<Record<string, unknown>>,
        ),
      );
      const { id: _1, created: _2, ...expected } = whole ?? {};
      const { id: _3, created: _4, ...actual } = put ?? {};
      expect(actual).toEqual(expected);
    }
  });

  it("asks for a stream with usage, and counts it", async () => {
    const { sent, body, record } = await assembled(
      [
        chunk(choice({ content: "a" })),
        chunk({ choices: [], usage: { prompt_tokens: 1, completion_tokens: 2, cost_usd: 0.5 } }),
        DONE,
      ],
      { stream: false },
    );
    expect(sent).toMatchObject({ stream: true, stream_options: { include_usage: true } });
    expect(body).toMatchObject({ id: "c1", object: "chat.completion", usage: { prompt_tokens: 1 } });
    expect(record).toMatchObject({ stream: false, usage: { promptTokens: 1, completionTokens: 2, costUsd: 0.5 } });
  });

  it("puts calls together, without MiniMax' second entries, and several choices", async () => {
    const piece = (index: number, call: object) => choice({ tool_calls: [{ index, ...call }] });
    const { body } = await assembled([
      chunk(choice({ role: "assistant", content: null })),
      chunk(piece(0, { id: "a", type: "function", function: { name: "f", arguments: '{"x"' } })),
      chunk(piece(1, { id: "b", function: { name: null, arguments: '{"x":1}' } })),
      chunk(piece(0, { function: { arguments: ":1}" } })),
      chunk({ choices: [{ index: 1, delta: { content: "two" }, finish_reason: "stop" }] }),
      chunk(choice({}, { finish_reason: "tool_calls" })),
      DONE,
    ]);
    expect(body.choices).toEqual([
      {
        index: 0,
        message: {
          role: "assistant",
          content: null,
          tool_calls: [{ id: "a", type: "function", function: { name: "f", arguments: '{"x":1}' } }],
        },
        finish_reason: "tool_calls",
      },
      { index: 1, message: { role: "assistant", content: "two" }, finish_reason: "stop" },
    ]);
  });

  it("keeps log probabilities and token ids from callers who did not ask for them", async () => {
    const frames = [
      chunk({
        ...choice({ content: "a" }, { logprobs: { content: [{ token: "a", logprob: -1 }] }, token_ids: [5] }),
        prompt_token_ids: [1],
      }),
      chunk(
        choice(
          { content: "b" },
          { logprobs: { content: [{ token: "b", logprob: -2 }] }, token_ids: [6], finish_reason: "stop" },
        ),
      ),
      DONE,
    ];
    const plain = await assembled(frames);
    expect(plain.body).toMatchObject({ choices: [{ message: { content: "ab" } }] });
    expect(JSON.stringify(plain.body)).not.toMatch(/logprob|token_ids/);
    const asked = await assembled(frames, { logprobs: true, return_token_ids: true });
    expect(asked.body).toMatchObject({
      prompt_token_ids: [1],
      choices: [
        {
          logprobs: {
            content: [
              { token: "a", logprob: -1 },
              { token: "b", logprob: -2 },
            ],
          },
          token_ids: [5, 6],
        },
      ],
    });
  });

  it.each<[string, readonly string[], number, string]>([
    [
      "an error inside",
      [chunk(choice({ content: "a" })), 'data: {"error":{"message":"fell over"}}\n\n'],
      502,
      "stream_error",
    ],
    ["a cut", [chunk(choice({ content: "a" }))], 502, "stream_cut"],
    ["no JSON", ["data: hello\n\n", DONE], 502, "bad_response"],
    ["nothing", [DONE], 502, "bad_response"],
  ])("%s is an error with a status", async (_, frames, status, code) => {
    const result = await assembled(frames);
    expect(result).toMatchObject({ status, body: { error: { code } }, record: { errorCode: code } });
  });

  it("passes whole answers and refusals of an upstream that does not stream", async () => {
    const message = { role: "assistant", content: "hi" };
    const choices = [{ index: 0, message, finish_reason: "stop" }];
    const whole = { id: "c1", object: "chat.completion", created: 1, model: "m", choices };
    await using endpoint = await scriptedEndpoint((_request, response, count) =>
      count === 1
        ? sendJson(response, 200, whole)
        : sendJson(response, 429, { error: { message: "slow down" } }, { "retry-after": "3" }),
    );
    await using own = await startGateway({ baseURL: endpoint.baseURL }, { upstreamMode: "always-stream" });
    expect(await (await own.ask("/chat/completions", { model: "m", messages: HELLO })).json()).toEqual(whole);
    const refused = await own.ask("/chat/completions", { model: "m", messages: HELLO });
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([429, "3"]);
  });
});
