import { asObject, type JsonObject, jsonDepth, without } from "../base/json.ts";
import {
  type ChangeLog,
  type CleanUpOptions,
  invalid,
  isMediaType,
  MAX_CALLS,
  MAX_ENTRIES,
  MESSAGE_ROLES,
  mediaRefused,
  tooMany,
} from "./parameters.ts";

const MESSAGES_PER_STEP = 32;

/** The words the network itself puts in the place of a result that is empty. */
const NO_RESULT = "<empty tool result>";

/**
 * Messages the network takes. What it would leave out without a word (results without a call, turns that say nothing) is
 * left out here and named, because the model then knows less than the caller believes.
 */
export function* cleanMessages(
  value: unknown,
  log: ChangeLog,
  options: CleanUpOptions,
): Generator<undefined, readonly JsonObject[]> {
  if (!Array.isArray(value) || value.length === 0)
    throw invalid("messages", "must be a list with at least one message");
  if (value.length > MAX_ENTRIES.messages) throw tooMany("messages");
  const given: readonly unknown[] = value;
  const messages = given.map((message, index) => cleanMessage(message, `messages[${index}]`, log));
  const ids = callIds(namedIds(messages));
  let lastFunction: string | undefined;
  const kept: JsonObject[] = [];
  for (const [index, message] of messages.entries()) {
    if (index % MESSAGES_PER_STEP === 0) yield;
    const at = `messages[${index}]`;
    const cleaned = cleanTurn(message, { at, ids, log, lastFunction, options });
    if (cleaned === undefined) log.removed(at);
    lastFunction = functionName(message) ?? lastFunction;
    if (cleaned !== undefined) kept.push(cleaned);
  }
  if (kept.length === 0) throw invalid("messages", "none of them says anything");
  return kept;
}

interface Turn {
  readonly at: string;
  readonly ids: CallIds;
  readonly log: ChangeLog;
  readonly lastFunction: string | undefined;
  readonly options: CleanUpOptions;
}

function cleanTurn(message: JsonObject, turn: Turn): JsonObject | undefined {
  switch (message.role) {
    case "assistant":
      return cleanAssistant(cleanName(message, turn), turn);
    case "tool":
      return cleanResult(message, turn);
    case "function":
      return cleanFunctionResult(message, turn);
    default:
      return cleanName(message, turn);
  }
}

/** Nodes refuse names of speakers; brokers take them. */
function cleanName(message: JsonObject, { at, log, options }: Turn): JsonObject {
  if (options.access !== "native" || message.name === undefined) return message;
  log.removed(`${at}.name`);
  return without(message, ["name"]);
}

function cleanAssistant(message: JsonObject, { at, ids, log }: Turn): JsonObject | undefined {
  const cleaned = cleanToolCalls(message, at, ids, log);
  const saysSomething =
    !isEmpty(cleaned.content) || cleaned.tool_calls !== undefined || asObject(cleaned.function_call) !== undefined;
  return saysSomething ? cleaned : undefined;
}

function cleanResult(message: JsonObject, { at, ids, log }: Turn): JsonObject | undefined {
  const id = ids.answer(message.tool_call_id);
  if (id === undefined) return undefined;
  const content = isEmpty(message.content) ? NO_RESULT : message.content;
  if (id === message.tool_call_id && content === message.content) return message;
  if (id !== message.tool_call_id) log.changed(`${at}.tool_call_id`);
  else log.touched();
  return { ...message, tool_call_id: id, content };
}

function cleanFunctionResult(message: JsonObject, { at, log, lastFunction }: Turn): JsonObject | undefined {
  if (typeof message.name === "string" && message.name.trim() !== "") return message;
  if (lastFunction === undefined) return undefined;
  log.changed(`${at}.name`);
  return { ...message, name: lastFunction };
}

function functionName(message: JsonObject): string | undefined {
  const name = asObject(message.function_call)?.name;
  return typeof name === "string" && name.trim() !== "" ? name : undefined;
}

