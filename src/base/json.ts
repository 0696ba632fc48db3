import { ZephError } from "../errors.ts";

export type JsonObject = Readonly<Record<string, unknown>>;

/** A function that turns an unknown value into a known one or throws `bad_response`, naming the place. */
export type Reader<T> = (value: unknown, place: string) => T;

export function unreadable(place: string, fault: string): ZephError {
  return new ZephError("bad_response", { detail: `${place} ${fault}` });
}

export function readObject(value: unknown, place: string): JsonObject {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as JsonObject;
  throw unreadable(place, "is not an object");
}

export function readText(value: unknown, place: string): string {
  if (typeof value === "string") return value;
  throw unreadable(place, "is not text");
}

export function readBoolean(value: unknown, place: string): boolean {
  if (typeof value === "boolean") return value;
  throw unreadable(place, "is neither true nor false");
}

/** An integer, written as a number or as decimal text; nodes of different versions do either. Exact. */
export function readInteger(value: unknown, place: string): bigint {
  if (typeof value === "string" && /^-?\d{1,39}$/.test(value)) return BigInt(value);
  if (typeof value !== "number" || !Number.isInteger(value)) throw unreadable(place, "is not an integer");
  if (!Number.isSafeInteger(value)) throw unreadable(place, "has lost digits; read the answer with parseExactJson");
  return BigInt(value);
}

/** An integer that must not be negative: heights, weights, amounts. */
export function readAmount(value: unknown, place: string): bigint {
  const amount = readInteger(value, place);
  if (amount < 0n) throw unreadable(place, "is negative");
  return amount;
}

/** A decimal number, written as a number or as text. */
export function readNumber(value: unknown, place: string): number {
  const number = typeof value === "string" && /^-?\d+(?:\.\d+)?$/.test(value) ? Number(value) : value;
  if (typeof number === "number" && Number.isFinite(number)) return number;
  throw unreadable(place, "is not a number");
}

export function readList<T>(value: unknown, place: string, readItem: Reader<T>): readonly T[] {
  if (!Array.isArray(value)) throw unreadable(place, "is not a list");
  return value.map((item, index) => readItem(item, `${place}[${index}]`));
}

/** `undefined` for a value that is absent or null: both mean the same on this network. */
export function optional<T>(value: unknown, place: string, read: Reader<T>): T | undefined {
  return value === undefined || value === null ? undefined : read(value, place);
}

/** A JSON string, or a JSON number. Strings come first so that digits inside them are left alone. */
const TOKEN = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
const LONG_INTEGER = /^-?\d{16,}$/;

/**
 * `JSON.parse` that keeps every digit of integers above 2⁵³: they come out as decimal strings, which every parser of this
 * folder reads like numbers. Nodes write balances and heights as bare numbers. Throws `bad_response`.
 */
export function parseExactJson(text: string): unknown {
  try {
    refuseExcess(text);
    return JSON.parse(text.replace(TOKEN, (token) => (LONG_INTEGER.test(token) ? `"${token}"` : token)));
  } catch (cause) {
    throw new ZephError("bad_response", { detail: `the answer ${jsonFault(cause)}`, cause });
  }
}

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

/** Reads a body as bytes, at most `maxBytes`; beyond that the stream is cancelled and `response_too_large` thrown. */
async function readBounded(
  body: ReadableStream<Uint8Array> | null,
  maxBytes: number,
): Promise<Uint8Array<ArrayBuffer>> {
  if (body === null) return new Uint8Array();
  const chunks: Uint8Array[] = [];
  let length = 0;
  const reader = body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.byteLength;
    if (length > maxBytes) {
      await reader.cancel();
      throw new ZephError("response_too_large", { detail: `more than ${maxBytes} bytes` });
    }
    chunks.push(value);
  }
  const bytes = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return bytes;
}

/** As {@link readBounded}, decoded as UTF-8 (invalid sequences become U+FFFD). */
export async function readBoundedText(body: ReadableStream<Uint8Array> | null, maxBytes: number): Promise<string> {
  return new TextDecoder().decode(await readBounded(body, maxBytes));
}

/** Either the bytes, or where the text first goes wrong. */
type Base64Result =
  | { readonly ok: true; readonly bytes: Uint8Array }
  | { readonly ok: false; readonly errorAt: number };

const BASE64_SIGN = /^[A-Za-z0-9+/]$/;
const LINE_BREAK = /[\r\n]/g;

