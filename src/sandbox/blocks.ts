import type { Clock } from "../base/time.ts";
import {
  type ActiveParticipants,
  activeParticipantsKey,
  type BlockId,
  type Commit,
  commitHash,
  encodeActiveParticipants,
  type Header,
  headerHash,
  type IavlLevel,
  iavlProof,
  newValidators,
  type Participant,
  type ProofOperation,
  type ProvenRoot,
  prove,
  type SigningValidator,
  sha256,
  signCommit,
  simpleProof,
  timestampFromMs,
  validatorsHash,
  varint,
} from "./proof.ts";

/** A block, and the commit of the block before it. */
export interface SealedBlock {
  readonly header: Header;
  readonly id: BlockId;
  /** Precommits for this block: what `/chain-rpc/commit` gives for its height. */
  readonly commit: Commit;
  /** Precommits for the block before, inside this block. */
  readonly lastCommit: Commit;
}

interface BlockStoreOptions {
  readonly chainId: string;
  readonly blocks: BlockClock;
  readonly epochs: EpochBook;
  readonly validators: readonly SigningValidator[];
  readonly tampering: Tampering | undefined;
}

/**
 * Blocks are linked by hash in runs of this many; the first of a run names a made-up predecessor. A clock that jumps by
 * a year must not make the sandbox sign millions of blocks.
 */
const LINKED_RUN = 256;
const POWER_SHARE = 2 / 3;
const EMPTY = sha256("");

/** The blocks of the sandbox chain, made when somebody asks for them and kept. */
export class BlockStore {
  readonly #options: BlockStoreOptions;
  readonly #signers: readonly SigningValidator[];
  readonly #made = new Map<number, SealedBlock>();

  constructor(options: BlockStoreOptions) {
    this.#options = options;
    const isForeign = options.tampering === "other-validators";
    this.#signers = isForeign ? newValidators(options.validators.map(({ power }) => power)) : options.validators;
  }

  /** The set of validators, the same at every height. */
  get validators(): readonly SigningValidator[] {
    return this.#signers;
  }

  get chainId(): string {
    return this.#options.tampering === "other-chain" ? "another-chain-1" : this.#options.chainId;
  }

  at(height: number): SealedBlock {
    const first = Math.floor(height / LINKED_RUN) * LINKED_RUN;
    for (let next = first; next < height; next += 1) this.#make(next);
    return this.#make(height);
  }

  #make(height: number): SealedBlock {
    const known = this.#made.get(height);
    if (known !== undefined) return known;
    const before = this.#made.get(height - 1);
    const lastId = before?.id ?? blockId(sha256(`block ${height - 1}`), height - 1);
    const lastCommit = before?.commit ?? this.#sign(height - 1, lastId);
    const header = this.#header(height, lastId, lastCommit);
    const id = blockId(headerHash(header), height);
    const block: SealedBlock = { header, id, commit: this.#sign(height, id), lastCommit };
    this.#made.set(height, block);
    return block;
  }

