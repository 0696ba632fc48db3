import { GoJsonError, type GoValue, parseGoJson } from "../network/request/go-json.ts";
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
    return write(parseGoJson(json));
  } catch (error) {
    if (error instanceof GoJsonError || error instanceof RangeError) return undefined;
    throw error;
  }
}

function write(value: GoValue): string {
  switch (value.kind) {
    case "null":
      return "null";
    case "bool":
      return String(value.value);
    case "number":
      return writeNumber(value.raw);
    case "string":
      return writeString(value.value);
    case "array":
      return `[${value.items.map(write)}]`;
    case "object": {
      // The last of equal keys stays; a Map keeps it where the first one was, but they are sorted anyway.
      const members = new Map(value.entries.map(([key, member]) => [wellFormed(key), member]));
      const sorted = [...members].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
      return `{${sorted.map(([key, member]) => `${writeString(key)}:${write(member)}`)}}`;
    }
  }
}

/** Throws RangeError where Go says that a number does not fit. */
function writeNumber(raw: string): string {
  const value = Number(raw);
  if (!Number.isFinite(value)) throw new RangeError(`${raw} does not fit into a float64`);
  return Object.is(value, -0) ? "-0" : String(value);
}

function writeString(text: string): string {
  return JSON.stringify(wellFormed(text)).replaceAll("\u2028", "\\u2028").replaceAll("\u2029", "\\u2029");
}

/** Halves of surrogate pairs become U+FFFD. */
function wellFormed(text: string): string {
  return text.replace(/\p{Surrogate}/gu, "\ufffd");
}
