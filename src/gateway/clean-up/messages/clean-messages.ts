import type { ChangeLog } from "../change-log.ts";
import type { CleanUpOptions } from "../clean-up-options.ts";
import { invalid, MAX_ENTRIES, tooMany } from "../invalid.ts";
import { asObject, type JsonObject, without } from "../json.ts";
import { type CallIds, callIds } from "./call-ids.ts";
import { cleanMessage } from "./clean-message.ts";
import { cleanToolCalls } from "./clean-tool-calls.ts";

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
