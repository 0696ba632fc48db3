import { scrub } from "../base/secret.ts";
import { callTracker } from "./chat-calls.ts";
import {
  type ChatChunk,
  type ChatReadOptions,
  isRecord,
  type Json,
  parseJson,
  REASONING_NAMES,
  readContent,
  readReasoning,
} from "./chat-shape.ts";
import { type OfferedTools, type TextPiece, textReader } from "./chat-text.ts";
import { decode } from "./sse.ts";

/** One choice of an answer while it arrives, in one piece or many. */
export interface OpenChoice {
  /** Its finish reason has come. */
  isFinished: boolean;
  /** Whether a text of this field without `<` passes as it is. */
  isPlain(field: "content" | "reasoning_content" | "reasoning"): boolean;
  /** Puts a delta right, in place. True when something was changed. */
  tidy(delta: Json): boolean;
  /** Whether the delta should wait for the next one. */
  readonly isProvisional: boolean;
  /** The delta that waited is passed on: takes out of it what the next one has shown to be wrong. True when it changed. */
  settle(delta: Json): boolean;
  /** What is still held back, as a delta. After a cut, arguments stay as they came. */
  rest(isCut: boolean): Json | undefined;
  /** The finish reason that fits what came. */
  meantReason(reason: string): string;
}

interface OpenChoiceOptions {
  readonly newId: () => string;
  readonly tools: OfferedTools;
  readonly thinking?: ChatReadOptions["thinking"];
  readonly isPatient?: ChatReadOptions["isPatient"];
  readonly notice: (text: string) => void;
}

/** What was said, sorted. */
interface Spoken {
  content: string;
  reasoning: string;
  readonly calls: unknown[];
  /** Whether thinking stood in the content. */
  isInTags: boolean;
}

