/**
 * Protocol buffers (proto3) by table: a message is declared once, and reads and writes itself as Go's encoder does.
 * Fields are written in ascending order, zero and empty values leave nothing behind, and fields that the table does not
 * know are kept and written after the known ones, so that a message of a newer peer comes out byte for byte.
 *
 * @example
 * ```ts
 * const COIN = protobufMessage({ denom: [1, "string"], amount: [2, "string"] });
 * COIN.decode(COIN.encode({ denom: "ngonka", amount: "7" })).amount; // "7"
 * ```
 */
export function protobufMessage<const F extends Fields>(fields: F): ProtobufMessage<Decoded<F>> {
  const entries = Object.entries(fields).map(([name, field]) => toEntry(name, field));
  const byNumber = new Map(entries.map((entry) => [entry.number, entry]));
  return {
    encode(value) {
      const writer = new ProtobufWriter();
      const values = value as Readonly<Record<string, unknown>>;
      for (const entry of entries) writeEntry(writer, entry, values[entry.name]);
      if (value.unknown !== undefined) writer.raw(value.unknown);
      return writer.finish();
    },
    decode(bytes) {
      const value: Record<string, unknown> = {};
      for (const { name, zero } of entries) value[name] = zero;
      const unknown: Uint8Array[] = [];
      for (const field of readFields(bytes)) {
        const entry = byNumber.get(field.number);
        // Go keeps a field of another wire type than declared like one it does not know.
        if (entry === undefined || entry.wireType !== field.wireType) unknown.push(field.raw);
        else value[entry.name] = readEntry(entry, field, value[entry.name]);
      }
      if (unknown.length > 0) value.unknown = Buffer.concat(unknown);
      return value as Decoded<F>;
    },
  };
}

export interface ProtobufMessage<T> {
  encode(value: T): Uint8Array;
  /** Throws {@link MalformedProtobuf}. */
  decode(bytes: Uint8Array): T;
}

/** The bytes are no protobuf message, or hold text that is not UTF-8. */
export class MalformedProtobuf extends Error {
  override readonly name = "MalformedProtobuf";
}

interface Scalars {
  readonly uint64: bigint;
  readonly int64: bigint;
  readonly uint32: number;
  /** Open, as in proto3: a number without a name is kept. */
  readonly enum: number;
  readonly bool: boolean;
  readonly bytes: Uint8Array;
  readonly string: string;
}

type Field =
  | readonly [number: number, kind: keyof Scalars]
  | readonly [number: number, kind: "message" | "repeated", of: ProtobufMessage<unknown>];

type Fields = Readonly<Record<string, Field>>;

type FieldValue<T extends Field> = T extends readonly [number, infer K extends keyof Scalars]
  ? Scalars[K]
  : T extends readonly [number, "message", ProtobufMessage<infer M>]
    ? M | undefined
    : T extends readonly [number, "repeated", ProtobufMessage<infer M>]
      ? readonly M[]
      : never;

type Decoded<F extends Fields> = { readonly [N in keyof F]: FieldValue<F[N]> } & {
  /** Fields outside the table, as they came. */
  readonly unknown?: Uint8Array | undefined;
};

/** What a message table reads and writes. */
export type MessageOf<M> = M extends ProtobufMessage<infer T> ? T : never;

/** One field as it stands in the bytes; `raw` includes its tag. */
export interface RawField {
  readonly number: number;
  readonly wireType: number;
  /** Of a varint; 0 otherwise. */
  readonly integer: bigint;
  /** Of a length-delimited field; empty otherwise. */
  readonly bytes: Uint8Array;
  readonly raw: Uint8Array;
}

const VARINT = 0;
const DELIMITED = 2;
const NOTHING = new Uint8Array();

