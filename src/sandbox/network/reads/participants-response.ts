import type { ChainStandIn } from "../chain/chain.ts";
import { type ParticipantsProof, participantsProof } from "../chain/participants-proof.ts";
import { encodeBech32 } from "../crypto/bech32.ts";
import type { ActiveParticipants, Participant } from "../proof/active-participants.ts";
import type { SigningValidator } from "../proof/validator-set.ts";
import type { NetworkState } from "../server/node-setting.ts";
import { blockJson, cometStyle, sdkStyle } from "./block-json.ts";

type Shape = NetworkState["shape"];

/** `/v1/epochs/…/participants`: the list, its proof, the header that proves the proof, and who signed. */
export function participantsResponse(
  chain: ChainStandIn,
  epoch: ActiveParticipants,
  shape: Shape,
  withExcluded: "with-excluded" | "before-0.2.5",
): unknown {
  const proof = participantsProof(epoch, chain.tampering);
  const store = chain.store();
  const isProven = chain.tampering !== "no-proof";
  return {
    active_participants: listJson(proof.listed, shape),
    addresses: store.validators.map(({ address }) => upperHex(address)),
    active_participants_bytes: proof.bytes.toString("hex"),
    proof_ops: isProven ? { ops: operationsJson(proof) } : null,
    validators: store.validators.map((validator) => validatorJson(validator, chain.prefix, shape)),
    block: isProven
      ? blockJson(store.at(epoch.createdAtBlockHeight + 1), shape === "restored" ? nodeStyle : sdkStyle)
      : null,
    ...(withExcluded === "with-excluded" ? { excluded_participants: excludedJson(chain) } : {}),
  };
}

function excludedJson(chain: ChainStandIn): readonly unknown[] {
  return chain.epochs.excluded.map(({ address, reason, atHeight }) => ({
    address,
    reason,
    exclusion_block_height: atHeight,
  }));
}

/** The node's own rendering: like CometBFT's, with plain numbers and null for what is empty. */
const nodeStyle = { ...cometStyle, number: Number, version: { block: 11 }, empty: null };

function listJson(list: ActiveParticipants, shape: Shape): unknown {
  const number = shape === "restored" ? Number : String;
  return {
    participants: list.participants.map((participant) => participantJson(participant, list.epochId, number)),
    epoch_group_id: number(list.epochGroupId),
    poc_start_block_height: number(list.pocStartBlockHeight),
    effective_block_height: number(list.effectiveBlockHeight),
    created_at_block_height: number(list.createdAtBlockHeight),
    epoch_id: number(list.epochId),
  };
}

function participantJson(one: Participant, epochId: number, number: (value: number) => unknown): unknown {
  const weight = number(one.weight);
  return {
    index: one.address,
    validator_key: one.validatorKey,
    weight,
    inference_url: one.inferenceUrl,
    models: one.models,
    seed: { participant: one.address, epoch_index: number(epochId), signature: one.seedSignature },
    ml_nodes: [{ ml_nodes: [{ node_id: one.mlNodeId, throughput: number(0), poc_weight: weight }] }],
    voting_powers: one.models.map((model) => ({ model_id: model, voting_power: weight })),
  };
}

function operationsJson(proof: ParticipantsProof): readonly unknown[] {
  return proof.operations.map(({ type, key, data }) => ({
    type,
    key: key.toString("base64"),
    data: data.toString("base64"),
  }));
}

function validatorJson(validator: SigningValidator, prefix: string, shape: Shape): unknown {
  const key = validator.publicKey.toString("base64");
  if (shape === "restored") {
    return { address: upperHex(validator.address), pub_key: key, voting_power: validator.power, proposer_priority: 0 };
  }
  return {
    address: encodeBech32(`${prefix}valcons`, validator.address),
    pub_key: { "@type": "/cosmos.crypto.ed25519.PubKey", key },
    voting_power: String(validator.power),
    proposer_priority: "0",
  };
}

function upperHex(bytes: Buffer): string {
  return bytes.toString("hex").toUpperCase();
}
