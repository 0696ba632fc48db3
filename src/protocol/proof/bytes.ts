import { createHash } from "node:crypto";

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
