import type { ActiveParticipants, Participant } from "../proof/active-participants.ts";
import { sha256 } from "../proof/merkle.ts";
import { newValidators } from "../proof/validator-set.ts";
import type { BlockClock } from "./block-clock.ts";

/** One host to list as an active participant. */
export interface ParticipantInput {
  readonly address: string;
  readonly inferenceUrl: string;
  readonly models: readonly string[];
  /** Default 100. */
  readonly weight?: number;
}

/** A participant the network has thrown out; not part of the proof. */
export interface ExcludedParticipant {
  readonly address: string;
  readonly reason: string;
  readonly atHeight: number;
}

const DEFAULT_WEIGHT = 100;
const FIRST_EPOCH = 42;
const POC_BLOCKS = 400;

/** The epochs of the sandbox chain; each lists who takes part. */
export class EpochBook {
  readonly #blocks: BlockClock;
  readonly #epochs: ActiveParticipants[] = [];
  readonly #validatorKeys = new Map<string, string>();
  excluded: readonly ExcludedParticipant[] = [];

  constructor(blocks: BlockClock) {
    this.#blocks = blocks;
  }

  /** Begins the next epoch. Its list is written in a block that already has two successors. */
  start(participants: readonly ParticipantInput[]): ActiveParticipants {
    this.#blocks.produce(3, 1);
    const createdAtBlockHeight = this.#blocks.latest().height - 2;
    const epochId = FIRST_EPOCH + this.#epochs.length;
    const epoch: ActiveParticipants = {
      participants: participants.map((participant, index) => this.#participant(participant, index, epochId)),
      epochGroupId: 7 + this.#epochs.length,
      pocStartBlockHeight: createdAtBlockHeight - POC_BLOCKS,
      effectiveBlockHeight: createdAtBlockHeight - 1,
      createdAtBlockHeight,
      epochId,
    };
    this.#epochs.push(epoch);
    return epoch;
  }

  current(): ActiveParticipants | undefined {
    return this.#epochs.at(-1);
  }

  all(): readonly ActiveParticipants[] {
    return this.#epochs;
  }

  find(epochId: number): ActiveParticipants | undefined {
    return this.#epochs.find((epoch) => epoch.epochId === epochId);
  }

  /** The epoch whose list is proven by the header at `height`. */
  provenAt(height: number): ActiveParticipants | undefined {
    return this.#epochs.find((epoch) => epoch.createdAtBlockHeight === height - 1);
  }

  #participant(input: ParticipantInput, index: number, epochId: number): Participant {
    return {
      address: input.address,
      validatorKey: this.#validatorKey(input.address),
      weight: input.weight ?? DEFAULT_WEIGHT,
      inferenceUrl: input.inferenceUrl,
      models: input.models,
      seedSignature: sha256(`seed ${epochId} ${input.address}`).toString("hex").repeat(2),
      mlNodeId: `node${index}`,
    };
  }

  #validatorKey(address: string): string {
    const known = this.#validatorKeys.get(address);
    if (known !== undefined) return known;
    const made = newValidators([1])[0]?.publicKey.toString("base64") ?? "";
    this.#validatorKeys.set(address, made);
    return made;
  }
}
