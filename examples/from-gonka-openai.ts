// For programs that used gonka-openai: the same environment variables, with the current `openai`.
import OpenAI from "openai";
import { connectionFromEnvironment, gonkaOpenAIOptions } from "zeph/openai";

const client = new OpenAI(gonkaOpenAIOptions(await connectionFromEnvironment(process.env)));

const [model] = (await client.models.list()).data;
const answer = await client.chat.completions.create({
  model: model?.id ?? "",
  messages: [{ role: "user", content: "Count to 5." }],
});
console.log(`${model?.id}: ${answer.choices[0]?.message.content}`);
