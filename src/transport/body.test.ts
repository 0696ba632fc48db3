import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { afterEach, describe, expect, it } from "vitest";
import { codingLeft, contentCodings, toOutgoing } from "./body.ts";
import { gonkaFetch } from "./gonka-fetch.ts";

const BASE = "https://api.example/v1";
const decode = (body: Uint8Array | undefined) => new TextDecoder().decode(body);

describe("toOutgoing", () => {
  const bytes = new TextEncoder().encode("{}");
  it.each([
    ["a string", "{}", "text/plain;charset=UTF-8"],
    ["bytes", bytes, null],
    ["an ArrayBuffer", bytes.buffer, null],
    ["a DataView", new DataView(bytes.buffer), null],
    ["a Blob", new Blob(["{}"], { type: "application/json" }), "application/json"],
  ])("takes %s byte for byte", async (_kind, body, type) => {
    const outgoing = await toOutgoing(`${BASE}/chat/completions`, { method: "POST", body }, [BASE]);
    expect(decode(outgoing.body)).toBe("{}");
    expect(outgoing.headers.get("content-type")).toBe(type);
    expect(outgoing).toMatchObject({ method: "POST", path: "/chat/completions" });
  });

  it("takes URLSearchParams", async () => {
    const outgoing = await toOutgoing(`${BASE}/x`, { method: "POST", body: new URLSearchParams({ a: "ü" }) }, [BASE]);
    expect(decode(outgoing.body)).toBe("a=%C3%BC");
    expect(outgoing.headers.get("content-type")).toMatch(/^application\/x-www-form-urlencoded/);
  });

  it("takes a Request, and init wins over it", async () => {
    const request = new Request(`${BASE}/chat/completions?a=1`, {
      method: "POST",
      body: "{}",
      headers: { "x-a": "1" },
    });
    const outgoing = await toOutgoing(request, undefined, [BASE]);
    expect(decode(outgoing.body)).toBe("{}");
    expect(outgoing.path).toBe("/chat/completions?a=1");
    expect(outgoing.headers.get("x-a")).toBe("1");
    expect((await toOutgoing(request, { body: "[]" }, [BASE])).body).toEqual(new TextEncoder().encode("[]"));
  });

  it("copies the caller's buffer", async () => {
    const body = new Uint8Array([1, 2, 3]);
    const outgoing = await toOutgoing(`${BASE}/x`, { method: "POST", body }, [BASE]);
    body[0] = 9;
    expect(outgoing.body?.[0]).toBe(1);
  });

  it.each([
    ["a stream", new ReadableStream()],
    ["a multipart form", new FormData()],
  ])("refuses %s by name", async (kind, body) => {
    const sending = toOutgoing(`${BASE}/x`, { method: "POST", body }, [BASE]);
    await expect(sending).rejects.toMatchObject({ code: "unsupported_body", detail: kind });
  });

  it("refuses a Request that holds a multipart form", async () => {
    const request = new Request(`${BASE}/x`, { method: "POST", body: new FormData() });
    await expect(toOutgoing(request, undefined, [BASE])).rejects.toMatchObject({ code: "unsupported_body" });
  });

  it.each([
    "https://evil.example/v1/chat/completions",
    "http://api.example/v1/chat/completions",
    "https://api.example/v2/chat",
    "https://api.example/v1x/chat",
    "https://api.example:444/v1/chat",
    "/v1/chat",
  ])("refuses the foreign address %s", async (url) => {
    await expect(toOutgoing(url, {}, [BASE])).rejects.toMatchObject({ code: "foreign_origin" });
  });
});

describe("content coding", () => {
  it.each([
    [null, [], undefined],
    ["", [], undefined],
    ["identity", [], undefined],
    ["UTF-8", [], undefined],
    ["gzip", ["gzip"], undefined],
    ["GZIP", ["gzip"], undefined],
    [" X-Gzip ", ["x-gzip"], undefined],
    ["Deflate, BR", ["deflate", "br"], undefined],
    ["gzip, identity", ["gzip"], "gzip"],
    ["zstd", ["zstd"], "zstd"],
    ["gzip, zstd", ["gzip", "zstd"], "zstd"],
  ])("%j is %j, and %j is left after fetch", (header, codings, left) => {
    expect(contentCodings(header)).toEqual(codings);
    expect(codingLeft(header)).toBe(left);
  });
});

describe("guard body abort", () => {
  /** Sends headers, and a moment later all the rest in one packet. In a process of its own, or the packet comes in parts. */
  const SERVER = `
require("node:http").createServer((request, response) => {
  request.resume();
  response.writeHead(200, { "content-type": "text/event-stream" });
  response.flushHeaders();
  setTimeout(() => {
    response.socket.cork();
    const event = { choices: [{ index: 0, delta: { content: "x".repeat(130) } }] };
    for (let index = 0; index < 60; index += 1) response.write("data: " + JSON.stringify(event) + "\\n\\n");
    response.end();
    response.socket.uncork();
  }, 15);
}).listen(0, "127.0.0.1", function () { console.log(this.address().port); });`;

  let server: ReturnType<typeof spawn> | undefined;
  afterEach(() => server?.kill());

  it("ends a read that is under way when the caller aborts, also when the rest of the answer has arrived", async () => {
    server = spawn(process.execPath, ["-e", SERVER], { stdio: ["ignore", "pipe", "inherit"] });
    const lines = createInterface(server.stdout!);
    const port = await new Promise<string>((resolve) => lines.once("line", resolve));
    const baseURL = `http://127.0.0.1:${port}/v1`;
    const gonka = gonkaFetch({ kind: "broker", baseURL, apiKey: "none" });
    const leaving = new AbortController();
    const body = JSON.stringify({ stream: true });
    const response = await gonka(`${baseURL}/chat/completions`, { method: "POST", body, signal: leaving.signal });
    const reader = response.body!.getReader();
    await reader.read();
    leaving.abort();
    // Node 20's own fetch leaves this read open for ever.
    await expect(reader.read()).rejects.toBe(leaving.signal.reason);
  }, 5_000);
});