/**
 * Decodes base64 exactly as the nodes do (Go `encoding/base64` `StdEncoding`): padding is required, the URL-safe
 * alphabet refused, line breaks skipped, and the offset of the first fault is reported, because nodes repeat it in
 * their answer (`illegal base64 data at input byte N`).
 */
export function decodeBase64(text: string): Base64Result {
  const errorAt = firstFault(text);
  if (errorAt !== undefined) return { ok: false, errorAt };
  return {
    ok: true,
    bytes: Uint8Array.from(atob(text.replace(LINE_BREAK, "")), (character) => character.charCodeAt(0)),
  };
}

function firstFault(text: string): number | undefined {
  const characters = [...text].map((character, index) => ({ character, index }));
  const significant = characters.filter(({ character }) => character !== "\r" && character !== "\n");
  for (const [position, { character, index }] of significant.entries()) {
    if (BASE64_SIGN.test(character)) continue;
    if (character !== "=" || position % 4 < 2) return index;
    return faultInPadding(significant, position, text.length);
  }
  const incomplete = significant.length % 4;
  return incomplete === 0 ? undefined : text.length - incomplete;
}

/** `position` is that of the first "=", which closes its group of four after two or three characters. */
function faultInPadding(
  significant: readonly { readonly character: string; readonly index: number }[],
  position: number,
  length: number,
): number | undefined {
  let last = position;
  if (position % 4 === 2) {
    const second = significant[position + 1];
    if (second === undefined) return length;
    if (second.character !== "=") return second.index - 1;
    last = position + 1;
  }
  return significant[last + 1]?.index;
}

/**
 * What a JSON text may hold before anything of it is parsed. Parsing, walking and cleaning cost time per field, list and
 * level, not per byte, so these bound what one text can cost.
 */
export interface JsonLimits {
  /** Levels of nesting: a plain value is 0, `[]` is 1. */
  readonly maxDepth: number;
  /** Fields of all objects together. */
  readonly maxFields: number;
  /** Fields of one object. */
  readonly maxFieldsOfOne: number;
  /** Objects and lists together. */
  readonly maxContainers: number;
  /** Values of any kind: fields and entries of lists. */
  readonly maxValues: number;
  /** Entries of lists that are fields of the outermost object, by the field's name (at most 16 plain letters). */
  readonly maxEntries?: Readonly<Record<string, number>> | undefined;
}

/** A limit that a text goes beyond. */
export interface JsonExcess {
  readonly kind: "depth" | "fields" | "fields-of-one" | "containers" | "values" | "entries";
  readonly limit: number;
  /** The list whose entries are too many. */
  readonly list?: string | undefined;
}

/** Answers of servers: lists of models, proofs of hundreds of participants, answers with the odds of every token. */
const ANSWER_LIMITS: JsonLimits = {
  maxDepth: 256,
  maxFields: 500_000,
  maxFieldsOfOne: 100_000,
  maxContainers: 250_000,
  maxValues: 1_000_000,
};

/** One event of a stream, a line of error, a status: small things. */
export const SMALL_ANSWER_LIMITS: JsonLimits = {
  maxDepth: 128,
  maxFields: 50_000,
  maxFieldsOfOne: 10_000,
  maxContainers: 50_000,
  maxValues: 200_000,
};

/** Looks at a JSON text while its bytes arrive. It does not say whether the text is JSON: that is the parser's. */
interface JsonScanner {
  /** Takes the next bytes; gives back the first limit they go beyond, and stops looking there. */
  push(bytes: Uint8Array): JsonExcess | undefined;
  /**
   * Where a list stood whose entries were counted, from its bracket to behind the other. `undefined` when it has not
   * come, or when an escape in a name could hide a second one of this name.
   */
  placeOf(list: string): BytePlace | undefined;
}

interface BytePlace {
  readonly start: number;
  readonly end: number;
}

/** The same for a whole text. */
export function jsonExcess(text: string | Uint8Array, limits: JsonLimits): JsonExcess | undefined {
  return jsonScanner(limits).push(typeof text === "string" ? encoder.encode(text) : text);
}

/**
 * `JSON.parse` for what servers send: throws a `SyntaxError` for what is no JSON, and a `RangeError` for what would take
 * longer to read than any honest answer.
 */
