import { type MerkleStep, merklePath, merkleRoot, sha256 } from "./merkle.ts";
import { bytesField, lengthPrefixed, messageField, numberField, varint } from "./protobuf.ts";

/** One operation of an ABCI proof. */
export interface ProofOperation {
  readonly type: "ics23:iavl" | "ics23:simple";
  readonly key: Buffer;
  readonly data: Buffer;
}

/** A proof and what it comes to. */
export interface ProvenRoot {
  readonly operation: ProofOperation;
  readonly root: Buffer;
}

const SHA256 = 1;
const VAR_PROTO = 1;
const HASH_BYTES = 32;
const SIMPLE_LEAF_PREFIX = Buffer.from([0]);
const SIMPLE_INNER_PREFIX = Buffer.from([1]);

/** How a made-up IAVL tree looks around the proven leaf: one entry per level, from the leaf upwards. */
export interface IavlLevel {
  readonly sibling: MerkleStep;
  /** Leaves under the inner node. */
  readonly size: number;
}

/** Proves that a store holds `value` under `key`, in a tree written at `version`. */
export function iavlProof(key: Buffer, value: Buffer, version: number, levels: readonly IavlLevel[]): ProvenRoot {
  const leafPrefix = Buffer.concat([signed(0), signed(1), signed(version)]);
  const steps = levels.map(({ sibling, size }, index) => {
    const head = Buffer.concat([signed(index + 1), signed(size), signed(version)]);
    return innerStep(head, sibling, Buffer.from([HASH_BYTES]));
  });
  return prove("ics23:iavl", key, value, leafPrefix, steps);
}

/** Proves that the multi-store holds `value` (a store's root) under the name `stores[index]`. */
export function simpleProof(
  stores: readonly { readonly name: string; readonly root: Buffer }[],
  name: string,
): ProvenRoot {
  const index = stores.findIndex((store) => store.name === name);
  const leaves = stores.map((store) => leafBytes(Buffer.from(store.name), store.root));
  const steps = merklePath(leaves, index).map((step) => innerStep(SIMPLE_INNER_PREFIX, step, Buffer.alloc(0)));
  const proven = prove(
    "ics23:simple",
    Buffer.from(name),
    stores[index]?.root ?? Buffer.alloc(0),
    SIMPLE_LEAF_PREFIX,
    steps,
  );
  return { ...proven, root: merkleRoot(leaves) };
}

/** An inner operation of ICS23: what stands before and after the child's hash. */
export interface InnerStep {
  readonly prefix: Buffer;
  readonly suffix: Buffer;
}

/** Encodes an existence proof from raw parts; `steps` need not obey any specification. */
export function prove(
  type: ProofOperation["type"],
  key: Buffer,
  value: Buffer,
  leafPrefix: Buffer,
  steps: readonly InnerStep[],
): ProvenRoot {
  let root = sha256(leafPrefix, leafBytes(key, value));
  for (const step of steps) root = sha256(step.prefix, root, step.suffix);
  const leaf = [numberField(1, SHA256), numberField(3, SHA256), numberField(4, VAR_PROTO), bytesField(5, leafPrefix)];
  const existence = Buffer.concat([
    bytesField(1, key),
    bytesField(2, value),
    messageField(3, ...leaf),
    ...steps.map((step) =>
      messageField(4, numberField(1, SHA256), bytesField(2, step.prefix), bytesField(3, step.suffix)),
    ),
  ]);
  return { operation: { type, key, data: messageField(1, existence) }, root };
}

/** What is hashed after the leaf prefix: the key, and the hash of the value, each with its length. */
function leafBytes(key: Buffer, value: Buffer): Buffer {
  return Buffer.concat([lengthPrefixed(key), lengthPrefixed(sha256(value))]);
}

/** `mark` stands before each child's hash: its length in IAVL, nothing in the simple tree. */
function innerStep(head: Buffer, sibling: MerkleStep, mark: Buffer): InnerStep {
  return sibling.side === "left"
    ? { prefix: Buffer.concat([head, mark, sibling.hash, mark]), suffix: Buffer.alloc(0) }
    : { prefix: Buffer.concat([head, mark]), suffix: Buffer.concat([mark, sibling.hash]) };
}

/** IAVL writes numbers zigzag-encoded. */
function signed(value: number): Buffer {
  return varint(BigInt(value) * 2n);
}
