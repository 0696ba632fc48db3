import { unreadable } from "../json/read-value.ts";

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
