import { connect } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type Fault, type Sandbox, startSandbox } from "../../src/sandbox/index.ts";

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await startSandbox();
});
afterAll(() => sandbox.stop());
afterEach(() => sandbox.broker.faults.clear());

function chat(options: { stream?: boolean; signal?: AbortSignal; content?: string } = {}): Promise<Response> {
  const { stream = true, signal = null, content = "say one two three" } = options;
  return fetch(`${sandbox.broker.baseURL}/chat/completions`, {
    method: "POST",
    redirect: "manual",
    signal,
    headers: { authorization: `Bearer ${sandbox.broker.keys.good}` },
    body: JSON.stringify({
      model: "sandbox/echo-1",
      stream,
      ...(stream ? { stream_options: { include_usage: true } } : {}),
      messages: [{ role: "user", content }],
    }),
  });
}

const models = () =>
  fetch(`${sandbox.broker.baseURL}/models`, { headers: { authorization: `Bearer ${sandbox.broker.keys.good}` } });

/** What arrives until the body ends or breaks. */
async function readAll(
  response: Response,
): Promise<{ text: string; pieces: Uint8Array[]; end: "complete" | "broken" }> {
  const pieces: Uint8Array[] = [];
  let end: "complete" | "broken" = "complete";
  try {
    for await (const piece of response.body ?? []) pieces.push(piece);
  } catch {
    end = "broken";
  }
  return { text: Buffer.concat(pieces).toString("utf8"), pieces, end };
}

const play = async (fault: Fault, stream = true) => {
  sandbox.broker.faults.next(fault);
  return readAll(await chat({ stream }));
};

describe("the plan", () => {
  it("plays a fault as often as asked, then none", async () => {
    sandbox.broker.faults.next({ kind: "status", status: 500 }, 2);
    expect(sandbox.broker.faults.waiting).toBe(2);
    const statuses = [(await models()).status, (await chat()).status, (await models()).status];
    expect(statuses).toEqual([500, 500, 200]);
    expect(sandbox.broker.requests.slice(-3).map((record) => record.fault)).toEqual(["status", "status", undefined]);
  });

  it("keeps a fault for the path it names, and stream faults for chats", async () => {
    sandbox.broker.faults.next({ kind: "status", status: 503, on: "/chat/completions" });
    sandbox.broker.faults.next({ kind: "no-done" });
    expect((await models()).status).toBe(200);
    expect((await chat()).status).toBe(503);
    expect((await readAll(await chat())).text).not.toContain("[DONE]");
    expect(sandbox.broker.faults.waiting).toBe(0);
  });

  it("plays a standing fault until it is cleared", async () => {
    sandbox.broker.faults.always({ kind: "status", status: 502 });
    expect([(await models()).status, (await models()).status]).toEqual([502, 502]);
    sandbox.broker.faults.clear();
    expect((await models()).status).toBe(200);
  });
});

describe("no answer", () => {
  it.each(["close", "reset"] as const)("refuses by %s", async (how) => {
    sandbox.broker.faults.next({ kind: "refuse", how });
    await expect(chat()).rejects.toThrow("fetch failed");
    expect(sandbox.broker.requests.at(-1)).not.toHaveProperty("status");
  });

  it("hangs before the headers until the client goes", async () => {
    sandbox.broker.faults.next({ kind: "hang", on: "/chat/completions" });
    const leave = new AbortController();
    let isAnswered = false;
    const pending = chat({ signal: leave.signal }).then(() => {
      isAnswered = true;
    });
    // A second request that is answered shows that the first one was taken in and left waiting.
    await models();
    expect(isAnswered).toBe(false);
    leave.abort();
    await expect(pending).rejects.toThrow("aborted");
  });

  it("stops although a request hangs", async () => {
    const own = await startSandbox();
    own.broker.faults.next({ kind: "hang" });
    const { port } = new URL(own.broker.baseURL);
    const socket = connect(Number(port), "127.0.0.1");
    const closed = new Promise((resolve) => socket.once("close", resolve));
    socket.on("error", () => {});
    socket.write("GET /v1/models HTTP/1.1\r\nhost: sandbox\r\n\r\n");
    while (own.broker.requests.length === 0) await new Promise(setImmediate);
    await own.stop();
    await closed;
  });
});

describe("another answer", () => {
  it("gives any status in the broker's shape, with Retry-After", async () => {
    sandbox.broker.faults.next({ kind: "status", status: 429, code: "insufficient_quota", message: "No credit." });
    sandbox.broker.faults.next({ kind: "status", status: 503, retryAfter: "7" });
    const [billing, busy] = [await chat(), await chat()];
    expect([billing.status, await billing.json()]).toMatchObject([
      429,
      { error: { code: "insufficient_quota", message: "No credit." } },
    ]);
    expect([busy.status, busy.headers.get("retry-after")]).toEqual([503, "7"]);
    expect(await busy.json()).toMatchObject({ error: { code: "service_unavailable" } });
    expect(busy.headers.get("x-request-id")).toMatch(/^req_/);
  });

  it("gives a web server's page", async () => {
    sandbox.broker.faults.next({ kind: "html-page" });
    const response = await chat();
    expect([response.status, response.headers.get("content-type")]).toEqual([502, "text/html"]);
    expect(await response.text()).toContain("<h1>502 Bad Gateway</h1>");
  });

  it("redirects, and says that it has moved", async () => {
    sandbox.broker.faults.next({ kind: "redirect", location: "http://other.example/v1" });
    sandbox.broker.faults.next({ kind: "moved", newUrl: "http://new.example/v1" });
    const [redirect, moved] = [await chat(), await chat()];
    expect([redirect.status, redirect.headers.get("location")]).toEqual([307, "http://other.example/v1"]);
    expect([moved.status, await moved.json()]).toMatchObject([308, { new_url: "http://new.example/v1" }]);
  });
});

