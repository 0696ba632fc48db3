import { MESSAGE_ROLES, NETWORK_LIMITS } from "../../protocol/network-parameters.ts";
import { asObject, type JsonObject } from "./as-object.ts";

/** What the network has against the messages, or nothing. The text begins with the path of the field. */
export function checkMessages(messages: readonly unknown[]): string | undefined {
  if (messages.length > NETWORK_LIMITS.maxMessages)
    return `messages: at most ${NETWORK_LIMITS.maxMessages} are allowed`;
  for (const [index, entry] of messages.entries()) {
    const problem = checkMessage(asObject(entry) ?? {});
    if (problem !== undefined) return `messages[${index}]${problem}`;
  }
  return undefined;
}

function checkMessage(message: JsonObject): string | undefined {
  const { role } = message;
  if (!MESSAGE_ROLES.some((known) => known === role)) return `.role: must be one of ${MESSAGE_ROLES.join(", ")}`;
  if (role === "function" && (typeof message.name !== "string" || message.name === "")) return ".name: is required";
  if (role === "tool" && (typeof message.tool_call_id !== "string" || message.tool_call_id === "")) {
    return ".tool_call_id: is required";
  }
  return checkOwners(message) ?? checkContent(message) ?? checkToolCalls(message.tool_calls);
}

/** Fields that belong to one role only; null counts as absent. */
const OWNERS = { tool_calls: "assistant", function_call: "assistant", tool_call_id: "tool" } as const;

function checkOwners(message: JsonObject): string | undefined {
  for (const [field, owner] of Object.entries(OWNERS)) {
    const isThere = message[field] !== undefined && message[field] !== null;
    if (isThere && message.role !== owner) return `.${field}: is only allowed on ${owner} messages`;
  }
  return undefined;
}

function checkContent(message: JsonObject): string | undefined {
  const { content, role } = message;
  if (typeof content === "string") return undefined;
  // Empty assistant turns and tool results are not refused but cleaned up.
  if (content === null || content === undefined) return mayBeEmpty(role) ? undefined : ".content: is required";
  if (!Array.isArray(content)) return ".content: must be a string or an array of text parts";
  if (content.length === 0 && !mayBeEmpty(role)) return ".content: must not be empty";
  for (const [index, part] of content.entries()) {
    const { type, text } = asObject(part) ?? {};
    if (type !== "text" || typeof text !== "string") return `.content[${index}]: only text parts are supported`;
  }
  return undefined;
}

function mayBeEmpty(role: unknown): boolean {
  return role === "assistant" || role === "tool";
}

function checkToolCalls(calls: unknown): string | undefined {
  if (calls === undefined || calls === null) return undefined;
  if (!Array.isArray(calls)) return ".tool_calls: must be an array";
  const seen = new Set<unknown>();
  for (const [index, entry] of calls.entries()) {
    const call = asObject(entry);
    const name = asObject(call?.function)?.name;
    if (typeof call?.id !== "string" || call.id === "") return `.tool_calls[${index}].id is required`;
    if (typeof name !== "string" || name.trim() === "") return `.tool_calls[${index}].function.name is required`;
    if (seen.has(call.id)) return `.tool_calls[${index}].id is duplicated`;
    seen.add(call.id);
  }
  return undefined;
}
