import OpenAI from "openai";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { gonkaFetch } from "../../src/client/gonka-fetch.ts";
import { type Listening, listen, localGateway } from "../../src/gateway/index.ts";
import { type Sandbox, startSandbox } from "../../src/sandbox/index.ts";

const KEY = "sk-zeph-local-test-key";
const CHAT = "sandbox/echo-1";
const messages = [{ role: "user" as const, content: "say hello" }];

let sandbox: Sandbox;
let listening: Listening;

beforeAll(async () => {
  sandbox = await startSandbox();
  const upstream = gonkaFetch({ kind: "broker", baseURL: sandbox.broker.baseURL, apiKey: sandbox.broker.keys.good });
  listening = await listen(localGateway({ upstream, key: KEY }), { port: 0 });
});
afterAll(async () => {
  await listening.close();
  await sandbox.stop();
});
afterEach(() => sandbox.broker.faults.clear());

const client = () => new OpenAI({ baseURL: listening.baseURL, apiKey: KEY, maxRetries: 0 });

describe("the official client", () => {
  it("chats", async () => {
    const answer = await client().chat.completions.create({ model: CHAT, messages });
    expect(answer.choices[0]?.message.content?.toLowerCase()).toContain("hello");
    expect(answer._request_id).toMatch(/^zeph-/);
  });
  it("streams", async () => {
    const stream = await client().chat.completions.create({ model: CHAT, messages, stream: true });
    let text = "";
    for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? "";
    expect(text.toLowerCase()).toContain("hello");
  });
  it("lists models", async () => {
    expect((await client().models.list()).data.map(({ id }) => id)).toContain(CHAT);
    expect(await client().models.retrieve(CHAT)).toMatchObject({ id: CHAT });
  });
  it("embeds", async () => {
    const { data } = await client().embeddings.create({ model: "sandbox/embed-1", input: ["one", "two"] });
    expect(data).toHaveLength(2);
  });
  it("is refused with another key", async () => {
    const stranger = new OpenAI({ baseURL: listening.baseURL, apiKey: "sk-other", maxRetries: 0 });
    await expect(stranger.models.list()).rejects.toBeInstanceOf(OpenAI.AuthenticationError);
  });
});
