import { readList, readObject, readText } from "../json/read-value.ts";
import { brokenProof } from "./broken-proof.ts";
import { type Bytes, equalBytes } from "./bytes.ts";
import { parseExistenceProof, proofRoot, type TreeSpec } from "./existence-proof.ts";
import { readBase64 } from "./read-encoded.ts";

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
