// The SDKs that speak Responses and Messages, on `zeph serve`'s endpoint in front of the sandbox.
import assert from "node:assert/strict";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenResponses } from "@ai-sdk/open-responses";
import { createOpenAI } from "@ai-sdk/openai";
import Anthropic from "@anthropic-ai/sdk";
import { generateText, jsonSchema, stepCountIs, streamText, tool } from "ai";
import OpenAI from "openai-7";
import { listen, localGateway } from "../dist/gateway/index.js";
import { gonkaFetch } from "../dist/index.js";
import { startSandbox } from "../dist/sandbox/index.js";

globalThis.AI_SDK_LOG_WARNINGS = false;
const sandbox = await startSandbox({ tokensPerSecond: 200 });
const apiKey = "sk-zeph-compat-0123456789abcdef";
const { baseURL: upstreamURL, keys } = sandbox.broker;
const upstream = gonkaFetch({ kind: "broker", baseURL: upstreamURL, apiKey: keys.good });
const ended = [];
const gateway = localGateway({ upstream, key: apiKey, onRequest: (record) => ended.push(record.outcome) });
const endpoint = await listen(gateway, { port: 0 });
const { baseURL } = endpoint;
const id = "sandbox/echo-1";

const openai = new OpenAI({ apiKey, baseURL, maxRetries: 0 });
const anthropic = new Anthropic({ apiKey, baseURL: baseURL.slice(0, -"/v1".length), maxRetries: 0 });
const models = {
  "@ai-sdk/openai": createOpenAI({ apiKey, baseURL })(id),
  "@ai-sdk/anthropic": createAnthropic({ apiKey, baseURL })(id),
  "@ai-sdk/open-responses": createOpenResponses({ apiKey, url: `${baseURL}/responses`, name: "zeph" })(id),
};
const weather = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const question = "What is the weather in Oslo?";

async function cancelled(start) {
  const before = ended.length;
  await start();
  while (ended.length === before) await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(ended.at(-1), "caller-left");
}

const checks = {
  async "openai: responses, a stream, a tool"() {
    assert.match((await openai.responses.create({ model: id, input: "say hello" })).output_text, /hello/i);
    const tools = [{ type: "function", name: "get_weather", parameters: weather, strict: false }];
    const { output } = await openai.responses.stream({ model: id, input: question, tools }).finalResponse();
    assert.equal(output[0].name, "get_weather");
    const result = { type: "function_call_output", call_id: output[0].call_id, output: "4 degrees" };
    const input = [{ role: "user", content: question }, output[0], result];
    assert.match((await openai.responses.create({ model: id, input, tools })).output_text, /4 degrees/);
  },
  async "openai: cancel"() {
    await cancelled(async () => {
      const stream = await openai.responses.create({ model: id, input: "count to 900", stream: true });
      for await (const event of stream) if (event.type === "response.output_text.delta") break;
    });
  },
  async "anthropic: a message, a stream, a tool"() {
    const tools = [{ name: "get_weather", input_schema: weather }];
    const base = { model: id, max_tokens: 200, tools };
    const messages = [{ role: "user", content: question }];
    const asked = await anthropic.messages.stream({ ...base, messages }).finalMessage();
    const use = asked.content.find(({ type }) => type === "tool_use");
    assert.deepEqual(use.input, { city: "Oslo" });
    const result = { type: "tool_result", tool_use_id: use.id, content: "4 degrees" };
    messages.push({ role: "assistant", content: asked.content }, { role: "user", content: [result] });
    assert.match((await anthropic.messages.create({ ...base, messages })).content[0].text, /4 degrees/);
  },
  async "anthropic: cancel"() {
    await cancelled(async () => {
      const messages = [{ role: "user", content: "count to 900" }];
      const stream = anthropic.messages.stream({ model: id, max_tokens: 4000, messages });
      stream.once("text", () => stream.abort());
      await stream.finalMessage().catch(() => {});
    });
  },
};
for (const [name, model] of Object.entries(models)) {
  checks[`${name}: a text, a stream, a tool`] = async () => {
    assert.match((await generateText({ model, prompt: "say hello" })).text, /hello/i);
    let text = "";
    for await (const piece of streamText({ model, prompt: "count to 5" }).textStream) text += piece;
    assert.match(text, /1, 2, 3, 4, 5/);
    const tools = {
      get_weather: tool({ inputSchema: jsonSchema(weather), execute: async ({ city }) => `4 degrees in ${city}` }),
    };
    const answer = await generateText({ model, prompt: question, tools, stopWhen: stepCountIs(3) });
    assert.match(answer.text, /4 degrees in Oslo/);
  };
  checks[`${name}: cancel`] = () =>
    cancelled(async () => {
      const controller = new AbortController();
      const { textStream } = streamText({
        model,
        prompt: "count to 900",
        abortSignal: controller.signal,
        onError: () => {},
      });
      for await (const _piece of textStream) controller.abort();
    });
}

try {
  for (const [name, check] of Object.entries(checks)) {
    await check();
    process.stdout.write(`ok  ${name}\n`);
  }
} finally {
  await endpoint.close({ graceMs: 0 });
  await sandbox.stop();
}
