/** A host of the network in one epoch. */
export interface Participant {
  /** Account address, also the transfer address of its node. As written; check it before use. */
  readonly address: string;
  /** Declared by the participant itself, unverified; often plain http, perhaps with a trailing slash, perhaps empty. */
  readonly inferenceUrl: string;
  readonly models: readonly string[];
  readonly weight: bigint;
}

/** The hosts of one epoch, as the chain recorded them. */
export interface ActiveParticipants {
  readonly participants: readonly Participant[];
  readonly epochId: bigint;
  readonly epochGroupId: bigint;
  readonly pocStartBlockHeight: bigint;
  readonly effectiveBlockHeight: bigint;
  /** Block at which the record was written: H of the proof. */
  readonly createdAtBlockHeight: bigint;
}

/** Taken out of service during the epoch. Stated by the source of the list; no proof covers it. */
export interface ExcludedParticipant {
  readonly address: string;
  readonly reason: string | undefined;
}
