import { isRecord, type JsonRecord } from "./json-record.ts";
import { toArgumentsText } from "./tool-arguments.ts";

/** Mends the chunks of one stream. It remembers which tool calls have begun. */
export interface ChunkRepairer {
  /** The chunk as a strict decoder wants it. */
  repair(chunk: JsonRecord): JsonRecord;
  /** A last chunk with what was held back, where it belongs to a call; otherwise nothing. */
  finish(): JsonRecord | undefined;
}

/** A tool call that has its name. */
interface BegunCall {
  readonly choice: number;
  readonly index: number;
  hasArguments: boolean;
}

/**
 * One stream's repairs: chunks without `choices` (usage alone) get an empty list, arguments become strings, and entries
 * that never get a name (MiniMax writes one call as two entries, the second with `name: null`) are held until a name
 * comes or the stream ends. Nothing waits that a decoder could have used: it needs the name first, too.
 */
export function chunkRepairer(): ChunkRepairer {
  const begun = new Map<string, BegunCall>();
  const held = new Map<string, { readonly choice: number; readonly index: number; argumentsText: string }>();

  function repairEntry(entry: unknown, choice: number): JsonRecord | undefined {
    if (!isRecord(entry)) return undefined;
    const inner = isRecord(entry.function) ? entry.function : {};
    const argumentsText = toArgumentsText(inner.arguments);
    const repaired = { ...entry, function: { ...inner, arguments: argumentsText } };
    if (typeof entry.index !== "number") return repaired;
    const key = `${choice}:${entry.index}`;
    const call = begun.get(key);
    if (call !== undefined) {
      call.hasArguments ||= argumentsText !== "";
      return repaired;
    }
    const waiting = held.get(key);
    const text = (waiting?.argumentsText ?? "") + argumentsText;
    if (typeof inner.name !== "string") {
      held.set(key, { choice, index: entry.index, argumentsText: text });
      return undefined;
    }
    held.delete(key);
    begun.set(key, { choice, index: entry.index, hasArguments: text !== "" });
    return { ...repaired, function: { ...inner, arguments: text } };
  }

  function repairChoice(choice: unknown): unknown {
    if (!isRecord(choice) || !isRecord(choice.delta) || !Array.isArray(choice.delta.tool_calls)) return choice;
    const place = typeof choice.index === "number" ? choice.index : 0;
    const calls = choice.delta.tool_calls.flatMap((entry) => repairEntry(entry, place) ?? []);
    return { ...choice, delta: { ...choice.delta, tool_calls: calls } };
  }

  return {
    repair(chunk) {
      if (typeof chunk.error === "string") return { ...chunk, error: { message: chunk.error } };
      if (Array.isArray(chunk.choices)) return { ...chunk, choices: chunk.choices.map(repairChoice) };
      return isRecord(chunk.error) ? chunk : { ...chunk, choices: [] };
    },
    finish() {
      const choices = [...held.values()].flatMap(({ choice, argumentsText }) => {
        const calls = [...begun.values()].filter((call) => call.choice === choice && !call.hasArguments);
        const target = calls.at(-1);
        // A call with arguments of its own needs none; then the held ones were its duplicate.
        if (target === undefined || argumentsText === "") return [];
        target.hasArguments = true;
        const entry = { index: target.index, function: { arguments: argumentsText } };
        return [{ index: choice, delta: { tool_calls: [entry] }, finish_reason: null }];
      });
      held.clear();
      return choices.length === 0 ? undefined : { choices };
    },
  };
}
