import { type ChatRequest, messageText } from "../engine.ts";

/** Cuts text into what the sandbox calls tokens: up to eight letters with the space before them. Joined, they are the text. */
export function splitTokens(text: string): readonly string[] {
  return text.match(/\s*\S{1,8}|\s+/gu) ?? [];
}

export function countTokens(text: string): number {
  return splitTokens(text).length;
}

/** What a chat template adds around each message. */
const TOKENS_PER_MESSAGE = 4;

/** Size of a request's prompt: messages, tool calls in them, and tool definitions. */
export function countPromptTokens(request: Pick<ChatRequest, "messages" | "tools">): number {
  const messages = request.messages.reduce((sum, message) => {
    const calls = message.tool_calls === undefined ? "" : JSON.stringify(message.tool_calls);
    return sum + TOKENS_PER_MESSAGE + countTokens(messageText(message)) + countTokens(calls);
  }, 0);
  return messages + (request.tools === undefined ? 0 : countTokens(JSON.stringify(request.tools)));
}
