import { brokenProof } from "./broken-proof.ts";
import type { Bytes } from "./bytes.ts";
import type { TreeSpec } from "./existence-proof.ts";
import { readVarint } from "./protobuf-reader.ts";

const HASH_BYTES = 32;
const CHILD_BYTES = 1 + HASH_BYTES;

/**
 * The store's tree (cosmos/iavl). A leaf begins with height 0, size and version; an inner node with height, size and
 * version, then two children, each a length byte 32 and a hash: one of them is the one being proven.
 * Source: `iavlSpec` of @confio/ics23 0.6.8 (inner prefix 4..12 bytes, child size 33), and the structure check that
 * cosmos/ics23 go/ops.go makes since the 2022 forgery.
 */
export const iavlSpec: TreeSpec = {
  checkLeafPrefix(prefix) {
    const { height, rest } = readNodeHead(prefix);
    if (height !== 0n || rest !== 0) throw brokenProof("the leaf does not have the form of the store's tree");
  },
  checkInner({ prefix, suffix }, layer) {
    const { height, rest } = readNodeHead(prefix);
    const headBytes = prefix.length - rest;
    const provesLeft = rest === 1 && suffix.length === CHILD_BYTES && suffix[0] === HASH_BYTES;
    const provesRight = rest === CHILD_BYTES + 1 && suffix.length === 0 && prefix[headBytes] === HASH_BYTES;
    const wellFormed = (provesLeft || provesRight) && prefix.at(-1) === HASH_BYTES;
    const headFits = headBytes + 1 >= 4 && headBytes + 1 <= 12;
    if (!wellFormed || !headFits || height < BigInt(layer)) {
      throw brokenProof(`step ${layer} of the path does not have the form of the store's tree`);
    }
  },
};

/** Height, size and version, as zigzag varints; `rest` is the number of bytes after them. */
function readNodeHead(prefix: Bytes): { readonly height: bigint; readonly rest: number } {
  let offset = 0;
  const numbers = [0, 0, 0].map(() => {
    const { value, end } = readVarint(prefix, offset, "a node of the store's tree");
    offset = end;
    if ((value & 1n) === 1n) throw brokenProof("a node of the store's tree has a negative number");
    return value >> 1n;
  });
  return { height: numbers[0] ?? 0n, rest: prefix.length - offset };
}
