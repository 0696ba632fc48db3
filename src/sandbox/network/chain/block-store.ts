import { type Commit, commitHash, signCommit } from "../proof/commit.ts";
import { type BlockId, type Header, headerHash } from "../proof/header.ts";
import { sha256 } from "../proof/merkle.ts";
import { timestampFromMs } from "../proof/timestamp.ts";
import { newValidators, type SigningValidator, validatorsHash } from "../proof/validator-set.ts";
import type { BlockClock } from "./block-clock.ts";
import type { EpochBook } from "./epoch-book.ts";
import { participantsProof } from "./participants-proof.ts";
import type { Tampering } from "./tamper.ts";

/** A block, and the commit of the block before it. */
export interface SealedBlock {
  readonly header: Header;
  readonly id: BlockId;
  /** Precommits for this block: what `/chain-rpc/commit` gives for its height. */
  readonly commit: Commit;
  /** Precommits for the block before, inside this block. */
  readonly lastCommit: Commit;
}

export interface BlockStoreOptions {
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
