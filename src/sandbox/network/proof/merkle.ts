import { createHash } from "node:crypto";

export function sha256(...parts: readonly (Uint8Array | string)[]): Buffer {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
}

const LEAF = Buffer.from([0]);
const INNER = Buffer.from([1]);

/** CometBFT's simple Merkle tree: split at the largest power of two below the number of items. */
export function merkleRoot(items: readonly Uint8Array[]): Buffer {
  const [only] = items;
  if (only === undefined) return sha256("");
  if (items.length === 1) return sha256(LEAF, only);
  const split = splitPoint(items.length);
  return sha256(INNER, merkleRoot(items.slice(0, split)), merkleRoot(items.slice(split)));
}

/** One step from an item to the root: the hash on the other side. */
export interface MerkleStep {
  readonly side: "left" | "right";
  readonly hash: Buffer;
}

/** The steps that prove `items[index]`, from the leaf upwards. */
export function merklePath(items: readonly Uint8Array[], index: number): readonly MerkleStep[] {
  if (items.length <= 1) return [];
  const split = splitPoint(items.length);
  const [left, right] = [items.slice(0, split), items.slice(split)];
  return index < split
    ? [...merklePath(left, index), { side: "right", hash: merkleRoot(right) }]
    : [...merklePath(right, index - split), { side: "left", hash: merkleRoot(left) }];
}

function splitPoint(count: number): number {
  let split = 1;
  while (split * 2 < count) split *= 2;
  return split;
}
