export { asObject, fitsBytes, jsonDepth, without } from "../../protocol/json/measure-json.ts";
export type { JsonObject } from "../../protocol/json/read-value.ts";

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
