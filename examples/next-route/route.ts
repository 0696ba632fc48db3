// app/api/chat/route.ts of a Next.js app with `useChat` in the page. Any framework whose handlers take a Request and
// give a Response runs it as it is. A broker's key needs nothing of Node, so the edge runtime is fine too.
import { convertToModelMessages, streamText, type UIMessage } from "ai";
import { createGonka, toZephError } from "zeph/ai-sdk";

const gonka = createGonka({
  baseURL: process.env.GONKA_BASE_URL ?? "https://api.gonkagate.com/v1",
  apiKey: process.env.GONKAGATE_API_KEY,
});

export async function POST(request: Request): Promise<Response> {
  const { messages } = (await request.json()) as { messages: UIMessage[] };
  const result = streamText({
    model: gonka(process.env.GONKA_MODEL ?? "moonshotai/kimi-k2.6"),
    messages: await convertToModelMessages(messages),
    // Who closes the page stops the model, and what it would have cost.
    abortSignal: request.signal,
  });
  return result.toUIMessageStreamResponse({
    onError: (error) => {
      const { message, hint } = toZephError(error);
      return `${message}. ${hint}`;
    },
  });
}
