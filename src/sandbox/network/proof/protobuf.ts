const WIRE_VARINT = 0;
const WIRE_FIXED64 = 1;
const WIRE_BYTES = 2;

/** A base-128 number; negative ones as 64-bit two's complement, as protobuf's int64. */
export function varint(value: bigint | number): Buffer {
  let rest = BigInt.asUintN(64, BigInt(value));
  const bytes: number[] = [];
  while (rest >= 0x80n) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return Buffer.from(bytes);
}

/** Bytes with their length in front. */
export function lengthPrefixed(bytes: Uint8Array): Buffer {
  return Buffer.concat([varint(bytes.length), bytes]);
}

/** A number field; nothing when it is 0, as proto3 writes it. */
export function numberField(field: number, value: bigint | number): Buffer {
  return BigInt(value) === 0n ? Buffer.alloc(0) : Buffer.concat([tag(field, WIRE_VARINT), varint(value)]);
}

/** A text or bytes field; nothing when it is empty. */
export function bytesField(field: number, value: Uint8Array | string): Buffer {
  const bytes = Buffer.from(value);
  return bytes.length === 0 ? bytes : messageField(field, bytes);
}

/** A nested message, also when it is empty. */
export function messageField(field: number, ...parts: readonly Uint8Array[]): Buffer {
  return Buffer.concat([tag(field, WIRE_BYTES), lengthPrefixed(Buffer.concat(parts))]);
}

/** A fixed 64-bit number, little-endian; nothing when it is 0. */
export function fixed64Field(field: number, value: bigint | number): Buffer {
  if (BigInt(value) === 0n) return Buffer.alloc(0);
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(BigInt(value));
  return Buffer.concat([tag(field, WIRE_FIXED64), bytes]);
}

function tag(field: number, wireType: number): Buffer {
  return varint(field * 8 + wireType);
}
