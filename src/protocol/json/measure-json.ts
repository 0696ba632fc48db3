import type { JsonObject } from "./read-value.ts";

const encoder = new TextEncoder();

/** Size of a value as UTF-8 JSON, or of a string as UTF-8. */
export function byteLength(value: unknown): number {
  return encoder.encode(typeof value === "string" ? value : (JSON.stringify(value) ?? "")).length;
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
