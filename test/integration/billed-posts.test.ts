import { createServer, type Server, type Socket } from "node:net";
import { Agent } from "undici";
import { afterEach, describe, expect, it } from "vitest";
import { leanFetch } from "../../src/cli/lean-fetch.ts";
import type { ZephError } from "../../src/errors.ts";
import { gonkaFetch } from "../../src/transport/gonka-fetch.ts";

const BODY = JSON.stringify({
  id: "c1",
  object: "chat.completion",
  created: 1,
  model: "m",
  choices: [{ index: 0, message: { role: "assistant", content: "Hello" }, finish_reason: "stop" }],
});

let server: Server | undefined;
const sockets = new Set<Socket>();

afterEach(() => {
  for (const socket of sockets) socket.destroy();
  sockets.clear();
  server?.close();
});

/** A server of bare sockets: `onRequest` gets every request with its number on its socket, from 1 on. */
async function listen(onRequest: (socket: Socket, numberOnSocket: number) => void): Promise<string> {
  server = createServer((socket) => {
    let count = 0;
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("data", (bytes) => {
      if (!/^(?:POST|GET) /.test(bytes.toString("latin1"))) return;
      count += 1;
      onRequest(socket, count);
    });
  });
  const listening = server;
  await new Promise<void>((resolve) => {
    listening.listen(0, "127.0.0.1", resolve);
  });
  const address = listening.address();
  return `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}/v1`;
}

function answer(socket: Socket, headers = ""): void {
  socket.write(
    `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n${headers}content-length: ${BODY.length}\r\n\r\n${BODY}`,
  );
}

const WAYS = [
  ["Node's own fetch", () => undefined],
  ["the fetch of zeph serve", () => leanFetch(new Agent())],
] as const;

function ask(baseURL: string, fetch: ReturnType<typeof leanFetch> | undefined) {
  const gonka = gonkaFetch({
    kind: "broker",
    baseURL,
    apiKey: "k",
    random: () => 0,
    ...(fetch === undefined ? {} : { fetch }),
  });
  return async () => {
    const init = { method: "POST", body: JSON.stringify({ model: "m", messages: [{ role: "user", content: "hi" }] }) };
    return (await gonka(`${baseURL}/chat/completions`, init)).text();
  };
}

describe.each(WAYS)("over %s", (_name, open) => {
  it("a connection that the server closes as the next request goes out on it costs no answer", async () => {
    let posts = 0;
    const baseURL = await listen((socket, number) => {
      posts += 1;
      if (number > 1) socket.resetAndDestroy();
      else answer(socket);
    });
    const send = ask(baseURL, open());
    for (let call = 0; call < 3; call += 1) expect(await send()).toBe(BODY);
    expect(posts).toBeGreaterThan(3);
  });

  it("a connection that was promised to be kept, and breaks all the same, may have brought the request", async () => {
    let posts = 0;
    const baseURL = await listen((socket, number) => {
      posts += 1;
      if (number > 1) socket.resetAndDestroy();
      else answer(socket, "keep-alive: timeout=60\r\n");
    });
    const send = ask(baseURL, open());
    // Which call meets a used connection is the pool's to choose.
    const ends: unknown[] = [];
    while (ends.length < 10 && ends.every((end) => end === BODY)) ends.push(await send().catch((thrown) => thrown));
    expect(ends.at(-1)).toMatchObject({ code: "unreachable", charged: "maybe" });
    expect(posts).toBe(ends.length);
  });

  it("an answer that is not coded as it says is named, and not asked for again", async () => {
    let posts = 0;
    const baseURL = await listen((socket) => {
      posts += 1;
      answer(socket, "content-encoding: GZIP\r\n");
    });
    const error: ZephError = await ask(baseURL, open())().catch((thrown) => thrown);
    expect(error).toMatchObject({ code: "bad_response", detail: "it is not coded as its content-encoding says" });
    expect(posts).toBe(1);
  });

  it.each([
    ["resets", (socket: Socket) => socket.resetAndDestroy()],
    ["closes", (socket: Socket) => socket.destroy()],
    ["sends something that is not HTTP", (socket: Socket) => socket.end("SSH-2.0-OpenSSH\r\n")],
  ])("a new connection that %s after the request was sent is not asked again", async (_how, end) => {
    let posts = 0;
    const baseURL = await listen((socket) => {
      posts += 1;
      end(socket);
    });
    const error: ZephError = await ask(baseURL, open())().catch((thrown) => thrown);
    expect(error).toMatchObject({ code: "unreachable", charged: "maybe" });
    expect(posts).toBe(1);
  });
});
