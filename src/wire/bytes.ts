import { createHash } from "node:crypto";
import { bech32 } from "@scure/base";
import { decodeBase64, type Reader, readAmount, readText, unreadable } from "../base/json.ts";

const HASH_BYTES = 32;
const ADDRESS_BYTES = 20;
const INT64_MAX = 2n ** 63n - 1n;

/**
 * A number that is hashed. It is hashed as 64 bits, so a larger one would have the hash of another: a validator's power
 * of 2⁶⁴ + 1 that of 1.
 */
export function readHashedNumber(value: unknown, place: string): bigint {
  const number = readAmount(value, place);
  if (number > INT64_MAX) throw unreadable(place, "does not fit into 64 bits");
  return number;
}

/** Base64 in its one proper spelling. Absent and null are empty. */
export function readBase64(value: unknown, place: string): Bytes {
  if (value === undefined || value === null) return new Uint8Array();
  const text = readText(value, place);
  const decoded = decodeBase64(text);
  if (!decoded.ok || Buffer.from(decoded.bytes).toString("base64") !== text) throw unreadable(place, "is not base64");
  return decoded.bytes;
}

/** Bytes of unknown length: hex (all versions so far), or base64. */
export function readHexOrBase64(value: unknown, place: string): Bytes {
  const text = readText(value, place);
  return isHex(text) ? hexToBytes(text) : readBase64(text, place);
}

/** A SHA-256 hash, or nothing: hex of 64 digits or base64 of 44 characters. Told apart by length, not by alphabet. */
export const readHash: Reader<Bytes> = readSized(HASH_BYTES);

const readAddressBytes = readSized(ADDRESS_BYTES);

/** A validator's address, or nothing: hex, base64, or bech32 as some SDK versions print it. */
export function readValidatorAddress(value: unknown, place: string): Bytes {
  const decoded = typeof value === "string" ? bech32.decodeUnsafe(value, 90) : undefined;
  if (decoded === undefined) return readAddressBytes(value, place);
  const bytes = bech32.fromWordsUnsafe(decoded.words);
  if (bytes?.length !== ADDRESS_BYTES) throw unreadable(place, "is not a validator's address");
  return bytes;
}

function readSized(length: number): Reader<Bytes> {
  const base64Length = 4 * Math.ceil(length / 3);
  return (value, place) => {
    if (value === undefined || value === null || value === "") return new Uint8Array();
    const text = readText(value, place);
    if (text.length === 2 * length && isHex(text)) return hexToBytes(text);
    const bytes = text.length === base64Length ? readBase64(text, place) : undefined;
    if (bytes?.length !== length) throw unreadable(place, `does not hold ${length} bytes`);
    return bytes;
  };
}

function isHex(text: string): boolean {
  return text.length % 2 === 0 && /^[0-9a-f]*$/i.test(text);
}

function hexToBytes(text: string): Bytes {
  return new Uint8Array(Buffer.from(text, "hex"));
}

export type Bytes = Uint8Array;

export function sha256(...parts: readonly Bytes[]): Bytes {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
}

export function equalBytes(a: Bytes, b: Bytes): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

export function toHex(bytes: Bytes): string {
  return Buffer.from(bytes).toString("hex");
}

type Field =
  | { readonly number: number; readonly kind: "varint"; readonly value: bigint }
  | { readonly number: number; readonly kind: "bytes"; readonly value: Uint8Array }
  | { readonly number: number; readonly kind: "fixed"; readonly value: Uint8Array };

const MAX_VARINT_BYTES = 10;

/**
 * A protobuf message, read by field number. A field that may occur once and occurs twice, or has another wire type than
 * asked for, throws `bad_response`: proofs are hashed as bytes and must not be readable in two ways.
 */
export class ProtobufMessage {
  readonly #fields: readonly Field[];
  readonly #place: string;

  constructor(bytes: Uint8Array, place: string) {
    this.#fields = [...readFields(bytes, place)];
    this.#place = place;
  }

  /** Refuses fields other than these; without this call, unknown ones are skipped. */
  only(...numbers: readonly number[]): this {
    const stranger = this.#fields.find(({ number }) => !numbers.includes(number));
    if (stranger !== undefined) throw unreadable(this.#place, `has the unknown field ${stranger.number}`);
    return this;
  }

  /** int64, uint64 or an enum; 0 when absent. */
  integer(number: number): bigint {
    const field = this.#single(number);
    if (field === undefined) return 0n;
    if (field.kind !== "varint") throw this.#wrongType(number);
    return BigInt.asIntN(64, field.value);
  }

  /** Empty when absent. */
  bytes(number: number): Uint8Array {
    return this.optionalBytes(number) ?? new Uint8Array();
  }

  optionalBytes(number: number): Uint8Array | undefined {
    const field = this.#single(number);
    return field === undefined ? undefined : this.#asBytes(field);
  }

  text(number: number): string {
    return this.#toText(this.bytes(number), number);
  }

  /** Every value of a repeated field, in order. */
  repeatedBytes(number: number): readonly Uint8Array[] {
    return this.#fields.filter((field) => field.number === number).map((field) => this.#asBytes(field));
  }

  repeatedText(number: number): readonly string[] {
    return this.repeatedBytes(number).map((bytes) => this.#toText(bytes, number));
  }

  #single(number: number): Field | undefined {
    const found = this.#fields.filter((field) => field.number === number);
    if (found.length > 1) throw unreadable(this.#place, `has field ${number} more than once`);
    return found[0];
  }

  #asBytes(field: Field): Uint8Array {
    if (field.kind !== "bytes") throw this.#wrongType(field.number);
    return field.value;
  }

  #toText(bytes: Uint8Array, number: number): string {
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
      // The only thing a fatal decoder throws for: bytes that are not UTF-8.
      throw unreadable(this.#place, `has text in field ${number} that is not UTF-8`);
    }
  }

