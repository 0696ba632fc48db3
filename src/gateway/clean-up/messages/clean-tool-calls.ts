import type { ChangeLog } from "../change-log.ts";
import { invalid, MAX_CALLS } from "../invalid.ts";
import { asObject, type JsonObject, jsonDepth, without } from "../json.ts";
import type { CallIds } from "./call-ids.ts";

/** The calls of one assistant turn: each with an id of its own, a name, and its arguments as text. */
export function cleanToolCalls(message: JsonObject, at: string, ids: CallIds, log: ChangeLog): JsonObject {
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