describe("a spoilt answer", () => {
  it.each(["close", "reset"] as const)("is cut mid-stream by %s", async (how) => {
    const { text, end } = await play({ kind: "cut", afterFrames: 3, how });
    expect(end).toBe("broken");
    expect(text).not.toContain("[DONE]");
    // A reset may overtake what was sent before it; a close may not.
    if (how === "close") expect(text.match(/^data: /gm)).toHaveLength(2);
  });

  it("is cut in the middle of a JSON body", async () => {
    const { text, end } = await play({ kind: "cut" }, false);
    expect(end).toBe("broken");
    expect(text).toMatch(/^\{"id":"chatcmpl-/);
  });

  it("stands still mid-stream", async () => {
    sandbox.broker.faults.next({ kind: "hang-mid-stream", afterFrames: 2 });
    const leave = new AbortController();
    const response = await chat({ signal: leave.signal });
    const reader = response.body?.getReader();
    let text = "";
    while (!text.includes("data: ")) text += Buffer.from((await reader?.read())?.value ?? "").toString();
    const next = reader?.read();
    await models();
    leave.abort();
    await expect(next).rejects.toThrow("aborted");
  });

  it("ends in order, but without [DONE]", async () => {
    const { text, end } = await play({ kind: "no-done" });
    expect(end).toBe("complete");
    expect(text).toContain('"finish_reason":"stop"');
    expect(text).not.toContain("[DONE]");
  });

  it("holds an error in mid-stream", async () => {
    const { text, end } = await play({ kind: "error-in-stream", message: "Host lost." });
    expect(end).toBe("complete");
    const last = text.trim().split("\n\n").at(-1) ?? "";
    expect(JSON.parse(last.slice(6))).toMatchObject({ error: { message: "Host lost.", code: "upstream_error" } });
  });

  it("drips in pieces that cut letters apart", async () => {
    sandbox.broker.faults.next({ kind: "drip" });
    const { pieces, text } = await readAll(await chat({ content: "say naïve 😀😀😀😀😀😀" }));
    expect(text).toContain("naïve");
    expect(text).toContain("😀");
    expect(text).toContain("[DONE]");
    expect(pieces.length).toBeGreaterThan(100);
    // U+FFFD where a piece on its own is not valid UTF-8: some letter was cut.
    expect(pieces.some((piece) => Buffer.from(piece).toString("utf8").includes("\uFFFD"))).toBe(true);
  });

  it("comes with CRLF lines, with comments, with data over several lines", async () => {
    const crlf = await play({ kind: "crlf" });
    expect(crlf.text.replaceAll("\r\n", "")).not.toContain("\n");
    const comments = await play({ kind: "comments" });
    expect(comments.text.match(/^: still here$/gm)?.length).toBeGreaterThan(4);
    const lines = await play({ kind: "multi-line-data" });
    const first = lines.text.split("\n\n")[1] ?? "";
    const joined = first.split("\n").map((line) => line.replace(/^data: /, ""));
    expect(joined.length).toBeGreaterThan(5);
    expect(JSON.parse(joined.join("\n"))).toMatchObject({ object: "chat.completion.chunk" });
  });

  it("holds the usage only", async () => {
    const { text } = await play({ kind: "usage-only" });
    const frames = text.trim().split("\n\n");
    expect(frames).toHaveLength(2);
    expect(JSON.parse((frames[0] ?? "").slice(6))).toMatchObject({ choices: [], usage: { total_tokens: 11 } });
    expect(frames[1]).toBe("data: [DONE]");
  });

  it("breaks off inside its JSON", async () => {
    const streamed = await play({ kind: "bad-json" });
    const last = streamed.text.trim().split("\n").at(-1) ?? "";
    expect(() => JSON.parse(last.slice(6))).toThrow();
    const whole = await play({ kind: "bad-json" }, false);
    expect(whole.end).toBe("complete");
    expect(() => JSON.parse(whole.text)).toThrow();
  });

  it("is larger than asked for", async () => {
    const line = await play({ kind: "oversized", of: "line", bytes: 300_000 });
    expect(Math.max(...line.text.split("\n").map((text) => text.length))).toBeGreaterThan(300_000);
    expect(line.text).toContain("[DONE]");
    const answer = await play({ kind: "oversized", bytes: 300_000 });
    expect(answer.text.length).toBeGreaterThan(300_000);
    const json = await play({ kind: "oversized", bytes: 300_000 }, false);
    const parsed = JSON.parse(json.text);
    expect(parsed.padding).toHaveLength(300_000);
    expect(parsed.choices).toHaveLength(1);
  });

  it("leaves a refusal as it is", async () => {
    sandbox.broker.faults.next({ kind: "cut" });
    const response = await fetch(`${sandbox.broker.baseURL}/chat/completions`, { method: "POST", body: "{}" });
    expect([response.status, await response.json()]).toMatchObject([401, { error: { code: "invalid_api_key" } }]);
  });
});
