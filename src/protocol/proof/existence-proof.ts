import { brokenProof } from "./broken-proof.ts";
import { type Bytes, equalBytes, sha256 } from "./bytes.ts";
import { ProtobufMessage } from "./protobuf-reader.ts";
import { varint } from "./protobuf-writer.ts";

/** An ICS23 existence proof, already checked against the parts all our specs share (SHA-256, leaf encoding). */
export interface ExistenceProof {
  readonly key: Bytes;
  readonly value: Bytes;
  readonly leafPrefix: Bytes;
  /** From the leaf upwards. */
  readonly path: readonly InnerStep[];
}

export interface InnerStep {
  readonly prefix: Bytes;
  readonly suffix: Bytes;
}

/** What one kind of tree allows, so that a proof cannot pass leaves for inner nodes or the reverse. */
export interface TreeSpec {
  readonly checkLeafPrefix: (prefix: Bytes) => void;
  /** `layer` counts from 1, next to the leaf. */
  readonly checkInner: (step: InnerStep, layer: number) => void;
}

// Values of the enums of cosmos/ics23 proto/cosmos/ics23/v1/proofs.proto.
const HASH_SHA256 = 1n;
const HASH_NONE = 0n;
const LENGTH_VAR_PROTO = 1n;

/** Reads the `data` of a proof op: CommitmentProof { 1 exist { 1 key, 2 value, 3 leaf, 4 path } }. */
export function parseExistenceProof(data: Bytes): ExistenceProof {
  const commitment = new ProtobufMessage(data, "the proof").only(1);
  const exist = new ProtobufMessage(commitment.bytes(1), "the existence proof").only(1, 2, 3, 4);
  const leaf = new ProtobufMessage(exist.bytes(3), "the leaf").only(1, 2, 3, 4, 5);
  const leafIsOurs =
    leaf.integer(1) === HASH_SHA256 &&
    leaf.integer(2) === HASH_NONE &&
    leaf.integer(3) === HASH_SHA256 &&
    leaf.integer(4) === LENGTH_VAR_PROTO;
  if (!leafIsOurs) throw brokenProof("the leaf is hashed in another way than the chain does");
  return {
    key: exist.bytes(1),
    value: exist.bytes(2),
    leafPrefix: leaf.bytes(5),
    path: exist.repeatedBytes(4).map(parseInner),
  };
}

function parseInner(bytes: Bytes): InnerStep {
  const inner = new ProtobufMessage(bytes, "a step of the path").only(1, 2, 3);
  if (inner.integer(1) !== HASH_SHA256) throw brokenProof("a step of the path is not hashed with SHA-256");
  return { prefix: inner.bytes(2), suffix: inner.bytes(3) };
}

/** The root that follows from the proof, after its checks against the tree's rules and the expected key and value. */
export function proofRoot(
  proof: ExistenceProof,
  { spec, key, value }: { readonly spec: TreeSpec; readonly key: Bytes; readonly value: Bytes },
): Bytes {
  if (!equalBytes(proof.key, key)) throw brokenProof("the proof is for another key");
  if (!equalBytes(proof.value, value)) throw brokenProof("the proof is for another value");
  if (proof.value.length === 0) throw brokenProof("the proof is for an empty value");
  spec.checkLeafPrefix(proof.leafPrefix);
  const valueHash = sha256(proof.value);
  const leaf = sha256(proof.leafPrefix, withLength(proof.key), withLength(valueHash));
  return proof.path.reduce((child, step, index) => {
    spec.checkInner(step, index + 1);
    return sha256(step.prefix, child, step.suffix);
  }, leaf);
}

function withLength(bytes: Bytes): Bytes {
  return Buffer.concat([varint(BigInt(bytes.length)), bytes]);
}
