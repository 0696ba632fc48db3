import type { ChatMessage } from "../engine.ts";

/**
 * Blocks that coding agents put beside what the user wrote: reminders, the surroundings, house rules. Tags that wrap the
 * user's own words, such as `<task>`, are not among them.
 */
const REMINDER =
  /<([\w-]*(?:reminder|environment|context|instructions|details|permissions|rules|skills)[\w-]*)\b[^>]*>[\s\S]*?<\/\1>/gi;
/** Beside words of the user it is a reminder; alone it is what the agent itself asks for. */
const NOTE = "[SYSTEM]";
const SYSTEM_NOTE = /(?<=\S[\s\S]*)^\[SYSTEM\][\s\S]*$/m;
const RULES_HEADING = /^# AGENTS\.md instructions[^\n]*$/gim;
const WRAPPING = /^\s*<([\w-]+)>\s*([\s\S]*?)\s*<\/\1>\s*$/;

/** What the user wrote in a message, part by part, without what an agent put beside it. */
export function userWords(message: ChatMessage | undefined): readonly string[] {
  const { content } = message ?? {};
  const parts = Array.isArray(content) ? content.map(textOf) : [typeof content === "string" ? content : ""];
  const own = parts.map(ownWords).filter((text) => text !== "");
  const words = own.filter((text) => !text.startsWith(NOTE));
  return words.length === 0 ? own : words;
}

/** The last of the user's messages that holds words of the user's own. */
export function lastQuestion(messages: readonly ChatMessage[]): ChatMessage | undefined {
  const open = openQuestion(messages);
  if (open !== undefined) return open;
  return messages.findLast((message) => message.role === "user" && userWords(message).length > 0);
}

/** What the user wrote since the model or a tool spoke; whatever an agent put behind it does not count. */
export function openQuestion(messages: readonly ChatMessage[]): ChatMessage | undefined {
  const said = messages.filter(speaks);
  const open = said.slice(said.findLastIndex(({ role }) => role !== "user") + 1);
  return open.findLast((message) => !isNote(message)) ?? open.at(-1);
}

function isNote(message: ChatMessage): boolean {
  return userWords(message).every((text) => text.startsWith(NOTE));
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
  const own = text.replace(REMINDER, "").replace(RULES_HEADING, "").replace(SYSTEM_NOTE, "").trim();
  return WRAPPING.exec(own)?.[2] ?? own;
}