  #header(height: number, lastBlockId: BlockId, lastCommit: Commit): Header {
    const set = validatorsHash(this.#signers);
    const epoch = this.#options.epochs.provenAt(height);
    return {
      versionBlock: 11,
      versionApp: 0,
      chainId: this.chainId,
      height,
      time: timestampFromMs(this.#options.blocks.at(height).timeMs),
      lastBlockId,
      lastCommitHash: commitHash(lastCommit),
      dataHash: EMPTY,
      validatorsHash: set,
      nextValidatorsHash: set,
      consensusHash: sha256("consensus parameters"),
      appHash:
        epoch === undefined ? sha256(`app ${height}`) : participantsProof(epoch, this.#options.tampering).appHash,
      lastResultsHash: EMPTY,
      evidenceHash: EMPTY,
      proposerAddress: this.#signers[0]?.address ?? Buffer.alloc(20),
    };
  }

  #sign(height: number, id: BlockId): Commit {
    const { tampering, blocks } = this.#options;
    const block = { height, blockId: id, chainId: this.chainId, timeMs: blocks.at(height).timeMs };
    const commit = signCommit(block, this.#signers, (_, index) => this.#isPresent(index));
    if (tampering !== "forged-signatures" && tampering !== "fabricated") return commit;
    const forged = (genuine: Buffer) => Buffer.concat([sha256("forged", genuine), sha256("signature", genuine)]);
    const signatures = commit.signatures.map((one) => ({
      ...one,
      signature: one.signature.length === 0 ? one.signature : forged(one.signature),
    }));
    return { ...commit, signatures };
  }

  /** The validators that sign are the strongest ones up to just over 2/3 of the power, or just not over it. */
  #isPresent(index: number): boolean {
    const powers = this.#signers.map(({ power }) => power);
    const needed = powers.reduce((sum, power) => sum + power, 0) * POWER_SHARE;
    const signedBefore = powers.slice(0, index).reduce((sum, power) => sum + power, 0);
    if (this.#options.tampering === "few-signatures") return signedBefore + (powers[index] ?? 0) <= needed;
    return signedBefore <= needed;
  }
}

function blockId(hash: Buffer, height: number): BlockId {
  return { hash, partsTotal: 1, partsHash: sha256(`parts ${height}`) };
}

/** One host to list as an active participant. */
export interface ParticipantInput {
  readonly address: string;
  readonly inferenceUrl: string;
  readonly models: readonly string[];
  /** Default 100. */
  readonly weight?: number;
}

/** A participant the network has thrown out; not part of the proof. */
interface ExcludedParticipant {
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

interface Block {
  readonly height: number;
  readonly timeMs: number;
}

/** The network's time: blocks that follow the clock given, a second behind, and everything a test may do to them. */
export interface BlockClock {
  /** The latest block: the only clock request timestamps are judged by. */
  latest(): Block;
  /** The height and time of any block up to the latest. */
  at(height: number): Block;
  /** Wall time of the network's servers, what their `Date` header tells; `skewMs` away from the clock given. */
  nowMs(): number;
  /** Puts the network's time ahead (or behind) of the clock given, as when the user's clock is wrong. */
  setSkew(skewMs: number): void;
  /** Stops block production: wall time goes on, the latest block stays. */
  stall(): void;
  resume(): void;
  /** Adds blocks at once. Their time goes up by `intervalMs` each, default 5000. */
  produce(count: number, intervalMs?: number): void;
}

const BLOCK_INTERVAL_MS = 5_000;

/** How long a block takes to be seen; with the interval it puts a correct clock 1 to 6 s ahead of the latest block. */
const BLOCK_DELAY_MS = 1_000;

/** Blocks from `startHeight` on, one every 5 seconds of `clock`. */
export function blockClock(clock: Pick<Clock, "nowMs">, startHeight: number): BlockClock {
  const startMs = clock.nowMs() - BLOCK_DELAY_MS;
  let skewMs = 0;
  let producedBlocks = 0;
  let producedMs = 0;
  let stalledAt: Block | undefined;
  const nowMs = () => clock.nowMs() + skewMs;

  function running(): Block {
    const regular = Math.floor((nowMs() - BLOCK_DELAY_MS - startMs) / BLOCK_INTERVAL_MS);
    return {
      height: startHeight + Math.max(regular, 0) + producedBlocks,
      timeMs: startMs + regular * BLOCK_INTERVAL_MS + producedMs,
    };
  }
  const latest = () => stalledAt ?? running();

  return {
    latest,
    at(height) {
      const last = latest();
      return { height, timeMs: last.timeMs - (last.height - height) * BLOCK_INTERVAL_MS };
    },
    nowMs,
    setSkew: (value) => {
      skewMs = value;
    },
    stall: () => {
      stalledAt ??= running();
    },
    resume: () => {
      stalledAt = undefined;
    },
    produce(count, intervalMs = BLOCK_INTERVAL_MS) {
      producedBlocks += count;
      producedMs += count * intervalMs;
      if (stalledAt !== undefined) {
        stalledAt = { height: stalledAt.height + count, timeMs: stalledAt.timeMs + count * intervalMs };
      }
    },
  };
}

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

/**
 * How the network may lie about its participants.
 * - `attacker-json`: the readable list names an attacker's URL, the proven bytes do not.
 * - `fabricated`: attacker URL in the bytes too, under another key and store, with a header of its own making.
 * - `wrong-store`: a good proof, but out of the store `bank`.
 * - `wrong-key`: a good proof of the right bytes, under another epoch's key.
 * - `previous-epoch`: the good answer of the epoch before.
 * - `flipped-proof`: one bit of a hash in the proof is turned.
 * - `loose-spec`: the hashes fit, but a step of the proof is of a form ICS23 forbids.
 * - `other-chain`: all good, for another chain id.
 * - `few-signatures`: not more than 2/3 of the power has signed the header.
 * - `forged-signatures`: signatures of the right validators that do not verify.
 * - `other-validators`: all good, signed by validators nobody trusts.
 * - `no-proof`: `proof_ops` and `block` are null.
 */
export type Tampering =
  | "attacker-json"
  | "fabricated"
  | "wrong-store"
  | "wrong-key"
  | "previous-epoch"
  | "flipped-proof"
  | "loose-spec"
  | "other-chain"
  | "few-signatures"
  | "forged-signatures"
  | "other-validators"
  | "no-proof";

/** Where the fabricated lists point. Nothing listens there. */
export const ATTACKER_URL = "http://attacker.invalid:8000";
