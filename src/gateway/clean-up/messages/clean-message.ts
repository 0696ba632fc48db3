import { MESSAGE_ROLES } from "../../../protocol/network-parameters.ts";
import type { ChangeLog } from "../change-log.ts";
import { invalid } from "../invalid.ts";
import { asObject, type JsonObject, jsonDepth } from "../json.ts";
import { cleanContent } from "./clean-content.ts";

const ROLES: ReadonlySet<unknown> = new Set(MESSAGE_ROLES);
/** Words other programs have for the same roles. */
const OTHER_ROLES: Readonly<Record<string, string>> = {
  human: "user",
  ai: "assistant",
  model: "assistant",
  bot: "assistant",
};
/** Fields that one role owns. On others the network refuses them. */
const OWNERS: ReadonlyMap<string, string> = new Map([
  ["tool_calls", "assistant"],
  ["function_call", "assistant"],
  ["tool_call_id", "tool"],
]);
/** A request may have 32 levels; `messages` and the message itself leave 29 to a field. */
const MAX_FIELD_LEVELS = 29;

/** One message with a role, a content and fields that fit together. Tool calls are looked at later, in their order. */
export function cleanMessage(value: unknown, at: string, log: ChangeLog): JsonObject {
  const message = asObject(value);
  if (message === undefined) throw invalid(at, "must be an object");
  const role = roleOf(message.role, at);
  const cleaned: Record<string, unknown> = { role };
  let isSame = role === message.role;
  for (const [name, field] of Object.entries(message)) {
    if (name === "role" || name === "content") continue;
    const verdict = fieldVerdict(name, field, role);
    if (verdict === "keep") {
      cleaned[name] = field;
      continue;
    }
    isSame = false;
    if (verdict === "refused") log.removed(`${at}.${name}`);
    else log.touched();
  }
  const content = cleanContent(message.content, role, `${at}.content`);
  if (content !== undefined) cleaned.content = content;
  if (content !== message.content || role !== message.role) log.changed(at);
  return isSame && content === message.content ? message : cleaned;
}

function roleOf(role: unknown, at: string): string {
  if (typeof role === "string") {
    if (ROLES.has(role)) return role;
    const translated = Object.hasOwn(OTHER_ROLES, role.toLowerCase()) ? OTHER_ROLES[role.toLowerCase()] : undefined;
    if (translated !== undefined) return translated;
  }
  throw invalid(`${at}.role`, `must be one of ${MESSAGE_ROLES.join(", ")}`);
}

function fieldVerdict(name: string, value: unknown, role: string): "keep" | "empty" | "refused" {
  // Null is how some clients leave a field out; nodes refuse its mere presence.
  if (value === null || value === undefined) return "empty";
  const owner = OWNERS.get(name);
  if (owner !== undefined && owner !== role) return "refused";
  if (name === "tool_calls" && Array.isArray(value) && value.length === 0) return "empty";
  // Names stand in the calls; the network strips this one, nodes refuse it.
  if (name === "name" && role === "tool") return "empty";
  if (name === "__proto__" || jsonDepth(value, MAX_FIELD_LEVELS + 1) > MAX_FIELD_LEVELS) return "refused";
  return "keep";
}
