import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { afterEach, expect, it } from "vitest";
import { gonkaFetch } from "../client/gonka-fetch.ts";

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
