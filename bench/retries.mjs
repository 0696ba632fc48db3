// A failing upstream: attempts and time of the AI SDK's default provider against zeph/ai-sdk, same server, one run.
import { createServer } from "node:http";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText } from "ai";
import { createGonka } from "../dist/ai-sdk/index.js";
import { table } from "./measure.mjs";

const CASES = {
  "401 wrong key": [401, { error: { message: "bad key", code: "invalid_api_key" } }],
  "429 no money": [429, { error: { message: "no credit", code: "insufficient_quota" } }],
  "429 slow down": [429, { error: { message: "slow down", code: "rate_limit_exceeded" } }],
  "503 always": [503, { error: { message: "busy" } }],
};
let attempts = 0;
let answer = CASES["503 always"];
const server = createServer((request, response) => {
  attempts += 1;
  request.resume();
  response.writeHead(answer[0], { "content-type": "application/json" }).end(JSON.stringify(answer[1]));
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const baseURL = `http://127.0.0.1:${server.address().port}/v1`;
const providers = {
  "AI SDK default": createOpenAICompatible({ name: "plain", baseURL, apiKey: "k" }).chatModel("m"),
  "zeph/ai-sdk": createGonka({ baseURL, apiKey: "k" })("m"),
};
const rows = [];
for (const name of Object.keys(CASES)) {
  answer = CASES[name];
  for (const [provider, model] of Object.entries(providers)) {
    attempts = 0;
    const started = performance.now();
    const error = await generateText({ model, prompt: "hi" }).catch((thrown) => thrown);
    rows.push([
      name,
      provider,
      attempts,
      `${Math.round(performance.now() - started)} ms`,
      (error.cause?.code ?? error.name ?? "").slice(0, 40),
    ]);
  }
}
table(["upstream says", "provider", "attempts", "time", "error"], rows);
server.close();
server.closeAllConnections();
