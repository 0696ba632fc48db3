import { optional, readAmount, readList, readObject, readText } from "../json/read-value.ts";
import type { ActiveParticipants, ExcludedParticipant, Participant } from "./participant.ts";

/** `GET /v1/epochs/{current|N}/participants`, the readable part. Only its proof makes it more than a claim. */
export interface ParticipantsResponse {
  readonly active: ActiveParticipants;
  /** Empty where the node is older than v0.2.5 and does not tell. */
  readonly excluded: readonly ExcludedParticipant[];
}

/**
 * Reads the participants of an epoch, with numbers as numbers (dapi up to v0.2.14) or as text (v0.2.15). Fields that a
 * proto encoder leaves out are zero or empty. Throws `bad_response`. What to do with it: `verifyParticipants`.
 */
export function parseParticipants(value: unknown): ParticipantsResponse {
  const root = readObject(value, "participants response");
  const active = readObject(root.active_participants, "active_participants");
  const amount = (field: string) => optional(active[field], `active_participants.${field}`, readAmount) ?? 0n;
  return {
    active: {
      participants:
        optional(active.participants, "active_participants.participants", (list, place) =>
          readList(list, place, readParticipant),
        ) ?? [],
      epochId: amount("epoch_id"),
      epochGroupId: amount("epoch_group_id"),
      pocStartBlockHeight: amount("poc_start_block_height"),
      effectiveBlockHeight: amount("effective_block_height"),
      createdAtBlockHeight: amount("created_at_block_height"),
    },
    excluded: parseExcluded(root),
  };
}

/** The `excluded_participants` of a participants response. */
export function parseExcluded(root: Readonly<Record<string, unknown>>): readonly ExcludedParticipant[] {
  const read = (list: unknown, place: string) => readList(list, place, readExcluded);
  return optional(root.excluded_participants, "excluded_participants", read) ?? [];
}

function readParticipant(value: unknown, place: string): Participant {
  const participant = readObject(value, place);
  return {
    address: readText(participant.index, `${place}.index`),
    inferenceUrl: optional(participant.inference_url, `${place}.inference_url`, readText) ?? "",
    models: optional(participant.models, `${place}.models`, (list, at) => readList(list, at, readText)) ?? [],
    weight: optional(participant.weight, `${place}.weight`, readAmount) ?? 0n,
  };
}

function readExcluded(value: unknown, place: string): ExcludedParticipant {
  const excluded = readObject(value, place);
  return {
    address: readText(excluded.address, `${place}.address`),
    reason: optional(excluded.reason, `${place}.reason`, readText),
  };
}