/** The fields of a message in the order they stand. Throws {@link MalformedProtobuf}. */
export function readFields(bytes: Uint8Array): RawField[] {
  const found: RawField[] = [];
  let offset = 0;
  while (offset < bytes.length) {
    const tag = readVarint(bytes, offset);
    const number = Number(tag.value >> 3n);
    const wireType = Number(tag.value & 7n);
    if (number < 1 || number > 0x1fffffff) throw new MalformedProtobuf("a field has an impossible number");
    let integer = 0n;
    let content: Uint8Array = NOTHING;
    let end: number;
    if (wireType === VARINT) {
      const varint = readVarint(bytes, tag.end);
      integer = varint.value;
      end = varint.end;
    } else if (wireType === DELIMITED) {
      const length = readVarint(bytes, tag.end);
      end = length.end + Number(length.value);
      content = bytes.subarray(length.end, end);
    } else {
      end = endOfField(bytes, tag.end, number, wireType);
    }
    if (end > bytes.length) throw new MalformedProtobuf("a field is cut off");
    found.push({ number, wireType, integer, bytes: content, raw: bytes.subarray(offset, end) });
    offset = end;
  }
  return found;
}

/** Writes fields into one growing buffer; the caller keeps their order. */
export class ProtobufWriter {
  /** At first one that finished messages were written into as well. */
  #buffer = spares.pop() ?? Buffer.allocUnsafe(SPARE_BYTES);
  #isLent = true;
  #length = 0;

  varint(value: bigint | number): this {
    this.#reserve(10);
    let high = typeof value === "number" ? value : smallNumber(value);
    if (high < 0) {
      let rest = BigInt.asUintN(64, BigInt(value));
      for (; rest >= 0x80n; rest >>= 7n) this.#buffer[this.#length++] = Number(rest & 0x7fn) | 0x80;
      high = Number(rest);
    }
    for (; high >= 0x80; high = Math.floor(high / 0x80)) this.#buffer[this.#length++] = (high % 0x80) | 0x80;
    this.#buffer[this.#length++] = high;
    return this;
  }

  /** Left out when 0. */
  integerField(number: number, value: bigint | number): this {
    return value === 0n || value === 0 ? this : this.varint(number * 8 + VARINT).varint(value);
  }

  /** Left out when empty. */
  bytesField(number: number, value: Uint8Array): this {
    return value.length === 0 ? this : this.messageField(number, value);
  }

  /** Written even when empty, as members of a `oneof` and elements of a list are. */
  messageField(number: number, message: Uint8Array): this {
    return this.varint(number * 8 + DELIMITED)
      .varint(message.length)
      .raw(message);
  }

  /** Left out when empty. */
  stringField(number: number, text: string): this {
    if (text === "") return this;
    const bytes = Buffer.byteLength(text, "utf8");
    this.varint(number * 8 + DELIMITED).varint(bytes);
    this.#reserve(bytes);
    this.#length += this.#buffer.write(text, this.#length, "utf8");
    return this;
  }

  raw(bytes: Uint8Array): this {
    this.#reserve(bytes.length);
    this.#buffer.set(bytes, this.#length);
    this.#length += bytes.length;
    return this;
  }

