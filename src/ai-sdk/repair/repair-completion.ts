import { isRecord, type JsonRecord } from "./json-record.ts";
import { toArgumentsText, withoutRestart } from "./tool-arguments.ts";

/** Mends one `chat.completion` so that a strict decoder takes it. Gives the same object back when nothing was amiss. */
export function repairCompletion(completion: JsonRecord): JsonRecord {
  if (!Array.isArray(completion.choices)) return completion;
  return { ...completion, choices: completion.choices.map(repairChoice) };
}

function repairChoice(choice: unknown): unknown {
  if (!isRecord(choice) || !isRecord(choice.message)) return choice;
  const { tool_calls: calls, ...message } = choice.message;
  if (!Array.isArray(calls)) return choice;
  return { ...choice, message: { ...message, tool_calls: repairCalls(calls) } };
}

function repairCalls(entries: readonly unknown[]): readonly unknown[] {
  const seenIds = new Set<unknown>();
  const calls: { id: string | null; type: "function"; name: string; argumentsText: string }[] = [];
  for (const entry of entries) {
    const { name, argumentsText, id } = readCall(entry);
    const previous = calls.at(-1);
    if (name === undefined) {
      // One call written as two entries: the nameless one belongs to the call before it, or repeats it.
      if (previous?.argumentsText === "") previous.argumentsText = argumentsText;
      continue;
    }
    // A missing or repeated id is left to the SDK, which draws a fresh one for null.
    const isUsable = id !== undefined && !seenIds.has(id);
    seenIds.add(id);
    calls.push({ id: isUsable ? id : null, type: "function", name, argumentsText });
  }
  return calls.map(({ id, type, name, argumentsText }) => ({
    id,
    type,
    function: { name, arguments: argumentsText === "" ? "{}" : withoutRestart(argumentsText) },
  }));
}

function readCall(entry: unknown) {
  const call = isRecord(entry) ? entry : {};
  const inner = isRecord(call.function) ? call.function : {};
  return { id: nonBlank(call.id), name: nonBlank(inner.name), argumentsText: toArgumentsText(inner.arguments) };
}

function nonBlank(value: unknown): string | undefined {
  return typeof value === "string" && value.trim() !== "" ? value : undefined;
}
