// gonkaFetch against bare fetch: small JSON answers and a long stream, alternating in one run against one server.
// Aim: a stream within 10 %, less than 0.3 ms added to a small request.
import { createServer } from "node:http";
import { gonkaFetch } from "../dist/index.js";
import { median, quantile, table } from "./measure.mjs";

const JSON_BODY = JSON.stringify({ choices: [{ message: { role: "assistant", content: "hello" } }], usage: {} });
const EVENT = `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: "some words of an answer " } }] })}\n\n`;
const EVENTS = 5_000;

const server = createServer((request, response) => {
  request.resume();
  request.on("end", async () => {
    if (request.url !== "/v1/stream") {
      response.writeHead(200, { "content-type": "application/json" });
      return response.end(JSON_BODY);
    }
    response.writeHead(200, { "content-type": "text/event-stream" });
    // One event a write, as models send them.
    for (let sent = 0; sent < EVENTS; sent += 1) {
      if (!response.write(EVENT)) await new Promise((resolve) => response.once("drain", resolve));
    }
    response.end("data: [DONE]\n\n");
  });
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const base = `http://127.0.0.1:${server.address().port}/v1`;
const gonka = gonkaFetch({ kind: "broker", baseURL: base, apiKey: "gp-bench" });
const init = {
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify({ messages: [{ role: "user", content: "x".repeat(2000) }] }),
};

async function time(send, url, read) {
  const started = process.hrtime.bigint();
  await read(await send(url, init));
  return Number(process.hrtime.bigint() - started) / 1e6;
}
const readJson = (response) => response.json();
async function readStream(response) {
  let bytes = 0;
  for await (const chunk of response.body) bytes += chunk.length;
  if (bytes < EVENTS * EVENT.length) throw new Error("the stream is incomplete");
}

const rows = [];
for (const [name, path, read, rounds] of [
  ["JSON answer", "/json", readJson, 2000],
  ["stream of 5 000 events", "/stream", readStream, 25],
]) {
  const bare = [];
  const ours = [];
  for (let round = 0; round < rounds + 10; round += 1) {
    // Alternating order, so that neither profits from going second.
    const pair =
      round % 2 === 0
        ? [
            [bare, fetch],
            [ours, gonka],
          ]
        : [
            [ours, gonka],
            [bare, fetch],
          ];
    for (const [list, send] of pair) {
      const elapsed = await time(send, base + path, read);
      if (round >= 10) list.push(elapsed);
    }
  }
  const added = median(ours) - median(bare);
  rows.push([
    name,
    median(bare).toFixed(3),
    median(ours).toFixed(3),
    `${added >= 0 ? "+" : ""}${added.toFixed(3)}`,
    (median(ours) / median(bare)).toFixed(3),
    (quantile(ours, 0.99) / quantile(bare, 0.99)).toFixed(3),
  ]);
}
table(["median ms", "fetch", "gonkaFetch", "added", "ratio", "ratio p99"], rows);
server.close();
server.closeAllConnections();
