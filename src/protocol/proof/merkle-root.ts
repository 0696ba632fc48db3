import { type Bytes, sha256 } from "./bytes.ts";

const LEAF = Uint8Array.of(0);
const INNER = Uint8Array.of(1);

/** Root of the binary tree CometBFT builds over headers, validators and commits (RFC 6962 with SHA-256). */
export function merkleRoot(items: readonly Bytes[]): Bytes {
  const [only] = items;
  if (only === undefined) return sha256();
  if (items.length === 1) return sha256(LEAF, only);
  const left = largestPowerOfTwoBelow(items.length);
  return sha256(INNER, merkleRoot(items.slice(0, left)), merkleRoot(items.slice(left)));
}

function largestPowerOfTwoBelow(count: number): number {
  let power = 1;
  while (2 * power < count) power *= 2;
  return power;
}
