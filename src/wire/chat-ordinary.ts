import type { OpenChoice } from "./chat-choice.ts";
import { type ChatChunk, parseJson } from "./chat-shape.ts";
import { decode } from "./sse.ts";

/**
 * An event that is a piece of text and nothing else. All that follow with the same bytes around their text mean the same,
 * so of the thousands in a stream only a few have to be parsed.
 */
export interface OrdinaryEvent {
  /** Where an event like this one ends that begins at `start`; 0 when what stands there is not like it. */
  match(bytes: Uint8Array, start: number, limit: number): number;
  /** The chunk of an event that did match. */
  chunkOf(bytes: Uint8Array, start: number, end: number): ChatChunk;
}

/** Learns from an event whose bytes may be passed on; `undefined` when it says more than a piece of text. */
export function ordinaryEvent(raw: Uint8Array, chunk: ChatChunk, choice: OpenChoice): OrdinaryEvent | undefined {
  const field = textField(chunk);
  if (field === undefined || !choice.isPlain(field)) return undefined;
  const place = findText(raw, field);
  if (place === undefined) return undefined;
  // Copies: the piece they came in should not stay for as long as the stream.
  const before = Uint8Array.from(raw.subarray(0, place.from));
  const after = Uint8Array.from(raw.subarray(place.to));
  return {
    match(bytes, start, limit) {
      const from = start + before.length;
      if (from + after.length > limit || !isSame(before, bytes, start) || !choice.isPlain(field)) return 0;
      const to = endOfText(bytes, from, limit);
      const end = to + after.length;
      return to === -1 || end > limit || !isSame(after, bytes, to) ? 0 : end;
    },
    chunkOf(bytes, start, end) {
      const written = decode(bytes, start + before.length, end - after.length);
      return withText(chunk, field, written.includes("\\") ? String(parseJson(`"${written}"`)) : written);
    },
  };
}

type TextField = "content" | "reasoning_content" | "reasoning";

/** The one field of a delta that holds anything. */
function textField({ choices: [choice] }: ChatChunk): TextField | undefined {
  if (choice === undefined || (choice.logprobs !== undefined && choice.logprobs !== null)) return undefined;
  const { delta } = choice;
  const filled = Object.keys(delta).filter((name) => isFilled(delta[name]));
  // The reader has written its own name beside this one.
  const [field, other] = filled.filter((name) => name !== "reasoning_content" || delta.reasoning === undefined);
  const isText = field === "content" || field === "reasoning_content" || field === "reasoning";
  return isText && other === undefined ? field : undefined;
}

function isFilled(value: unknown): boolean {
  return value !== null && value !== undefined && value !== "" && !(Array.isArray(value) && value.length === 0);
}

const SPACE = 0x20;
const QUOTE = 0x22;
const COLON = 0x3a;
const LESS_THAN = 0x3c;
const BACKSLASH = 0x5c;

/** Where the text of this field begins and ends in an event. */
function findText(raw: Uint8Array, field: TextField): { readonly from: number; readonly to: number } | undefined {
  const name = `"${field}"`;
  const event = decode(raw);
  const at = event.indexOf(name);
  // Only there, and at the same place among the bytes as among the characters.
  if (at === -1 || event.indexOf(name, at + 1) !== -1 || raw.subarray(0, at).some((byte) => byte > 0x7f))
    return undefined;
  if (field === "reasoning" && event.includes('"reasoning_content"')) return undefined;
  let from = at + name.length;
  while (raw[from] === SPACE) from += 1;
  if (raw[from] !== COLON) return undefined;
  from += 1;
  while (raw[from] === SPACE) from += 1;
  if (raw[from] !== QUOTE) return undefined;
  from += 1;
  const to = endOfText(raw, from, raw.length);
  return to === -1 ? undefined : { from, to };
}

/** The short escapes; one by number may stand for anything. */
const ESCAPES: readonly number[] = Array.from('"\\/bfnrt', (character) => character.charCodeAt(0));

/** Where the JSON text that begins here ends; -1 where it holds what must be looked at in full: a possible tag, a fault. */
function endOfText(bytes: Uint8Array, from: number, limit: number): number {
  for (let at = from; at < limit; at += 1) {
    const byte = bytes[at];
    if (byte === QUOTE) return at;
    if (byte === undefined || byte < SPACE || byte === LESS_THAN) return -1;
    if (byte !== BACKSLASH) continue;
    at += 1;
    if (!ESCAPES.includes(bytes[at] ?? 0)) return -1;
  }
  return -1;
}

function isSame(part: Uint8Array, bytes: Uint8Array, from: number): boolean {
  for (let at = part.length - 1; at >= 0; at -= 1) if (part[at] !== bytes[from + at]) return false;
  return true;
}

function withText(chunk: ChatChunk, field: TextField, text: string): ChatChunk {
  const [choice] = chunk.choices;
  if (choice === undefined) return chunk;
  const delta = { ...choice.delta, [field]: text };
  if (field === "reasoning") delta.reasoning_content = text;
  return { ...chunk, choices: [{ ...choice, delta }] };
}