export function parseForeignJson(text: string, limits: JsonLimits = ANSWER_LIMITS): unknown {
  refuseExcess(text, limits);
  return JSON.parse(text);
}

/** Throws the `RangeError` of {@link parseForeignJson} alone, for those who do something else to the text before. */
function refuseExcess(text: string, limits: JsonLimits = ANSWER_LIMITS): void {
  const excess = isHarmless(text, limits) ? undefined : jsonExcess(text, limits);
  if (excess !== undefined) throw new RangeError(`more than ${excessWords(excess)}`);
}

/** Short, and it cannot nest deeper than is allowed, whatever it is: a level takes two characters, and one of them opens it. */
function isHarmless(text: string, { maxDepth }: JsonLimits): boolean {
  if (text.length > HARMLESS_CHARS) return false;
  if (text.length <= 2 * maxDepth) return true;
  let opened = 0;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === OPEN_LIST || code === OPEN_OBJECT) opened += 1;
  }
  return opened <= maxDepth;
}

/** What was wrong where {@link parseForeignJson} threw this, in words that go on from "the answer" … */
export function jsonFault(thrown: unknown): string {
  return thrown instanceof RangeError ? `holds ${thrown.message}` : "is not JSON";
}

/** In words that go on from "more than" … */
export function excessWords({ kind, limit, list }: JsonExcess): string {
  const words = {
    depth: `${limit} levels of nesting`,
    fields: `${limit} fields`,
    "fields-of-one": `${limit} fields in one object`,
    containers: `${limit} objects and lists`,
    values: `${limit} values`,
    entries: `${limit} entries in ${list ?? "a list"}`,
  } as const;
  return words[kind];
}

