import { createPublicKey, verify } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { climb, innerSteps } from "../../test/integration/sandbox-network-proof-reading.ts";
import {
  type ActiveParticipants,
  activeParticipantsKey,
  type BlockId,
  type Commit,
  commitHash,
  encodeActiveParticipants,
  FLAG_COMMIT,
  formatTimestamp,
  headerHash,
  type IavlLevel,
  iavlProof,
  precommitBytes,
  sha256,
  simpleProof,
  type Timestamp,
  validatorAddress,
  validatorsHash,
  ZERO_TIME,
} from "./proof.ts";

const sample = JSON.parse(readFileSync(new URL("../../vectors/participants-sample.json", import.meta.url), "utf8"));
const { restored, expected } = sample;
const hex = (text: string) => Buffer.from(text, "hex");

function timeOf(text: string): Timestamp {
  if (text.startsWith("0001")) return ZERO_TIME;
  const [whole = "", fraction = "0"] = text.slice(0, -1).split(".");
  return { seconds: BigInt(Date.parse(`${whole}Z`) / 1000), nanos: Number(fraction.padEnd(9, "0")) };
}

function blockIdOf(json: { hash: string; parts: { total: number; hash: string } }): BlockId {
  return { hash: hex(json.hash), partsTotal: json.parts.total, partsHash: hex(json.parts.hash) };
}

interface CommitJson {
  height: number;
  round: number;
  block_id: Parameters<typeof blockIdOf>[0];
  signatures: { block_id_flag: number; validator_address: string; timestamp: string; signature: string | null }[];
}

function commitOf(json: CommitJson): Commit {
  return {
    height: json.height,
    round: json.round,
    blockId: blockIdOf(json.block_id),
    signatures: json.signatures.map((one) => ({
      flag: one.block_id_flag,
      validatorAddress: hex(one.validator_address),
      time: timeOf(one.timestamp),
      signature: Buffer.from(one.signature ?? "", "base64"),
    })),
  };
}

const set: ActiveParticipants = {
  participants: restored.active_participants.participants.map(
    (one: {
      index: string;
      validator_key: string;
      weight: number;
      inference_url: string;
      models: string[];
      seed: { signature: string };
      ml_nodes: { ml_nodes: { node_id: string }[] }[];
    }) => ({
      address: one.index,
      validatorKey: one.validator_key,
      weight: one.weight,
      inferenceUrl: one.inference_url,
      models: one.models,
      seedSignature: one.seed.signature,
      mlNodeId: one.ml_nodes[0]!.ml_nodes[0]!.node_id,
    }),
  ),
  epochGroupId: restored.active_participants.epoch_group_id,
  pocStartBlockHeight: restored.active_participants.poc_start_block_height,
  effectiveBlockHeight: restored.active_participants.effective_block_height,
  createdAtBlockHeight: restored.active_participants.created_at_block_height,
  epochId: restored.active_participants.epoch_id,
};

describe("the sandbox's chain encodings reproduce participants-sample.json", () => {
  it("participants and their key", () => {
    expect(encodeActiveParticipants(set).toString("hex")).toBe(restored.active_participants_bytes);
    expect(activeParticipantsKey(expected.epoch).toString("hex")).toBe(expected.iavl_key_hex);
  });

  it("the IAVL proof, byte for byte, from the siblings it holds", () => {
    const operation = restored.proof_ops.ops[0];
    const proof = iavlProof(
      activeParticipantsKey(expected.epoch),
      encodeActiveParticipants(set),
      expected.proof_height,
      iavlLevels(Buffer.from(operation.data, "base64")),
    );
    expect(proof.root.toString("hex")).toBe(expected.store_root_hex);
    expect(proof.operation.key.toString("base64")).toBe(operation.key);
    expect(proof.operation.data.toString("base64")).toBe(operation.data);
  });

  it("validators, commits, header and sign bytes", () => {
    const validators = restored.validators.map((one: { pub_key: string; voting_power: number }) => ({
      publicKey: Buffer.from(one.pub_key, "base64"),
      power: one.voting_power,
    }));
    expect(validatorsHash(validators).toString("hex")).toBe(expected.validators_hash_hex);
    expect(validatorAddress(validators[0].publicKey).toString("hex").toUpperCase()).toBe(restored.addresses[0]);
    expect(commitHash(commitOf(restored.block.last_commit)).toString("hex")).toBe(expected.last_commit_hash_hex);
    const json = restored.block.header;
    const header = {
      versionBlock: json.version.block,
      versionApp: json.version.app ?? 0,
      chainId: json.chain_id,
      height: json.height,
      time: timeOf(json.time),
      lastBlockId: blockIdOf(json.last_block_id),
      lastCommitHash: hex(json.last_commit_hash),
      dataHash: hex(json.data_hash),
      validatorsHash: hex(json.validators_hash),
      nextValidatorsHash: hex(json.next_validators_hash),
      consensusHash: hex(json.consensus_hash),
      appHash: hex(json.app_hash),
      lastResultsHash: hex(json.last_results_hash),
      evidenceHash: hex(json.evidence_hash),
      proposerAddress: hex(json.proposer_address),
    };
    expect(headerHash(header).toString("hex")).toBe(expected.header_hash_hex);
    expect(formatTimestamp(header.time)).toBe(json.time);
    const commit = commitOf(sample.commit_h_plus_1);
    const votes = commit.signatures.map(({ time }) => precommitBytes({ ...commit, time, chainId: expected.chain_id }));
    expect(votes[0]!.toString("hex")).toBe(expected.first_precommit_sign_bytes_hex);
    commit.signatures.forEach(({ flag, signature }, index) => {
      if (flag !== FLAG_COMMIT) return;
      const x = validators[index].publicKey.toString("base64url");
      const key = createPublicKey({ format: "jwk", key: { kty: "OKP", crv: "Ed25519", x } });
      expect(verify(null, votes[index]!, key, signature)).toBe(true);
    });
  });

  it("a simple proof leads from a store's root to the app hash", () => {
    const stores = ["bank", "gov", "inference", "staking", "wasm"].map((name) => ({ name, root: sha256(name) }));
    for (const { name, root } of stores) {
      const { operation, root: appHash } = simpleProof(stores, name);
      expect(climb(operation.data)).toEqual({ key: Buffer.from(name), value: root, root: appHash });
    }
  });
});

/** Takes the siblings and sizes out of the sample's proof. */
function iavlLevels(data: Buffer): readonly IavlLevel[] {
  return innerSteps(data).map(({ prefix, suffix }) => ({
    size: prefix[1]! / 2,
    sibling:
      suffix.length > 0
        ? { side: "right", hash: suffix.subarray(1) }
        : { side: "left", hash: prefix.subarray(-33, -1) },
  }));
}
