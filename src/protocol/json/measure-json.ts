import type { JsonObject } from "./read-value.ts";

const encoder = new TextEncoder();

/** Size of a value as UTF-8 JSON, or of a string as UTF-8. */
function byteLength(value: unknown): number {
  return encoder.encode(typeof value === "string" ? value : (JSON.stringify(value) ?? "")).length;
}

/** Whether a value takes at most `maxBytes`, as {@link byteLength} counts. What is far larger is not written out to be measured. */
export function fitsBytes(value: unknown, maxBytes: number): boolean {
  return leastBytes(value, maxBytes) <= maxBytes && byteLength(value) <= maxBytes;
}

/** What a value takes at least. Stops counting beyond `limit`. */
function leastBytes(value: unknown, limit: number): number {
  if (typeof value === "string") return value.length;
  if (typeof value !== "object" || value === null) return 1;
  let least = 2;
  if (Array.isArray(value)) {
    for (const entry of value) {
      least += leastBytes(entry, limit - least);
      if (least > limit) return least;
    }
    return least;
  }
  for (const name in value) {
    least += name.length + 3 + leastBytes(Reflect.get(value, name), limit - least);
    if (least > limit) return least;
  }
  return least;
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

/** The value when it is a JSON object: not an array, not null. */
export function asObject(value: unknown): JsonObject | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as JsonObject) : undefined;
}

/** The object without some of its fields. */
export function without(object: JsonObject, names: readonly string[]): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([name]) => !names.includes(name)));
}