  finish(): Uint8Array {
    // A copy of its own memory, and a Buffer as what it was cut from; whoever goes on writing goes on there.
    const bytes = Uint8Array.prototype.slice.call(this.#buffer, 0, this.#length) as Buffer;
    if (this.#isLent && spares.length < MAX_SPARES) spares.push(this.#buffer);
    this.#isLent = false;
    this.#buffer = bytes;
    return bytes;
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#buffer.length) return;
    const grown = Buffer.allocUnsafe(Math.max(2 * this.#buffer.length, this.#length + bytes));
    grown.set(this.#buffer.subarray(0, this.#length));
    this.#buffer = grown;
    this.#isLent = false;
  }
}

const SPARE_BYTES = 4096;
const MAX_SPARES = 8;
const spares: Buffer[] = [];

/** The value as a number where it has one and is not negative; −1 otherwise. */
function smallNumber(value: bigint): number {
  const number = Number(value);
  return number >= 0 && number <= Number.MAX_SAFE_INTEGER ? number : -1;
}

interface Entry {
  readonly name: string;
  readonly number: number;
  readonly kind: keyof Scalars | "message" | "repeated";
  readonly of: ProtobufMessage<unknown> | undefined;
  readonly wireType: number;
  readonly zero: unknown;
}

const ZEROS: Readonly<Record<Entry["kind"], unknown>> = {
  uint64: 0n,
  int64: 0n,
  uint32: 0,
  enum: 0,
  bool: false,
  bytes: NOTHING,
  string: "",
  message: undefined,
  repeated: [],
};

function toEntry(name: string, [number, kind, of]: Field): Entry {
  const isDelimited = kind === "bytes" || kind === "string" || kind === "message" || kind === "repeated";
  const wireType = isDelimited ? DELIMITED : VARINT;
  return { name, number, kind, of, wireType, zero: ZEROS[kind] };
}

function writeEntry(writer: ProtobufWriter, { kind, number, of }: Entry, value: unknown): void {
  if (kind === "bytes") writer.bytesField(number, value as Uint8Array);
  else if (kind === "string") writer.stringField(number, value as string);
  else if (kind === "bool") writer.integerField(number, value === true ? 1 : 0);
  else if (kind === "message") {
    if (value !== undefined && of !== undefined) writer.messageField(number, of.encode(value));
  } else if (kind === "repeated") {
    for (const element of value as readonly unknown[])
      if (of !== undefined) writer.messageField(number, of.encode(element));
  } else writer.integerField(number, value as bigint | number);
}

function readEntry({ kind, of }: Entry, { integer, bytes }: RawField, before: unknown): unknown {
  switch (kind) {
    case "uint64":
      return integer;
    case "int64":
      return BigInt.asIntN(64, integer);
    case "uint32":
      return Number(BigInt.asUintN(32, integer));
    case "enum":
      return Number(BigInt.asIntN(32, integer));
    case "bool":
      return integer !== 0n;
    case "bytes":
      // A copy: what lives long must not hold on to the whole answer it came in.
      return new Uint8Array(bytes);
    case "string":
      return readText(bytes);
    case "message":
      return of?.decode(bytes);
    case "repeated":
      return [...(before as readonly unknown[]), of?.decode(bytes)];
  }
}

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function readText(bytes: Uint8Array): string {
  try {
    return UTF8.decode(bytes);
  } catch {
    // The only thing a fatal decoder throws for.
    throw new MalformedProtobuf("a text is not UTF-8");
  }
}

function readVarint(bytes: Uint8Array, offset: number): { readonly value: bigint; readonly end: number } {
  // Six bytes hold 42 bits: the common numbers never become bigints on the way.
  let low = 0;
  for (let index = 0, scale = 1; index < 6; index++, scale *= 0x80) {
    const byte = bytes[offset + index];
    if (byte === undefined) throw new MalformedProtobuf("a number is cut off");
    low += (byte & 0x7f) * scale;
    if (byte < 0x80) return { value: BigInt(low), end: offset + index + 1 };
  }
  let value = BigInt(low);
  for (let index = 6; index < 10; index++) {
    const byte = bytes[offset + index];
    if (byte === undefined) throw new MalformedProtobuf("a number is cut off");
    value |= BigInt(byte & 0x7f) << BigInt(7 * index);
    if (byte >= 0x80) continue;
    if (index === 9 && byte > 1) break;
    return { value, end: offset + index + 1 };
  }
  throw new MalformedProtobuf("a number is too long");
}

const MAX_GROUP_DEPTH = 100;

function endOfField(bytes: Uint8Array, offset: number, number: number, wireType: number, depth = 0): number {
  if (wireType === 1) return offset + 8;
  if (wireType === 5) return offset + 4;
  if (wireType === VARINT) return readVarint(bytes, offset).end;
  if (wireType === DELIMITED) {
    const length = readVarint(bytes, offset);
    return length.end + Number(length.value);
  }
  if (wireType !== 3 || depth === MAX_GROUP_DEPTH) throw new MalformedProtobuf("a field has an impossible type");
  for (let end = offset; end < bytes.length; ) {
    const tag = readVarint(bytes, end);
    const inner = Number(tag.value >> 3n);
    if (Number(tag.value & 7n) === 4) {
      if (inner !== number) break;
      return tag.end;
    }
    end = endOfField(bytes, tag.end, inner, Number(tag.value & 7n), depth + 1);
  }
  throw new MalformedProtobuf("a group does not end");
}
