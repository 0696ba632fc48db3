import {
  type ActiveParticipants,
  activeParticipantsKey,
  encodeActiveParticipants,
} from "../proof/active-participants.ts";
import { sha256 } from "../proof/merkle.ts";
import { varint } from "../proof/protobuf.ts";
import {
  type IavlLevel,
  iavlProof,
  type ProofOperation,
  type ProvenRoot,
  prove,
  simpleProof,
} from "../proof/store-proof.ts";
import { ATTACKER_URL, type Tampering } from "./tamper.ts";

/** What the chain says about one epoch's participants, and how it proves it. */
export interface ParticipantsProof {
  /** What the readable JSON lists. */
  readonly listed: ActiveParticipants;
  /** What the proof is about. */
  readonly bytes: Buffer;
  readonly operations: readonly ProofOperation[];
  /** What the header one block later carries. */
  readonly appHash: Buffer;
}

const STORE = "inference";
const OTHER_STORES: readonly string[] = ["acc", "bank", "gov", "mint", "staking", "wasm"];
const LEVELS = 5;

/** Builds the proof of an epoch's list, honest or tampered with. */
export function participantsProof(epoch: ActiveParticipants, tampering: Tampering | undefined): ParticipantsProof {
  const attacked = attackedList(epoch);
  const proven = tampering === "fabricated" ? attacked : epoch;
  const bytes = encodeActiveParticipants(proven);
  const store = storeProof(epoch, bytes, tampering);
  const name = tampering === "wrong-store" || tampering === "fabricated" ? "bank" : STORE;
  const stores = [...OTHER_STORES, STORE]
    .toSorted()
    .map((other) => ({ name: other, root: other === name ? store.root : sha256(`store ${other}`) }));
  const multi = simpleProof(stores, name);
  const operations = [store.operation, multi.operation];
  return {
    listed: tampering === "attacker-json" || tampering === "fabricated" ? attacked : epoch,
    bytes,
    operations: tampering === "flipped-proof" ? operations.map(flipBit) : operations,
    appHash: multi.root,
  };
}

function storeProof(epoch: ActiveParticipants, bytes: Buffer, tampering: Tampering | undefined): ProvenRoot {
  const version = epoch.createdAtBlockHeight;
  if (tampering === "loose-spec") return looseProof(epoch, bytes);
  const isWrongKey = tampering === "wrong-key" || tampering === "fabricated";
  const key = activeParticipantsKey(isWrongKey ? epoch.epochId - 1 : epoch.epochId);
  return iavlProof(key, bytes, version, treeAround(version));
}

/** A made-up tree: what else the store holds does not matter to anybody. */
function treeAround(version: number): readonly IavlLevel[] {
  return Array.from({ length: LEVELS }, (_, level) => ({
    sibling: { side: level % 2 === 0 ? "left" : "right", hash: sha256(`sibling ${version} ${level}`) },
    size: 2 + 2 * level,
  }));
}

/** Hashes well, but the inner prefix is longer than any IAVL node's: room for whatever an attacker likes. */
function looseProof(epoch: ActiveParticipants, bytes: Buffer): ProvenRoot {
  const version = varint(epoch.createdAtBlockHeight * 2);
  const leafPrefix = Buffer.concat([Buffer.from([0, 2]), version]);
  const steps = [
    { prefix: Buffer.concat([Buffer.from([2, 4]), version, Buffer.alloc(90, 7)]), suffix: Buffer.alloc(0) },
  ];
  return prove("ics23:iavl", activeParticipantsKey(epoch.epochId), bytes, leafPrefix, steps);
}

function attackedList(epoch: ActiveParticipants): ActiveParticipants {
  return { ...epoch, participants: epoch.participants.map((one) => ({ ...one, inferenceUrl: ATTACKER_URL })) };
}

/** So far from the end lies the last hash of a proof, whatever mark follows it. */
const INSIDE_LAST_HASH = 10;

function flipBit(operation: ProofOperation): ProofOperation {
  const data = Buffer.from(operation.data);
  const at = data.length - INSIDE_LAST_HASH;
  data[at] = (data[at] ?? 0) ^ 1;
  return { ...operation, data };
}
