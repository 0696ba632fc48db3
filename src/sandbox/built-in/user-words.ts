import type { ChatMessage } from "../engine.ts";

/**
 * Blocks that coding agents put beside what the user wrote: reminders, the surroundings, house rules. Tags that wrap the
 * user's own words, such as `<task>`, are not among them.
 */
const REMINDER =
  /<([\w-]*(?:reminder|environment|context|instructions|details|permissions|rules|skills)[\w-]*)\b[^>]*>[\s\S]*?<\/\1>/gi;
const RULES_HEADING = /^# AGENTS\.md instructions[^\n]*$/gim;
const WRAPPING = /^\s*<([\w-]+)>\s*([\s\S]*?)\s*<\/\1>\s*$/;

/** What the user wrote in a message, part by part, without what an agent put beside it. */
export function userWords(message: ChatMessage | undefined): readonly string[] {
  const { content } = message ?? {};
  const parts = Array.isArray(content) ? content.map(textOf) : [typeof content === "string" ? content : ""];
  return parts.map(ownWords).filter((text) => text !== "");
}

/** The last of the user's messages that holds words of the user's own. */
export function lastQuestion(messages: readonly ChatMessage[]): ChatMessage | undefined {
  return messages.findLast((message) => message.role === "user" && userWords(message).length > 0);
}

/** Is it the model's turn because of what the user wrote? Whatever an agent put behind it does not count. */
export function openQuestion(messages: readonly ChatMessage[]): ChatMessage | undefined {
  const last = messages.findLast(speaks);
  return last?.role === "user" ? last : undefined;
}

/** Not a reminder, wherever it stands and whichever role it was given. */
export function speaks(message: ChatMessage): boolean {
  if (message.role === "system" || message.role === "developer") return false;
  return message.role !== "user" || userWords(message).length > 0;
}

function textOf(part: unknown): string {
  return typeof part === "object" && part !== null && "text" in part && typeof part.text === "string" ? part.text : "";
}

function ownWords(text: string): string {
  const own = text.replace(REMINDER, "").replace(RULES_HEADING, "").trim();
  return WRAPPING.exec(own)?.[2] ?? own;
}