function isEmpty(content: unknown): boolean {
  return (
    content === undefined || content === null || content === "" || (Array.isArray(content) && content.length === 0)
  );
}

function namedIds(messages: readonly JsonObject[]): ReadonlySet<string> {
  const ids = messages.flatMap(({ tool_calls: calls }) =>
    Array.isArray(calls) ? calls.map((call: unknown) => asObject(call)?.id) : [],
  );
  return new Set(ids.filter((id) => typeof id === "string"));
}

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
function cleanMessage(value: unknown, at: string, log: ChangeLog): JsonObject {
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

/** Parts of other APIs that are text under another name. */
const TEXT_TYPES: ReadonlySet<unknown> = new Set(["text", "input_text", "output_text", undefined]);

/** Parts that repeat what a model thought; the network has other fields for it. */
const THINKING_TYPES: ReadonlySet<unknown> = new Set(["thinking", "redacted_thinking", "reasoning"]);

/**
 * Content the network takes: a text, a list of text parts, or nothing. Gives back the value itself when it is fine.
 * Throws `unsupported_capability` for images and other media, `invalid_request` for what is no content at all.
 * @param at path of the content in the request
 */
function cleanContent(content: unknown, role: string, at: string): unknown {
  if (typeof content === "string") return content;
  if (content === null || content === undefined) return mayBeEmpty(role) ? content : "";
  if (typeof content === "number" || typeof content === "boolean") return String(content);
  if (Array.isArray(content)) return cleanParts(content, role, at);
  const single = asObject(content);
  if (typeof single?.type === "string") return cleanParts([single], role, at);
  if (role === "tool" || role === "function") return toolResult(content, at);
  throw invalid(at, "must be a text or a list of text parts");
}

function mayBeEmpty(role: string): boolean {
  return role === "assistant" || role === "tool";
}

function cleanParts(parts: readonly unknown[], role: string, at: string): unknown {
  const cleaned = parts.flatMap((part, index) => {
    const kept = cleanPart(part, `${at}[${index}]`);
    return kept === undefined ? [] : [kept];
  });
  if (cleaned.length === 0) return mayBeEmpty(role) ? null : "";
  const isSame = cleaned.length === parts.length && cleaned.every((part, index) => part === parts[index]);
  return isSame ? parts : cleaned;
}

function cleanPart(value: unknown, at: string): JsonObject | undefined {
  if (typeof value === "string") return { type: "text", text: value };
  if (value === null) return undefined;
  const part = asObject(value);
  if (part === undefined) throw invalid(at, "must be a text part");
  const { type, text } = part;
  if (isMediaType(type)) throw mediaRefused(at, type);
  if (THINKING_TYPES.has(type)) return undefined;
  if (type === "refusal" && typeof part.refusal === "string") return { type: "text", text: part.refusal };
  if (!TEXT_TYPES.has(type)) throw invalid(`${at}.type`, "only text parts are taken");
  if (text === null || text === undefined) return undefined;
  if (typeof text !== "string") throw invalid(`${at}.text`, "must be a text");
  // What else a part holds (cache marks, annotations) is not for this network.
  return type === "text" && Object.keys(part).length === 2 ? part : { type: "text", text };
}

function toolResult(content: unknown, at: string): string {
  // A result nested a million levels deep would overflow the stack of the serialiser.
  if (jsonDepth(content, 513) > 512) throw invalid(at, "is nested too deeply");
  return JSON.stringify(content);
}

/** The calls of one assistant turn: each with an id of its own, a name, and its arguments as text. */
function cleanToolCalls(message: JsonObject, at: string, ids: CallIds, log: ChangeLog): JsonObject {
  if (message.tool_calls === undefined) return message;
  if (!Array.isArray(message.tool_calls)) {
    log.removed(`${at}.tool_calls`);
    return without(message, ["tool_calls"]);
  }
  const given: readonly unknown[] = message.tool_calls;
  if (given.length > MAX_CALLS) throw invalid(`${at}.tool_calls`, `has more than ${MAX_CALLS} calls`);
  const turn = ids.turn();
  const calls = given.flatMap((value, index) => {
    const name = `${at}.tool_calls[${index}]`;
    const call = cleanCall(value);
    if (call === undefined) {
      // MiniMax streams one call as two entries, the second without a name.
      log.removed(name);
      return [];
    }
    const id = turn.idFor(call.id, String(asObject(call.function)?.name));
    if (id === call.id && call === value) return [call];
    log.changed(name);
    return [id === call.id ? call : { ...call, id }];
  });
  if (calls.length === 0) return without(message, ["tool_calls"]);
  return calls.length === given.length && calls.every((call, index) => call === given[index])
    ? message
    : { ...message, tool_calls: calls };
}

function cleanCall(value: unknown): JsonObject | undefined {
  const call = asObject(value);
  const target = asObject(call?.function);
  if (call === undefined || typeof target?.name !== "string" || target.name.trim() === "") return undefined;
  const text = argumentsText(target.arguments);
  if (text === target.arguments && call.type === "function" && jsonDepth(call, 3) <= 2) return call;
  return {
    ...(call.id === undefined ? {} : { id: call.id }),
    type: "function",
    function: { name: target.name, arguments: text },
  };
}

/** Some models and clients give arguments as an object. */
function argumentsText(value: unknown): string {
  if (typeof value === "string") return value;
  if (typeof value !== "object" || value === null || jsonDepth(value, 513) > 512) return "{}";
  return JSON.stringify(value);
}

/** Ids of tool calls in the order of a conversation, and which calls still wait for their result. */
interface CallIds {
  /** Begins the calls of one assistant turn. Within it no id may come twice. */
  turn(): { idFor(given: unknown, functionName: string): string };
  /** The id a result belongs to: of the first open call with its id, or, for a result without one, of the first open call. */
  answer(given: unknown): string | undefined;
}

interface OpenCall {
  readonly given: string;
  readonly id: string;
}

/**
 * Calls with an id that their turn has already, or with none, get `functions.<name>:<number in the conversation>`, the
 * form Kimi itself uses. Nothing is left out: two calls with one id may both have real results, and those are handed out
 * in order.
 * @param usedIds every id the conversation names, so that a new one is new
 */
function callIds(usedIds: ReadonlySet<string>): CallIds {
  /** In the order of the conversation; and the same by the id that was given, as a search per result would take long. */
  const open = new Set<OpenCall>();
  const openByGiven = new Map<string, Set<OpenCall>>();
  const answered = new Set<string>();
  let count = 0;

  /** Where the search for a free number goes on, so that a conversation of taken ones is walked through once. */
  const nextNumbers = new Map<string, number>();
  function freshId(functionName: string): string {
    let number = Math.max(count, nextNumbers.get(functionName) ?? 0);
    while (usedIds.has(`functions.${functionName}:${number}`)) number += 1;
    nextNumbers.set(functionName, number + 1);
    return `functions.${functionName}:${number}`;
  }
  return {
    turn() {
      const inTurn = new Set<string>();
      return {
        idFor(given, functionName) {
          const isUsable = typeof given === "string" && given.trim() !== "" && !inTurn.has(given);
          const id = isUsable ? given : freshId(functionName);
          inTurn.add(id);
          const call = { given: typeof given === "string" ? given : "", id };
          open.add(call);
          const alike = openByGiven.get(call.given);
          if (alike === undefined) openByGiven.set(call.given, new Set([call]));
          else alike.add(call);
          count += 1;
          return id;
        },
      };
    },
    answer(given) {
      const wanted = typeof given === "string" && given.trim() !== "" ? given : undefined;
      const candidates = wanted === undefined ? open : openByGiven.get(wanted);
      const call: OpenCall | undefined = candidates?.values().next().value;
      if (call !== undefined) {
        open.delete(call);
        openByGiven.get(call.given)?.delete(call);
        answered.add(call.id);
        return call.id;
      }
      // A second result of the same call is unusual, but the network takes it.
      return wanted !== undefined && answered.has(wanted) ? wanted : undefined;
    },
  };
}
