// The AI SDK with a tool: the model asks for the weather, the program answers, the model goes on.
import { stepCountIs, streamText, tool } from "ai";
import { createGonka } from "zeph/ai-sdk";
import { z } from "zod";

const gonka = createGonka({
  baseURL: process.env.GONKA_BASE_URL ?? "https://api.gonkagate.com/v1",
  apiKey: process.env.GONKAGATE_API_KEY,
});

const result = streamText({
  model: gonka(process.env.GONKA_MODEL ?? "moonshotai/kimi-k2.6"),
  prompt: "What is the weather in Oslo?",
  tools: {
    weather: tool({
      description: "Get the weather in a city",
      inputSchema: z.object({ city: z.string() }),
      execute: async ({ city }) => {
        console.log(`tool: weather in ${city}`);
        return { city, sky: "sunny", celsius: 21 };
      },
    }),
  },
  stopWhen: stepCountIs(3),
});

for await (const piece of result.textStream) process.stdout.write(piece);

const { totalTokens } = await result.totalUsage;
const metadata = await result.providerMetadata;
// Absent when the broker does not tell: that means unknown, not free.
console.log(`\n${totalTokens} tokens, ${metadata?.gonka?.costUsd ?? "unknown"} USD`);
