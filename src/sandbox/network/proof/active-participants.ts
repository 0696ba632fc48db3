import { bytesField, messageField, numberField } from "./protobuf.ts";

export interface Participant {
  /** Account address of the host; named `index` on the wire. */
  readonly address: string;
  /** Base64 of an ed25519 key. */
  readonly validatorKey: string;
  readonly weight: number;
  readonly inferenceUrl: string;
  readonly models: readonly string[];
  readonly seedSignature: string;
  /** Name of its one ML node. */
  readonly mlNodeId: string;
}

/** The active set of one epoch. */
export interface ActiveParticipants {
  readonly participants: readonly Participant[];
  readonly epochGroupId: number;
  readonly pocStartBlockHeight: number;
  readonly effectiveBlockHeight: number;
  readonly createdAtBlockHeight: number;
  readonly epochId: number;
}

/**
 * The protobuf the chain stores and proves.
 * Field numbers: gonka-ai/gonka inference-chain/proto/inference/inference/activeparticipants.proto at 8a35022b.
 */
export function encodeActiveParticipants(set: ActiveParticipants): Buffer {
  return Buffer.concat([
    ...set.participants.map((participant) => messageField(1, encodeParticipant(participant, set.epochId))),
    numberField(2, set.epochGroupId),
    numberField(3, set.pocStartBlockHeight),
    numberField(4, set.effectiveBlockHeight),
    numberField(5, set.createdAtBlockHeight),
    numberField(6, set.epochId),
  ]);
}

/** The store key of an epoch: `ActiveParticipants/value/` ‖ epoch as 8 bytes, big-endian ‖ `/`. */
export function activeParticipantsKey(epochId: number): Buffer {
  const epoch = Buffer.alloc(8);
  epoch.writeBigUInt64BE(BigInt(epochId));
  return Buffer.concat([Buffer.from("ActiveParticipants/value/"), epoch, Buffer.from("/")]);
}

function encodeParticipant(participant: Participant, epochId: number): Buffer {
  const { address, weight, models } = participant;
  return Buffer.concat([
    bytesField(1, address),
    bytesField(2, participant.validatorKey),
    numberField(3, weight),
    bytesField(4, participant.inferenceUrl),
    ...models.map((model) => bytesField(5, model)),
    messageField(6, bytesField(1, address), numberField(2, epochId), bytesField(3, participant.seedSignature)),
    messageField(7, messageField(1, bytesField(1, participant.mlNodeId), numberField(3, weight))),
    ...models.map((model) => messageField(8, bytesField(1, model), numberField(2, weight))),
  ]);
}
