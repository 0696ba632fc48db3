import { createHash } from "node:crypto";

const DIMENSIONS = 64;

/** A unit vector for a text: its words hashed into a fixed number of places, so that texts sharing words lie close. */
export function embedText(text: string): readonly number[] {
  const vector = new Array<number>(DIMENSIONS).fill(0);
  for (const word of text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [text]) {
    const digest = createHash("sha256").update(word).digest();
    for (let index = 0; index < digest.length; index += 2) {
      const place = digest.readUInt8(index) % DIMENSIONS;
      vector[place] = (vector[place] ?? 0) + (digest.readUInt8(index + 1) - 127.5) / 127.5;
    }
  }
  const length = Math.hypot(...vector) || 1;
  // Values that survive a 32-bit float, which is how clients ask for them by default.
  return vector.map((value) => Math.fround(value / length));
}
