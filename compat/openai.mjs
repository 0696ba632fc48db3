// The official client, in the majors below and above the one zeph is tested with everywhere else.
//   node openai.mjs 5        or 7
import assert from "node:assert/strict";
import { gonkaOpenAIOptions } from "../dist/openai/index.js";
import { startSandbox } from "../dist/sandbox/index.js";

const [major = "7"] = process.argv.slice(2);
const { default: OpenAI } = await import(`openai-${major}`);
const sandbox = await startSandbox();
const { baseURL, keys, requests } = sandbox.broker;
const connect = (apiKey) => new OpenAI({ ...gonkaOpenAIOptions({ kind: "broker", baseURL, apiKey }), maxRetries: 3 });
const client = connect(keys.good);
const messages = [{ role: "user", content: "say hello" }];

const checks = {
  async chat() {
    const answer = await client.chat.completions.create({ model: "sandbox/echo-1", messages });
    assert.match(answer.choices[0].message.content, /hello/i);
  },
  async "a stream"() {
    let text = "";
    const stream = await client.chat.completions.create({ model: "sandbox/echo-1", messages, stream: true });
    for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? "";
    assert.match(text, /hello/i);
  },
  async "models and embeddings"() {
    assert.equal((await client.models.retrieve("sandbox/echo-1")).id, "sandbox/echo-1");
    const { data } = await client.embeddings.create({ model: "sandbox/embed-1", input: "Oslo" });
    assert.ok(data[0].embedding.length > 0);
  },
  async "a refusal: one request, typed, with its request id"() {
    const before = requests.length;
    const error = await connect(keys.wrong)
      .models.list()
      .catch((thrown) => thrown);
    assert.ok(error instanceof OpenAI.AuthenticationError);
    assert.match(error.requestID, /\S/);
    assert.equal(requests.length - before, 1);
  },
  async "no answer: our three attempts, not three times three"() {
    sandbox.broker.faults.always({ kind: "refuse" });
    const before = requests.length;
    const error = await client.models.list().catch((thrown) => thrown);
    assert.equal(error.code, "unreachable");
    assert.equal(requests.length - before, 3);
  },
};

try {
  for (const [name, check] of Object.entries(checks)) {
    await check();
    process.stdout.write(`ok  openai ${major}: ${name}\n`);
  }
} finally {
  await sandbox.stop();
}
