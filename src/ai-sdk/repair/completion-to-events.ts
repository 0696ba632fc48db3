import { isRecord, type JsonRecord } from "./json-record.ts";

/** A whole completion as an event stream, for endpoints that answer a streaming request with JSON. */
export function completionToEvents(completion: JsonRecord): string {
  const choices = Array.isArray(completion.choices) ? completion.choices : [];
  const chunk = {
    ...completion,
    object: "chat.completion.chunk",
    choices: choices.filter(isRecord).map(({ message, ...choice }) => ({ ...choice, delta: toDelta(message) })),
  };
  return `data: ${JSON.stringify(chunk)}\n\ndata: [DONE]\n\n`;
}

function toDelta(message: unknown): JsonRecord {
  if (!isRecord(message)) return {};
  if (!Array.isArray(message.tool_calls)) return message;
  const calls = message.tool_calls.filter(isRecord).map((call, index) => ({ index, ...call }));
  return { ...message, tool_calls: calls };
}
