// What the gateways stand in front of: answers at once, or streams words at a steady pace.
import { createServer } from "node:http";
import { WORDS } from "./words.mjs";

const ANSWER = JSON.stringify({
  id: "chatcmpl-bench",
  object: "chat.completion",
  created: 1_767_225_600,
  model: "bench/model-1",
  choices: [
    { index: 0, message: { role: "assistant", content: "some words of an answer ".repeat(20) }, finish_reason: "stop" },
  ],
  usage: { prompt_tokens: 500, completion_tokens: 100, total_tokens: 600 },
});
const chunk = (fields) =>
  `data: ${JSON.stringify({ id: "chatcmpl-bench", object: "chat.completion.chunk", created: 1_767_225_600, model: "bench/model-1", ...fields })}\n\n`;
const WORD = chunk({ choices: [{ index: 0, delta: { content: "some words " }, finish_reason: null }] });
const END = `${chunk({ choices: [], usage: { prompt_tokens: 500, completion_tokens: 50, total_tokens: 550 } })}data: [DONE]\n\n`;

const PACE_MS = 20;

const server = createServer((request, response) => {
  let body = "";
  request.setEncoding("utf8").on("data", (piece) => {
    body += piece;
  });
  request.on("end", () => {
    if (!body.includes('"stream":true')) {
      response.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(ANSWER) });
      return response.end(ANSWER);
    }
    response.writeHead(200, { "content-type": "text/event-stream" });
    let sent = 0;
    const timer = setInterval(() => {
      if (response.destroyed) return clearInterval(timer);
      sent += 1;
      response.write(WORD);
      if (sent < WORDS) return;
      clearInterval(timer);
      response.end(END);
    }, PACE_MS);
  });
});
// Connections outlive the pauses between turns, so that none is closed while a request is on its way to it.
server.keepAliveTimeout = 60_000;
server.listen(Number(process.argv[2]), "127.0.0.1", () => process.send?.({ ready: true }));
