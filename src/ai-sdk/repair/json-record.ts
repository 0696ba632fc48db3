import { parseForeignJson } from "../../internal/scan-json.ts";
/** A JSON object while it is being mended. */
export type JsonRecord = Record<string, unknown>;

export function isRecord(value: unknown): value is JsonRecord {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The parsed object, or undefined when the text is no JSON object: such text is passed on as it is. */
export function parseRecord(text: string): JsonRecord | undefined {
  try {
    const json: unknown = parseForeignJson(text);
    return isRecord(json) ? json : undefined;
  } catch {
    // Not JSON, or a part of it: for the decoder to judge, not for the repair.
    return undefined;
  }
}
