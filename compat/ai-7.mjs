// `ai` 7 works with models of specification V4; this shows that it also takes ours, which are V3.
import assert from "node:assert/strict";
import { embed, generateText, jsonSchema, Output, stepCountIs, streamText, tool } from "ai";
import { createGonka, toZephError } from "../dist/ai-sdk/index.js";
import { startSandbox } from "../dist/sandbox/index.js";

globalThis.AI_SDK_LOG_WARNINGS = false;
const sandbox = await startSandbox();
const { baseURL, keys, requests } = sandbox.broker;
const gonka = createGonka({ baseURL, apiKey: keys.good });
const model = gonka("sandbox/echo-1");

const checks = {
  async "generateText, usage and cost"() {
    const { text, usage, providerMetadata } = await generateText({ model, prompt: "say hello" });
    assert.match(text, /hello/i);
    assert.ok(usage.totalTokens > 0);
    assert.ok(providerMetadata.gonka.costUsd > 0);
  },
  async "streamText and thinking"() {
    const result = streamText({ model: gonka("sandbox/muser-1"), prompt: "say hello" });
    assert.match(await result.text, /hello/i);
    assert.match(await result.reasoningText, /say hello/);
  },
  async "a tool in a stream"() {
    const weather = tool({
      description: "Get the weather in a city",
      inputSchema: jsonSchema({ type: "object", properties: { city: { type: "string" } }, required: ["city"] }),
      execute: async ({ city }) => `sunny in ${city}`,
    });
    const result = streamText({ model, prompt: "The weather in Oslo?", tools: { weather }, stopWhen: stepCountIs(3) });
    assert.match(await result.text, /sunny/);
  },
  async "structured output"() {
    const schema = jsonSchema({ type: "object", properties: { city: { type: "string" } }, required: ["city"] });
    const { output } = await generateText({ model, prompt: "Oslo", output: Output.object({ schema }) });
    assert.equal(typeof output.city, "string");
  },
  async embed() {
    const { embedding } = await embed({ model: gonka.embeddingModel("sandbox/embed-1"), value: "Oslo" });
    assert.ok(embedding.length > 0);
  },
  async "a refusal: one request, and its name"() {
    const before = requests.length;
    const poor = createGonka({ baseURL, apiKey: keys.outOfMoney });
    const error = await generateText({ model: poor("sandbox/echo-1"), prompt: "Hi" }).catch(toZephError);
    assert.equal(error.code, "insufficient_quota");
    assert.equal(requests.length - before, 1);
  },
  async "a connection that breaks once the question is out: one request, for it may be billed"() {
    sandbox.broker.faults.always({ kind: "refuse" });
    const before = requests.length;
    const error = await generateText({ model, prompt: "Hi" }).catch(toZephError);
    assert.equal(error.code, "unreachable");
    assert.equal(requests.length - before, 1);
    sandbox.broker.faults.clear();
  },
};

try {
  for (const [name, check] of Object.entries(checks)) {
    await check();
    process.stdout.write(`ok  ai 7: ${name}\n`);
  }
} finally {
  await sandbox.stop();
}