export function openChoice({
  newId,
  tools,
  thinking = "apart",
  isPatient = false,
  notice,
}: OpenChoiceOptions): OpenChoice {
  const text = textReader({ thinking, isPatient, tools, notice });
  const thought = textReader({ thinking: "none", isPatient, tools, notice });
  const calls = callTracker({ newId, tools, notice });
  let hasFunctionCall = false;

  function speak(into: Spoken, channel: "content" | "reasoning", pieces: readonly TextPiece[]): void {
    for (const piece of pieces) {
      if (piece.type === "call") into.calls.push(calls.addWhole(piece.call));
      else if (piece.type === "content") into[channel] += piece.text;
      else {
        into.reasoning += piece.text;
        into.isInTags = true;
      }
    }
  }

  function read(given: string, channel: "content" | "reasoning", into: Spoken): void {
    const reader = channel === "content" ? text : thought;
    if (reader.isPlain && !given.includes("<")) into[channel] += given;
    else speak(into, channel, reader.push(given));
  }

  /** Content that is no text becomes one; what in it is thinking goes to the thinking. */
  function tidyContent(delta: Json): string | undefined {
    const { content } = delta;
    if (content === undefined || content === null || typeof content === "string") return undefined;
    const found = readContent(content);
    delta.content = found.content;
    if (found.refusal !== "" && typeof delta.refusal !== "string") delta.refusal = found.refusal;
    if (found.others.length > 0) {
      notice(`parts of the answer that are no text were left out: ${scrub(found.others.join(", "))}`);
    }
    return found.reasoning;
  }

  function tidyReasoning(delta: Json, given: string | undefined, reasoning: string): boolean {
    if (given === undefined && reasoning === "") return false;
    const own = delta.reasoning_content;
    if (own === reasoning) return false;
    // vLLM's newer name, which clients know.
    const isAlias = (own === undefined || own === null) && delta.reasoning === reasoning;
    delta.reasoning_content = reasoning;
    if (isAlias) return false;
    // The other names would say something else than this one.
    for (const name of REASONING_NAMES) {
      if (name !== "reasoning_content" && delta[name] !== undefined && delta[name] !== null) delete delta[name];
    }
    return true;
  }

  function tidyCalls(delta: Json, written: readonly unknown[]): boolean {
    const { tool_calls: list } = delta;
    if (list === undefined || list === null || (Array.isArray(list) && list.length === 0)) {
      if (written.length > 0) delta.tool_calls = written;
      return written.length > 0;
    }
    const given = Array.isArray(list) ? list : isRecord(list) ? [list] : [];
    const entries = calls.add(given);
    if (entries === list && written.length === 0) return false;
    if (entries.length + written.length > 0) delta.tool_calls = [...entries, ...written];
    else delete delta.tool_calls;
    return true;
  }

  return {
    isFinished: false,
    isPlain: (field) => (field === "content" ? text.isPlain : thought.isPlain),
    tidy(delta) {
      let isChanged = false;
      const { role } = delta;
      if (role !== undefined && role !== null && role !== "assistant") {
        if (role === "") delete delta.role;
        else delta.role = "assistant";
        isChanged = true;
      }
      if (isRecord(delta.function_call)) hasFunctionCall = true;
      const spoken: Spoken = { content: "", reasoning: "", calls: [], isInTags: false };
      let reasoning = readReasoning(delta);
      const thoughtInParts = tidyContent(delta);
      if (thoughtInParts !== undefined) {
        isChanged = true;
        reasoning = thoughtInParts === "" ? reasoning : (reasoning ?? "") + thoughtInParts;
      }
      const { content } = delta;
      if (reasoning !== undefined && reasoning !== "") {
        text.expectAnswer();
        read(reasoning, "reasoning", spoken);
      }
      if (typeof content === "string") read(content, "content", spoken);
      if (typeof content === "string" && spoken.content !== content) {
        delta.content = spoken.content;
        isChanged = true;
      }
      if (tidyReasoning(delta, reasoning, spoken.reasoning)) isChanged = true;
      if (spoken.isInTags) delta.thinking_in_tags = true;
      return tidyCalls(delta, spoken.calls) || isChanged;
    },
    get isProvisional() {
      return calls.isProvisional;
    },
    settle(delta) {
      const indexes = calls.settle();
      if (indexes.length === 0 || !Array.isArray(delta.tool_calls)) return false;
      for (const call of delta.tool_calls) {
        if (isRecord(call) && isRecord(call.function) && indexes.includes(Number(call.index)))
          call.function.arguments = "";
      }
      return true;
    },
    rest(isCut) {
      const spoken: Spoken = { content: "", reasoning: "", calls: [], isInTags: false };
      speak(spoken, "reasoning", thought.end());
      speak(spoken, "content", text.end());
      const all = [...spoken.calls, ...calls.finish(isCut)];
      if (spoken.content === "" && spoken.reasoning === "" && all.length === 0) return undefined;
      return {
        ...(spoken.reasoning === "" ? {} : { reasoning_content: spoken.reasoning }),
        ...(spoken.isInTags ? { thinking_in_tags: true } : {}),
        ...(spoken.content === "" ? {} : { content: spoken.content }),
        ...(all.length === 0 ? {} : { tool_calls: all }),
      };
    },
    meantReason(reason) {
      if (reason === "stop" && calls.count > 0) return "tool_calls";
      if (reason !== "tool_calls" || calls.count > 0 || hasFunctionCall) return reason;
      notice("the endpoint announced a tool call that did not come");
      return "stop";
    },
  };
}

/** One delta in the place of two that follow each other. */
export function joinDeltas(first: Json, second: Json): Json {
  const joined: Json = { ...first };
  for (const name of ["content", "reasoning_content"]) {
    const text = `${typeof first[name] === "string" ? first[name] : ""}${typeof second[name] === "string" ? second[name] : ""}`;
    if (text !== "") joined[name] = text;
  }
  if (second.thinking_in_tags === true) joined.thinking_in_tags = true;
  const calls: unknown[] = [];
  for (const piece of [first.tool_calls, second.tool_calls].flat()) {
    if (!isRecord(piece)) continue;
    const at = calls.findIndex((call) => isRecord(call) && call.index === piece.index);
    const before = calls[at];
    if (isRecord(before) && isRecord(before.function) && isRecord(piece.function)) {
      const text = `${before.function.arguments}${piece.function.arguments}`;
      calls[at] = { ...before, function: { ...before.function, arguments: text } };
    } else calls.push(piece);
  }
  if (calls.length > 0) joined.tool_calls = calls;
  return joined;
}

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
