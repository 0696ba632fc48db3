import { createHash } from "node:crypto";

/** Reads ICS23 existence proofs by hand: another reading of the format than the sandbox's builder. */

export function sha256(...parts: readonly Uint8Array[]): Buffer {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
}

/** {field, value} pairs of a protobuf message that has only length-delimited fields and small numbers. */
export function fields(message: Buffer): readonly { readonly field: number; readonly bytes: Buffer }[] {
  const found: { field: number; bytes: Buffer }[] = [];
  let at = 0;
  const read = () => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = message[at++]!;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < message.length) {
    const tag = read();
    const length = tag % 8 === 2 ? read() : 0;
    const bytes = tag % 8 === 2 ? message.subarray(at, at + length) : Buffer.from([read() & 0xff]);
    at += length;
    found.push({ field: Math.floor(tag / 8), bytes });
  }
  return found;
}

export function part(message: Buffer, field: number): Buffer {
  return fields(message).find((one) => one.field === field)?.bytes ?? Buffer.alloc(0);
}

/** The inner steps of a proof. */
export function innerSteps(data: Buffer): readonly { readonly prefix: Buffer; readonly suffix: Buffer }[] {
  return fields(part(data, 1))
    .filter(({ field }) => field === 4)
    .map(({ bytes }) => ({ prefix: part(bytes, 2), suffix: part(bytes, 3) }));
}

/** Key, value and root of a proof, climbing its own steps. */
export function climb(data: Buffer): { readonly key: Buffer; readonly value: Buffer; readonly root: Buffer } {
  const existence = part(data, 1);
  const key = part(existence, 1);
  const value = part(existence, 2);
  const leafPrefix = part(part(existence, 3), 5);
  let root = sha256(leafPrefix, Buffer.from([key.length]), key, Buffer.from([32]), sha256(value));
  for (const { prefix, suffix } of innerSteps(data)) root = sha256(prefix, root, suffix);
  return { key, value, root };
}
