// The official OpenAI SDK, pointed at Gonka by one import and one line.
import OpenAI from "openai";
import { gonkaOpenAIOptions } from "zeph/openai";

const client = new OpenAI(
  gonkaOpenAIOptions({
    kind: "broker",
    baseURL: process.env.GONKA_BASE_URL ?? "https://api.gonkagate.com/v1",
    apiKey: process.env.GONKAGATE_API_KEY,
  }),
);

const models = await client.models.list();
const model = process.env.GONKA_MODEL ?? models.data[0]?.id ?? "";

const answer = await client.chat.completions.create({
  model,
  messages: [{ role: "user", content: "What is 6 * 7?" }],
});
console.log(answer.choices[0]?.message.content);

const stream = await client.chat.completions.create({
  model,
  messages: [{ role: "user", content: "Count to 5." }],
  stream: true,
  stream_options: { include_usage: true },
});
for await (const chunk of stream) {
  process.stdout.write(chunk.choices[0]?.delta.content ?? "");
  if (chunk.usage) console.log(`\n${chunk.usage.completion_tokens} tokens`);
}

// Refusals are the SDK's own classes; `x-zeph-error-code` says what they mean, and nothing was tried twice in vain.
try {
  await client.chat.completions.create({ model: "no-such-model", messages: [{ role: "user", content: "Hello" }] });
} catch (error) {
  if (!(error instanceof OpenAI.NotFoundError)) throw error;
  console.log(`${error.status} ${error.headers.get("x-zeph-error-code")}`);
}
