import { ZephError } from "../errors/zeph-error.ts";
import { parseParticipants } from "../protocol/participants/parse-participants.ts";
import type { ExcludedParticipant, Participant } from "../protocol/participants/participant.ts";
import { type ReadNodeOptions, readNode } from "./read-node.ts";

/** How far a list of participants is proven. See docs/protocol.md. */
export type TrustLabel = "verified" | "self-consistent" | "unverified";

/** What a list is checked against: without a pinned header or validator set one server vouches for itself. */
export interface ParticipantsTrust {
  readonly chainId?: string;
}

export interface ParticipantsList {
  readonly participants: readonly Participant[];
  readonly excluded: readonly ExcludedParticipant[];
  readonly epochId: bigint;
  readonly label: TrustLabel;
  readonly reason: string;
}

/** Reads the participants of the current epoch and checks their proof as far as the source offers one. */
export async function readParticipants(
  source: string,
  reading: ReadNodeOptions,
  _trust: ParticipantsTrust = {},
): Promise<ParticipantsList> {
  const { json } = await readNode(`${source}/epochs/current/participants`, reading).catch((error: unknown) => {
    if (!ZephError.is(error) || error.code !== "bad_response") throw error;
    throw new ZephError("discovery_failed", { detail: error.detail ?? error.summary, cause: error });
  });
  const { active, excluded } = parseParticipants(json);
  return {
    participants: active.participants,
    excluded,
    epochId: active.epochId,
    label: "unverified",
    reason: "the source offers no proof",
  };
}
