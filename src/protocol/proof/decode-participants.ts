import type { ActiveParticipants, Participant } from "../participants/participant.ts";
import type { Bytes } from "./bytes.ts";
import { ProtobufMessage } from "./protobuf-reader.ts";

/**
 * Decodes `active_participants_bytes`. Unknown fields are skipped: the chain may add some.
 * Source: gonka-ai/gonka `inference-chain/proto/inference/inference/activeparticipants.proto`.
 */
export function decodeParticipants(bytes: Bytes): ActiveParticipants {
  const active = new ProtobufMessage(bytes, "the record");
  return {
    participants: active.repeatedBytes(1).map(decodeParticipant),
    epochGroupId: active.integer(2),
    pocStartBlockHeight: active.integer(3),
    effectiveBlockHeight: active.integer(4),
    createdAtBlockHeight: active.integer(5),
    epochId: active.integer(6),
  };
}

function decodeParticipant(bytes: Bytes): Participant {
  const participant = new ProtobufMessage(bytes, "a participant");
  return {
    address: participant.text(1),
    weight: participant.integer(3),
    inferenceUrl: participant.text(4),
    models: participant.repeatedText(5),
  };
}
