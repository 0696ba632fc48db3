import type { Bytes } from "./bytes.ts";

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
