// An engine of your own for the sandbox: real answers of any OpenAI-compatible server, behind the sandbox's keys and faults.
import OpenAI from "openai";
import { type Engine, startSandbox } from "zeph/testing";

const server = new OpenAI({
  baseURL: process.env.GONKA_BASE_URL ?? "http://127.0.0.1:11434/v1",
  apiKey: process.env.GONKAGATE_API_KEY ?? "none",
});

const engine: Engine = {
  async models() {
    const { data } = await server.models.list();
    const prices = { promptUsdPer1M: 0.1, completionUsdPer1M: 0.3 };
    return data.map(({ id }) => ({ id, kind: "chat", contextLengthTokens: 32_768, maxOutputTokens: 4096, ...prices }));
  },
  async *complete({ model, messages, tools }, signal) {
    const asked = { model, messages, tools } as unknown as Pick<
      OpenAI.ChatCompletionCreateParams,
      "model" | "messages"
    >;
    const stream = await server.chat.completions.create(
      { ...asked, stream: true, stream_options: { include_usage: true } },
      { signal },
    );
    let reason: "stop" | "length" | "tool_calls" = "stop";
    let usage = { promptTokens: 0, completionTokens: 0, cachedTokens: 0 };
    for await (const chunk of stream) {
      const { prompt_tokens: promptTokens, completion_tokens: completionTokens } = chunk.usage ?? {};
      if (promptTokens !== undefined)
        usage = { promptTokens, completionTokens: completionTokens ?? 0, cachedTokens: 0 };
      const [choice] = chunk.choices;
      if (choice?.finish_reason === "length" || choice?.finish_reason === "tool_calls") reason = choice.finish_reason;
      if (choice?.delta.content) yield { type: "text", text: choice.delta.content };
      for (const { index, id, function: called } of choice?.delta.tool_calls ?? []) {
        const first = { ...(id ? { id } : {}), ...(called?.name ? { name: called.name } : {}) };
        yield { type: "tool-call", index, ...first, argumentsJson: called?.arguments ?? "" };
      }
    }
    yield { type: "finish", reason, usage };
  },
};

// Asked as any other sandbox: its own key, and one bad moment on purpose.
const sandbox = await startSandbox({ engine });
const { baseURL, keys, faults } = sandbox.broker;
faults.next({ kind: "status", status: 503, on: "/chat/completions" });
const client = new OpenAI({ baseURL, apiKey: keys.good });
const [model] = sandbox.broker.models;
const answer = await client.chat.completions.create({
  model: process.env.GONKA_MODEL ?? model?.id ?? "",
  messages: [{ role: "user", content: "Count to 5." }],
});
console.log(`${answer.choices[0]?.message.content} (${answer.usage?.total_tokens} tokens)`);
console.log(sandbox.broker.requests.map(({ status }) => status).join(", "));
await sandbox.stop();
