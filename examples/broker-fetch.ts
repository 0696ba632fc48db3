// Plain fetch through a broker: the model list, one answer, one stream. No SDK at all.
import { gonkaFetch, listModels } from "zeph";

interface Completion {
  choices: { message: { content: string } }[];
  usage: { total_tokens: number };
}

const gonka = gonkaFetch({
  kind: "broker",
  baseURL: process.env.GONKA_BASE_URL ?? "https://api.gonkagate.com/v1",
  apiKey: process.env.GONKAGATE_API_KEY,
});

const models = await listModels(gonka);
console.log(`models: ${models.map(({ id }) => id).join(", ")}`);

const post = (body: object) =>
  gonka(`${gonka.baseURL}/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: models[0]?.id, ...body }),
  });

const answer = await post({ messages: [{ role: "user", content: "Count to 5." }] });
const { choices, usage } = (await answer.json()) as Completion;
console.log(`answer: ${choices[0]?.message.content} (${usage.total_tokens} tokens)`);

const stream = await post({ messages: [{ role: "user", content: "Count to 3." }], stream: true });
for await (const bytes of stream.body ?? []) process.stdout.write(bytes);
