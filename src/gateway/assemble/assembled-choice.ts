import { asObject, type JsonObject } from "../read-json-body.ts";
import { addCallPieces, finishedCalls, type OpenCall } from "./assembled-call.ts";
import { isUnwanted, type WantedFields } from "./unwanted-fields.ts";

/** One choice of an answer, put together from its deltas. */
export interface AssembledChoice {
  add(choice: JsonObject): void;
  finish(): JsonObject;
}

export function assembledChoice(index: number, wanted: WantedFields): AssembledChoice {
  /** Texts that grow: content, and the two names thinking goes by. */
  const texts = new Map<string, string>();
  const others: Record<string, unknown> = {};
  const calls = new Map<number, OpenCall>();
  const logprobs: unknown[] = [];
  const tokenIds: unknown[] = [];
  let finishReason: unknown = null;

  function addDelta(delta: JsonObject): void {
    for (const [name, value] of Object.entries(delta)) {
      if (value === null || value === undefined || isUnwanted(name, wanted)) continue;
      if (name === "tool_calls") addCallPieces(calls, value);
      else if (name === "function_call")
        others.function_call = joinCall(asObject(others.function_call), asObject(value));
      else if (name === "role" || name === "__proto__") continue;
      else if (typeof value === "string") texts.set(name, (texts.get(name) ?? "") + value);
      else others[name] = Array.isArray(value) ? [...asList(others[name]), ...value] : value;
    }
  }
  return {
    add(choice) {
      addDelta(asObject(choice.delta) ?? asObject(choice.message) ?? {});
      if (choice.finish_reason !== null && choice.finish_reason !== undefined) finishReason = choice.finish_reason;
      if (wanted.logprobs) logprobs.push(...asList(asObject(choice.logprobs)?.content));
      if (wanted.tokenIds) tokenIds.push(...asList(choice.token_ids));
    },
    finish() {
      const toolCalls = finishedCalls(calls);
      const isCall = toolCalls.length > 0 || others.function_call !== undefined;
      // Null where something else was said, as in answers that were not streamed.
      const content = texts.get("content") || (isCall || texts.size > 1 || !texts.has("content") ? null : "");
      const rest = Object.fromEntries([...texts].filter(([name]) => name !== "content"));
      return {
        index,
        message: {
          role: "assistant",
          content,
          ...rest,
          ...others,
          ...(toolCalls.length === 0 ? {} : { tool_calls: toolCalls }),
        },
        ...(logprobs.length === 0 ? {} : { logprobs: { content: logprobs } }),
        ...(tokenIds.length === 0 ? {} : { token_ids: tokenIds }),
        finish_reason: finishReason,
      };
    },
  };
}

function joinCall(before: JsonObject | undefined, piece: JsonObject | undefined): JsonObject {
  return {
    name: before?.name ?? piece?.name ?? "",
    arguments: `${text(before?.arguments)}${text(piece?.arguments)}`,
  };
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function asList(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
