import { isRecord, parseRecord } from "./json-record.ts";

/** Tool arguments as the wire wants them: a string of JSON. Some servers send the object itself, or null. */
export function toArgumentsText(value: unknown): string {
  if (typeof value === "string") return value;
  return isRecord(value) || Array.isArray(value) ? JSON.stringify(value) : "";
}

/**
 * Mends arguments that were sent twice: MiniMax parsers write an unfinished object and then the whole one
 * (`{"a":1{"a":1,"b":2}`), or the whole one twice. (sgl-project/sglang #23071; gonka-ai/gonka
 * docs/chat-api/minimax-m2.7.md.) Only a restart is cut: what comes first must be the beginning of what follows.
 */
export function withoutRestart(text: string): string {
  if (!text.startsWith("{") || parseRecord(text) !== undefined) return text;
  for (let at = text.indexOf("{", 1); at !== -1; at = text.indexOf("{", at + 1)) {
    const first = text.slice(0, at).trimEnd();
    const second = text.slice(at);
    if (second.startsWith(first) && parseRecord(second) !== undefined) return second;
  }
  return text;
}
