import { asObject, type JsonObject } from "./as-object.ts";

/**
 * What the network does to messages it accepts: text parts become one string, tool results that answer no call and
 * assistant turns that say nothing are left out without a word, and an empty tool result gets a text.
 */
export function cleanMessages(messages: readonly JsonObject[]): readonly JsonObject[] {
  const known = new Set<unknown>();
  const kept: JsonObject[] = [];
  for (const message of messages) {
    const calls = Array.isArray(message.tool_calls) ? message.tool_calls : [];
    for (const call of calls) known.add(asObject(call)?.id);
    const content = joinParts(message.content);
    if (message.role === "tool") {
      const { name: _, ...rest } = message;
      if (known.has(message.tool_call_id)) kept.push({ ...rest, content: isEmpty(content) ? NO_RESULT : content });
    } else if (message.role !== "assistant" || !isEmpty(content) || calls.length > 0 || hasFunctionCall(message)) {
      kept.push({ ...message, content });
    }
  }
  return kept;
}

const NO_RESULT = "<empty tool result>";

function isEmpty(content: unknown): boolean {
  return content === undefined || content === null || content === "";
}

function hasFunctionCall(message: JsonObject): boolean {
  return asObject(message.function_call) !== undefined;
}

function joinParts(content: unknown): unknown {
  return Array.isArray(content) ? content.map((part) => asObject(part)?.text ?? "").join("") : content;
}
