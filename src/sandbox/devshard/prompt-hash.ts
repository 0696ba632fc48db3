import { sha256 } from "./curve.ts";

/**
 * `prompt_hash` as a host computes it: SHA-256 of the prompt, read and written again by Go's encoding/json. `undefined` for
 * what Go does not read. Written a second time, as the client's own code for it is under test.
 */
export function hashOfPrompt(prompt: Uint8Array): Buffer | undefined {
  const text = canonical(prompt);
  return text === undefined ? undefined : sha256(text);
}

/** The text that is hashed. */
export function canonical(json: Uint8Array): string | undefined {
  try {
    return write(JSON.parse(Buffer.from(json).toString("utf8")), 0);
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof RangeError) return undefined;
    throw error;
  }
}

/** `maxNestingDepth` of Go's encoding/json. */
const MAX_DEPTH = 10_000;

/** Throws RangeError for what Go does not read although it is JSON. */
function write(value: unknown, depth: number): string {
  if (typeof value === "string") return writeString(value);
  if (typeof value === "number") return writeNumber(value);
  if (typeof value !== "object" || value === null) return String(value);
  if (depth >= MAX_DEPTH) throw new RangeError("exceeded max depth");
  if (Array.isArray(value)) return `[${value.map((item) => write(item, depth + 1))}]`;
  // Keys that are equal when they are put right: the last one stays.
  const members = new Map(Object.entries(value).map(([key, member]) => [wellFormed(key), member]));
  const sorted = [...members].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  return `{${sorted.map(([key, member]) => `${writeString(key)}:${write(member, depth + 1)}`)}}`;
}

function writeNumber(value: number): string {
  if (!Number.isFinite(value)) throw new RangeError("a number does not fit into a float64");
  return Object.is(value, -0) ? "-0" : String(value);
}

function writeString(text: string): string {
  return JSON.stringify(wellFormed(text)).replaceAll("\u2028", "\\u2028").replaceAll("\u2029", "\\u2029");
}

/** Halves of surrogate pairs become U+FFFD. */
function wellFormed(text: string): string {
  return text.replace(/\p{Surrogate}/gu, "\ufffd");
}