/** Time per byte is what a loop without calls takes; memory is one number per level of depth. */
export function jsonScanner(limits: JsonLimits): JsonScanner {
  const { maxDepth, maxFields, maxFieldsOfOne, maxContainers, maxValues, maxEntries = {} } = limits;
  const fieldsAt = new Uint32Array(maxDepth + 2);
  let depth = 0;
  let fields = 0;
  let containers = 0;
  let values = 0;
  let inString = false;
  let isEscaped = false;
  /** The last string at level 1: the name of a field, when a colon follows. */
  let name = "";
  /** The list whose entries are counted, while the scan is inside it. */
  let list: { readonly name: string; readonly max: number; readonly start: number; count: number } | undefined;
  const places = new Map<string, BytePlace>();
  let hasEscapedName = false;
  /** Bytes that were pushed before those at hand. */
  let passedBytes = 0;
  let excess: JsonExcess | undefined;
  /** Within the bytes at hand. */
  let nextQuote = -1;
  let nextBackslash = -1;
  let plainLook = PLAIN_LOOK;

  /** Goes to the end of a string, or of the bytes. Gives back the place of the closing quote or the length. */
  function skipString(bytes: Uint8Array, from: number): number {
    const { length } = bytes;
    let at = from;
    if (isEscaped && at < length) {
      isEscaped = false;
      at += 1;
    }
    at = endOfString(bytes, at);
    isEscaped = at > length;
    if (depth === 1 && name.length <= MAX_NAME_CHARS) {
      const end = Math.min(at, length, from + MAX_NAME_CHARS + 1 - name.length);
      for (let index = from; index < end; index += 1) name += String.fromCharCode(bytes[index] ?? 0);
      if (name.includes("\\")) hasEscapedName = true;
    }
    return Math.min(at, length);
  }

  /** Place of the closing quote, the length, or one more when the last byte escapes the next. */
  function endOfString(bytes: Uint8Array, from: number): number {
    let at = plainEnd(bytes, from, from + plainLook);
    while (at < bytes.length && bytes[at] !== QUOTE) {
      // In long texts, a search of the runtime's own goes ten times as fast as a loop. Each byte is searched once.
      if (nextQuote < at) nextQuote = indexOrEnd(bytes, QUOTE, at);
      if (nextBackslash < at) nextBackslash = indexOrEnd(bytes, BACKSLASH, at);
      const mark = Math.min(nextQuote, nextBackslash);
      // Where marks stand close together, a search costs more than it saves.
      plainLook = mark - at < WORTH_A_SEARCH ? Math.min(plainLook * 2, MOST_LOOK) : PLAIN_LOOK;
      at = plainEnd(bytes, mark, mark + plainLook);
    }
    return at;
  }
  function open(isList: boolean, at: number): JsonExcess | undefined {
    depth += 1;
    containers += 1;
    values += 1;
    if (depth > maxDepth) return { kind: "depth", limit: maxDepth };
    if (containers > maxContainers) return { kind: "containers", limit: maxContainers };
    fieldsAt[depth] = 0;
    if (depth === 2 && isList && Object.hasOwn(maxEntries, name)) {
      list = { name, max: maxEntries[name] ?? 0, start: passedBytes + at, count: 1 };
    }
    return undefined;
  }
  function countField(): JsonExcess | undefined {
    fields += 1;
    const here = (fieldsAt[depth] ?? 0) + 1;
    fieldsAt[depth] = here;
    if (fields > maxFields) return { kind: "fields", limit: maxFields };
    return here > maxFieldsOfOne ? { kind: "fields-of-one", limit: maxFieldsOfOne } : undefined;
  }
  function countValue(): JsonExcess | undefined {
    values += 1;
    if (values > maxValues) return { kind: "values", limit: maxValues };
    if (list === undefined || depth !== 2) return undefined;
    list.count += 1;
    return list.count > list.max ? { kind: "entries", limit: list.max, list: list.name } : undefined;
  }
  function close(at: number): void {
    // More closed than opened is no JSON, and the parser will say so.
    depth = Math.max(depth - 1, 0);
    if (depth >= 2 || list === undefined) return;
    places.set(list.name, { start: list.start, end: passedBytes + at + 1 });
    list = undefined;
  }

  return {
    push(bytes) {
      const { length } = bytes;
      let at = 0;
      nextQuote = -1;
      nextBackslash = -1;
      if (inString) {
        at = skipString(bytes, 0);
        if (at === length) {
          passedBytes += length;
          return excess;
        }
        inString = false;
        at += 1;
      }
      while (at < length && excess === undefined) {
        switch (bytes[at]) {
          case QUOTE:
            if (depth === 1) name = "";
            at = skipString(bytes, at + 1);
            inString = at === length;
            break;
          case OPEN_LIST:
            excess = open(true, at);
            break;
          case OPEN_OBJECT:
            excess = open(false, at);
            break;
          case CLOSE_LIST:
          case CLOSE_OBJECT:
            close(at);
            break;
          case COLON:
            excess = countField();
            break;
          case COMMA:
            excess = countValue();
            break;
        }
        at += 1;
      }
      passedBytes += length;
      return excess;
    },
    placeOf: (name) => (hasEscapedName ? undefined : places.get(name)),
  };
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const COLON = 0x3a;
const COMMA = 0x2c;

/** The first closing quote from `from`, or a place at or just behind `until`, whichever comes first. */
function plainEnd(bytes: Uint8Array, from: number, until: number): number {
  const end = Math.min(until, bytes.length);
  let at = from;
  while (at < end) {
    const byte = bytes[at];
    if (byte === QUOTE) return at;
    at += byte === BACKSLASH ? 2 : 1;
  }
  return at;
}

function indexOrEnd(bytes: Uint8Array, byte: number, from: number): number {
  const index = bytes.indexOf(byte, from);
  return index === -1 ? bytes.length : index;
}

const MAX_NAME_CHARS = 16;

/** Bytes of a string that are looked at one by one before a search begins. */
const PLAIN_LOOK = 64;
const MOST_LOOK = 4096;
const WORTH_A_SEARCH = 256;

/** Texts up to this hold too little to cost anything but depth. */
const HARMLESS_CHARS = 16 * 1024;

/** A million tokens at a hundred dollars, far above every price that brokers of the network ask (2026). */
const MOST_USD = 100;

/** Five times the longest context offered (2026). */
const MOST_TOKENS = 10_000_000;

/**
 * What a server says that one answer cost, in USD, when it can be true: finite, not negative, and not more than any answer
 * costs. Anything else is unknown: it would end a day's limit at once, or never.
 */
export function plausibleUsd(amount: unknown): number | undefined {
  return typeof amount === "number" && amount >= 0 && amount <= MOST_USD ? amount + 0 : undefined;
}

/** A number of tokens that one answer can have: whole, not negative, within what models read and write. */
export function plausibleTokens(count: unknown): number | undefined {
  const isCount = typeof count === "number" && Number.isInteger(count) && count >= 0 && count <= MOST_TOKENS;
  return isCount ? count + 0 : undefined;
}