  #wrongType(number: number): Error {
    return unreadable(this.#place, `has another type in field ${number} than expected`);
  }
}

function* readFields(bytes: Uint8Array, place: string): Generator<Field> {
  let offset = 0;
  while (offset < bytes.length) {
    const tag = readVarint(bytes, offset, place);
    const number = Number(tag.value >> 3n);
    const wireType = Number(tag.value & 7n);
    if (number < 1 || number > 0x1fffffff) throw unreadable(place, "has an impossible field number");
    if (wireType === 0) {
      const { value, end } = readVarint(bytes, tag.end, place);
      yield { number, kind: "varint", value };
      offset = end;
      continue;
    }
    const { start, length } = readExtent(bytes, tag.end, wireType, place);
    if (start + length > bytes.length) throw unreadable(place, "is cut off");
    yield { number, kind: wireType === 2 ? "bytes" : "fixed", value: bytes.subarray(start, start + length) };
    offset = start + length;
  }
}

function readExtent(
  bytes: Uint8Array,
  offset: number,
  wireType: number,
  place: string,
): { start: number; length: number } {
  if (wireType === 1) return { start: offset, length: 8 };
  if (wireType === 5) return { start: offset, length: 4 };
  if (wireType !== 2) throw unreadable(place, `has a field of the unsupported wire type ${wireType}`);
  const { value, end } = readVarint(bytes, offset, place);
  if (value > BigInt(bytes.length)) throw unreadable(place, "is cut off");
  return { start: end, length: Number(value) };
}

/** Reads an unsigned varint. Longer spellings of a small number are refused: a proof has one spelling. */
export function readVarint(
  bytes: Uint8Array,
  offset: number,
  place: string,
): { readonly value: bigint; readonly end: number } {
  let value = 0n;
  for (let index = 0; index < MAX_VARINT_BYTES; index++) {
    const byte = bytes[offset + index];
    if (byte === undefined) throw unreadable(place, "is cut off");
    value |= BigInt(byte & 0x7f) << BigInt(7 * index);
    if (byte >= 0x80) continue;
    if ((byte === 0 && index > 0) || value >= 2n ** 64n) throw unreadable(place, "has a number in an unusual spelling");
    return { value, end: offset + index + 1 };
  }
  throw unreadable(place, "has a number that is too long");
}

// Fields are written as the chain's Go encoder does: zero and empty values leave nothing behind.

const NOTHING: Bytes = new Uint8Array();

/** Unsigned varint; negative numbers as 64-bit two's complement, as int64 fields are written. */
export function varint(value: bigint): Bytes {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, value);
  while (rest >= 0x80n) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return Uint8Array.from(bytes);
}

export function integerField(number: number, value: bigint): Bytes {
  return value === 0n ? NOTHING : Buffer.concat([tag(number, 0), varint(value)]);
}

export function fixed64Field(number: number, value: bigint): Bytes {
  if (value === 0n) return NOTHING;
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(value);
  return Buffer.concat([tag(number, 1), bytes]);
}

export function bytesField(number: number, value: Bytes): Bytes {
  return value.length === 0 ? NOTHING : messageField(number, value);
}

export function textField(number: number, value: string): Bytes {
  return bytesField(number, Buffer.from(value, "utf8"));
}

/** A message inside a message: present even when empty, where the chain declares it as not nullable. */
export function messageField(number: number, ...parts: readonly Bytes[]): Bytes {
  const message = Buffer.concat(parts);
  return Buffer.concat([tag(number, 2), varint(BigInt(message.length)), message]);
}

export function message(...parts: readonly Bytes[]): Bytes {
  return Buffer.concat(parts);
}

function tag(number: number, wireType: number): Bytes {
  return varint(BigInt((number << 3) | wireType));
}

/** A moment with all nine digits; block times have them, and they are hashed. */
export interface Time {
  /** Since 1970; negative for Go's zero time, 0001-01-01. */
  readonly seconds: bigint;
  readonly nanos: number;
}

const RFC3339_UTC = /^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?(?:Z|\+00:00)$/;

export function readTime(value: unknown, place: string): Time {
  const [, wholeSeconds, fraction = ""] = RFC3339_UTC.exec(readText(value, place)) ?? [];
  const milliseconds = wholeSeconds === undefined ? Number.NaN : Date.parse(`${wholeSeconds}Z`);
  if (Number.isNaN(milliseconds)) throw unreadable(place, "is not a UTC time");
  return { seconds: BigInt(milliseconds / 1000), nanos: Number(fraction.padEnd(9, "0")) };
}

export function timeToMs({ seconds, nanos }: Time): number {
  return Number(seconds) * 1000 + Math.floor(nanos / 1e6);
}

/** google.protobuf.Timestamp. */
export function encodeTime({ seconds, nanos }: Time): Bytes {
  return message(integerField(1, seconds), integerField(2, BigInt(nanos)));
}
