export type JsonObject = Readonly<Record<string, unknown>>;

/** The value when it is a JSON object: not an array, not null. */
export function asObject(value: unknown): JsonObject | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as JsonObject) : undefined;
}

/** Size of a value as UTF-8 JSON, or of a string as UTF-8. */
export function byteLength(value: unknown): number {
  return Buffer.byteLength(typeof value === "string" ? value : (JSON.stringify(value) ?? ""));
}

/** Nesting of a JSON value: a plain value is 0, `[]` is 1. Stops counting beyond `limit`. */
export function jsonDepth(value: unknown, limit: number): number {
  if (typeof value !== "object" || value === null) return 0;
  if (limit <= 0) return 1;
  const children: readonly unknown[] = Object.values(value);
  return 1 + children.reduce<number>((deepest, child) => Math.max(deepest, jsonDepth(child, limit - 1)), 0);
}

/** How many values a JSON value holds, itself included. */
export function countNodes(value: unknown): number {
  if (typeof value !== "object" || value === null) return 1;
  const children: readonly unknown[] = Object.values(value);
  return children.reduce<number>((sum, child) => sum + countNodes(child), 1);
}
