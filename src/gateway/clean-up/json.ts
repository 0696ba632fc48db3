import { asObject, type JsonObject } from "../read-json-body.ts";

export { asObject, type JsonObject };

/** Size of a value as UTF-8 JSON, or of a string as UTF-8. */
export function byteLength(value: unknown): number {
  return Buffer.byteLength(typeof value === "string" ? value : (JSON.stringify(value) ?? ""));
}

/** Nesting of a JSON value: a plain value is 0, `[]` is 1. Looks no deeper than `limit`, so that hostile input costs nothing. */
export function jsonDepth(value: unknown, limit: number): number {
  if (typeof value !== "object" || value === null) return 0;
  if (limit <= 0) return 1;
  let deepest = 0;
  for (const child of Array.isArray(value) ? value : Object.values(value)) {
    if (typeof child === "object") deepest = Math.max(deepest, jsonDepth(child, limit - 1));
  }
  return deepest + 1;
}

/** How many values a JSON value holds, itself included. Stops counting beyond `limit`. */
export function countValues(value: unknown, limit: number): number {
  if (typeof value !== "object" || value === null) return 1;
  let count = 1;
  for (const child of Object.values(value)) {
    if (count > limit) return count;
    count += countValues(child, limit - count);
  }
  return count;
}

/** A text of at most `maxBytes` of UTF-8, cut between characters. */
export function cutBytes(text: string, maxBytes: number): string {
  if (Buffer.byteLength(text) <= maxBytes) return text;
  const bytes = Buffer.from(text).subarray(0, maxBytes);
  // A character that was cut in two decodes to U+FFFD.
  return bytes.toString("utf8").replace(/\ufffd+$/, "");
}

/** The object without some of its fields. */
export function without(object: JsonObject, names: readonly string[]): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([name]) => !names.includes(name)));
}
