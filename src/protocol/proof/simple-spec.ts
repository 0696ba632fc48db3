import { brokenProof } from "./broken-proof.ts";
import { type Bytes, equalBytes } from "./bytes.ts";
import type { TreeSpec } from "./existence-proof.ts";

const HASH_BYTES = 32;
const LEAF_PREFIX: Bytes = Uint8Array.of(0);

/**
 * The tree over all stores (CometBFT's simple Merkle tree). A leaf begins with 00, an inner node is 01 and two hashes.
 * Source: `tendermintSpec` of @confio/ics23 0.6.8 (inner prefix 1 byte, child size 32).
 */
export const simpleSpec: TreeSpec = {
  checkLeafPrefix(prefix) {
    if (!equalBytes(prefix, LEAF_PREFIX)) throw brokenProof("the leaf does not have the form of the tree of stores");
  },
  checkInner({ prefix, suffix }, layer) {
    const provesLeft = prefix.length === 1 && suffix.length === HASH_BYTES;
    const provesRight = prefix.length === 1 + HASH_BYTES && suffix.length === 0;
    if (prefix[0] !== 1 || !(provesLeft || provesRight)) {
      throw brokenProof(`step ${layer} of the path does not have the form of the tree of stores`);
    }
  },
};
