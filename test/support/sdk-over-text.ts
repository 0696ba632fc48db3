import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";

/** The official SDK, whose one answer is the given text: its parsers are not ours. */
export function openaiOver(text: string, status = 200): OpenAI {
  return new OpenAI({ apiKey: "k", baseURL: "http://127.0.0.1:1/v1", maxRetries: 0, fetch: answering(text, status) });
}

/** The official SDK, whose one answer is the given text: its parsers are not ours. */
export function anthropicOver(text: string, status = 200): Anthropic {
  return new Anthropic({ apiKey: "k", baseURL: "http://127.0.0.1:1", maxRetries: 0, fetch: answering(text, status) });
}

function answering(text: string, status: number): () => Promise<Response> {
  const type = /^(?:event|data|:)/.test(text) ? "text/event-stream" : "application/json";
  return async () => new Response(text, { status, headers: { "content-type": type } });
}
