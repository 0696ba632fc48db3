import { readList, readObject, readText } from "../base/json.ts";
import { ZephError } from "../errors.ts";
import { type Bytes, equalBytes, ProtobufMessage, readBase64, readVarint, sha256, varint } from "./bytes.ts";

/** Name of the store that holds the network's own state. */
const STORE_NAME = Buffer.from("inference", "utf8");

interface ProofOp {
  readonly type: string;
  readonly key: Bytes;
  readonly data: Bytes;
}

/** The two ops of a proof, in order: store, then application. `undefined` when there are none. */
export function parseProofOps(value: unknown): readonly [store: ProofOp, application: ProofOp] | undefined {
  if (value === undefined || value === null) return undefined;
  const list = readObject(value, "proof_ops").ops;
  const ops = list === undefined || list === null ? [] : readList(list, "proof_ops.ops", readOp);
  const [store, application] = ops;
  if (store === undefined) return undefined;
  if (application === undefined || ops.length !== 2)
    throw brokenProof(`the proof has ${ops.length} parts instead of 2`);
  return [store, application];
}

function readOp(value: unknown, place: string): ProofOp {
  const op = readObject(value, place);
  return {
    type: readText(op.type, `${place}.type`),
    key: readBase64(op.key, `${place}.key`),
    data: readBase64(op.data, `${place}.data`),
  };
}

/**
 * Key of an epoch's participants in the store (gonka-ai/gonka `inference-chain/x/inference/types/
 * key_activeparticipants.go`): text, the epoch as 8 bytes, big-endian, and a slash.
 */
export function participantsKey(epochId: bigint): Bytes {
  const epoch = Buffer.alloc(8);
  epoch.writeBigUInt64BE(epochId);
  return Buffer.concat([Buffer.from("ActiveParticipants/value/", "utf8"), epoch, Buffer.from("/", "utf8")]);
}

/** Step 1: root of the store that holds `value` under the participants' key. */
export function storeRoot(op: ProofOp, epochId: bigint, value: Bytes, spec: TreeSpec): Bytes {
  return rootOf(op, { type: "ics23:iavl", key: participantsKey(epochId), value, spec });
}

/** Step 2: root of the chain's state in which the store has that root. */
export function applicationRoot(op: ProofOp, root: Bytes, spec: TreeSpec): Bytes {
  return rootOf(op, { type: "ics23:simple", key: STORE_NAME, value: root, spec });
}

function rootOf(
  op: ProofOp,
  expected: { readonly type: string; readonly key: Bytes; readonly value: Bytes; readonly spec: TreeSpec },
): Bytes {
  if (op.type !== expected.type) throw brokenProof(`this part of the proof is not of type ${expected.type}`);
  if (!equalBytes(op.key, expected.key)) throw brokenProof("the proof is for another key");
  return proofRoot(parseExistenceProof(op.data), expected);
}

/** An ICS23 existence proof, already checked against the parts all our specs share (SHA-256, leaf encoding). */
interface ExistenceProof {
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
function proofRoot(
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

/** The steps of signed-transport section 2.3, in the words an error names them with. */
const PROOF_STEPS = {
  store: "step 1, the proof of the participants in their store",
  application: "step 2, the proof of the store in the chain's state",
  participants: "step 3, the participants in the proven bytes",
  header: "step 4, the block header",
  commit: "step 5, the validators' signatures",
  trust: "step 6, the pinned hash",
} as const;

type ProofStep = keyof typeof PROOF_STEPS;

/** Something that was checked is not as it must be. */
export function brokenProof(fault: string): ZephError {
  return new ZephError("proof_invalid", { detail: fault });
}

/** Runs one step; whatever is wrong or unreadable in it becomes `proof_invalid` and names the step. */
export function inStep<T>(step: ProofStep, check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (!ZephError.is(error) || (error.code !== "proof_invalid" && error.code !== "bad_response")) throw error;
    throw new ZephError("proof_invalid", { detail: `${PROOF_STEPS[step]}: ${error.detail}`, cause: error });
  }
}
