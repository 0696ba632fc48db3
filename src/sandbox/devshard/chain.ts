import type { Clock } from "../../base/time.ts";
import { type BlockClock, blockClock } from "../blocks.ts";
import { addressOfPublicKey } from "../crypto.ts";
import {
  type ChainTx,
  type CreateMessage,
  checkSignature,
  type Division,
  dividePruned,
  divideSettled,
  type Escrow,
  readTx,
  type SettleMessage,
  TxRefusal,
} from "./chain-tx.ts";
import { sha256 } from "./crypto.ts";

/** `DevshardEscrowParams`; a test may change them at any time, as governance does. Amounts in ngonka. */
export interface DevshardParams {
  minAmount: bigint;
  maxAmount: bigint;
  maxEscrowsPerEpoch: number;
  /** Who may create and settle. */
  allowedCreators: readonly string[];
  approvedVersions: readonly string[];
  /** Of a settlement; with 0 nothing can be settled. */
  maxNonce: number;
  requestsEnabled: boolean;
  tokenPrice: bigint;
  createDevshardFee: bigint;
  feePerNonce: bigint;
  sealGraceNonces: number;
  sealGraceSeconds: number;
  autoSealEvery: number;
  refusalTimeoutSeconds: number;
  executionTimeoutSeconds: number;
  /** Basis points. */
  validationRate: number;
  /** Percent. */
  voteThresholdFactor: number;
  /** Per unit of gas. */
  minGasPrice: bigint;
}

/** Defaults of gonka-ai/gonka v0.2.15, with amounts that suit a trial. */
const DEFAULT_PARAMS: DevshardParams = {
  minAmount: 100_000n,
  maxAmount: 100_000_000_000n,
  maxEscrowsPerEpoch: 500_000,
  allowedCreators: [],
  approvedVersions: ["v4"],
  maxNonce: 20_000,
  requestsEnabled: true,
  tokenPrice: 1n,
  createDevshardFee: 10_000n,
  feePerNonce: 1_000n,
  sealGraceNonces: 20,
  sealGraceSeconds: 3600,
  autoSealEvery: 150,
  refusalTimeoutSeconds: 60,
  executionTimeoutSeconds: 1200,
  validationRate: 1000,
  voteThresholdFactor: 50,
  minGasPrice: 1n,
};

interface DevshardAccount {
  readonly address: string;
  readonly number: bigint;
  balance: bigint;
}

interface DevshardParticipant {
  readonly address: string;
  readonly inferenceUrl: string;
  readonly weight: number;
}

/** One end of an escrow: what left the module account, and to whom. */
export interface Payment {
  readonly escrowId: string;
  readonly why: "settled" | "pruned";
  readonly atEpoch: number;
  readonly creator: string;
  readonly amount: bigint;
  readonly fees: bigint;
  readonly perSlot: Division["perSlot"];
  /** Back to the creator. */
  readonly refund: bigint;
}

/** A transaction that was taken, and once it is in a block, what came of it. */
export interface TakenTx {
  readonly hash: string;
  readonly tx: ChainTx;
  readonly signer: string;
  readonly takenAtMs: number;
  result?: TxResult;
}

interface TxResult {
  readonly height: number;
  readonly code: number;
  readonly codespace: string;
  readonly rawLog: string;
  readonly events: readonly ChainEvent[];
}

interface ChainEvent {
  readonly type: string;
  readonly attributes: Readonly<Record<string, string>>;
}

const MAX_TTL_NANOS = 600n * 1_000_000_000n;
const NANOS_PER_MS = 1_000_000n;
const START_HEIGHT = 5_316_400;
const FIRST_EPOCH = 300;

/** The one chain of a devshard network, in memory: accounts, escrows, transactions, epochs. */
export class DevshardChain {
  readonly chainId: string;
  readonly params: DevshardParams;
  readonly blocks: BlockClock;
  /** How long a transaction waits for its block. */
  inclusionDelayMs: number;
  /** Models that have an epoch group. */
  readonly models: readonly string[];
  /** Of the network's addresses. */
  readonly prefix: string;
  readonly participants = new Map<string, DevshardParticipant>();
  readonly payments: Payment[] = [];
  /** What an unknown escrow is: an answer without one, or 404. */
  missingEscrowAs: "found-false" | "404" = "found-false";
  /** Where a transaction's answer has its events; older nodes have them in `logs` only. */
  eventsIn: "events" | "logs" = "events";
  readonly #clock: Pick<Clock, "nowMs">;
  readonly #accounts = new Map<string, DevshardAccount>();
  readonly #grants = new Set<string>();
  readonly #escrows = new Map<string, Escrow>();
  readonly #txs = new Map<string, TakenTx>();
  readonly #usedTimeouts = new Set<string>();
  /** Addresses of the next escrow's slots. */
  #slots: readonly string[] = [];
  #lastEscrowId: number;
  #epoch = FIRST_EPOCH;
  #epochStart = START_HEIGHT;

  constructor(options: {
    readonly chainId: string;
    readonly prefix?: string | undefined;
    readonly clock: Pick<Clock, "nowMs">;
    readonly models: readonly string[];
    readonly params?: Partial<DevshardParams> | undefined;
    readonly inclusionDelayMs?: number | undefined;
    readonly firstEscrowId?: number | undefined;
  }) {
    this.chainId = options.chainId;
    this.prefix = options.prefix ?? "gonka";
    this.#clock = options.clock;
    this.models = options.models;
    this.params = { ...DEFAULT_PARAMS, ...options.params };
    this.inclusionDelayMs = options.inclusionDelayMs ?? 0;
    this.#lastEscrowId = (options.firstEscrowId ?? 1) - 1;
    this.blocks = blockClock(options.clock, START_HEIGHT);
  }

  get epoch(): number {
    return this.#epoch;
  }
  /** Height at which the epoch began. */
  get epochStart(): number {
    return this.#epochStart;
  }
  nowMs(): number {
    return this.#clock.nowMs();
  }

  /** Begins an epoch; escrows older than the one before it are pruned, unless told to wait. */
  nextEpoch({ prune = true }: { readonly prune?: boolean } = {}): void {
    this.#includeDue();
    this.#epoch += 1;
    this.#epochStart = this.blocks.latest().height;
    if (prune) this.prune();
  }

  /** Forgets every escrow that can no longer be settled; what nobody settled goes to its hosts. */
  prune(): void {
    for (const escrow of [...this.#escrows.values()]) {
      if (this.#epoch <= escrow.epochIndex + 1) continue;
      if (!escrow.settled) this.#pay(escrow, "pruned", 0n, dividePruned(escrow));
      this.#escrows.delete(escrow.id);
    }
  }

  fund(address: string, ngonka: bigint): DevshardAccount {
    const known = this.#accounts.get(address);
    const account = known ?? { address, number: BigInt(this.#accounts.size + 17), balance: 0n };
    account.balance += ngonka;
    this.#accounts.set(address, account);
    return account;
  }

  account(address: string): DevshardAccount | undefined {
    return this.#accounts.get(address);
  }

  /** Lets a warm key sign MsgStartInference for a host, or no longer. */
  grant(granter: string, warm: string, isGranted = true): void {
    if (isGranted) this.#grants.add(`${granter} ${warm}`);
    else this.#grants.delete(`${granter} ${warm}`);
  }

  isGranted(warm: string, granter: string): boolean {
    return this.#grants.has(`${granter} ${warm}`);
  }

  granteesOf(granter: string): string[] {
    return [...this.#grants]
      .filter((pair) => pair.startsWith(`${granter} `))
      .map((pair) => pair.slice(granter.length + 1));
  }

  /** Whose slots the next escrows have. */
  setSlots(addresses: readonly string[]): void {
    this.#slots = addresses;
  }

  get slots(): readonly string[] {
    return this.#slots;
  }

  escrow(id: string): Escrow | undefined {
    this.#includeDue();
    return this.#escrows.get(id);
  }

  escrows(): readonly Escrow[] {
    this.#includeDue();
    return [...this.#escrows.values()];
  }

  /** Puts an escrow on chain without a transaction. */
  addEscrow(creator: string, amount: bigint, modelId: string, row: Partial<Escrow> = {}): Escrow {
    this.#lastEscrowId += 1;
    const { params } = this;
    const escrow: Escrow = {
      id: String(this.#lastEscrowId),
      creator,
      amount,
      slots: this.#slots,
      epochIndex: this.#epoch,
      appHash: sha256(String(this.#lastEscrowId)).toString("hex"),
      settled: false,
      modelId,
      tokenPrice: params.tokenPrice,
      createDevshardFee: params.createDevshardFee,
      feePerNonce: params.feePerNonce,
      sealGraceNonces: params.sealGraceNonces,
      sealGraceSeconds: params.sealGraceSeconds,
      autoSealEvery: params.autoSealEvery,
      validationRate: params.validationRate,
      voteThresholdFactor: params.voteThresholdFactor,
      ...row,
    };
    this.#escrows.set(escrow.id, escrow);
    return escrow;
  }

  /** Every transaction that was taken, in order. */
  transactions(): readonly TakenTx[] {
    this.#includeDue();
    return [...this.#txs.values()];
  }

  /** One in a block; `undefined` while it waits, too. */
  includedTx(hash: string): TakenTx | undefined {
    this.#includeDue();
    const taken = this.#txs.get(hash);
    return taken?.result === undefined ? undefined : taken;
  }

  /** BROADCAST_MODE_SYNC: checks a transaction, and takes it for a later block. Throws {@link TxRefusal}. */
  broadcast(bytes: Uint8Array): TakenTx {
    this.#includeDue();
    const tx = readTx(bytes);
    if (this.#txs.has(tx.hash)) throw new TxRefusal(19, "tx already in mempool");
    const { escrow } = tx;
    const owner = escrow.kind === "create" ? escrow.message.creator : escrow.message.settler;
    const signer = addressOfPublicKey(tx.publicKey, this.prefix);
    const account = this.#accounts.get(signer);
    if (account === undefined) throw new TxRefusal(9, `account ${signer} not found: key not found: unknown address`);
    if (owner !== signer) throw new TxRefusal(8, `pubKey does not match signer address ${owner}: invalid pubkey`);
    checkSignature(tx, { chainId: this.chainId, accountNumber: account.number });
    this.#checkUnordered(tx, signer);
    this.#checkFee(tx, account);
    const taken: TakenTx = { hash: tx.hash, tx, signer, takenAtMs: this.nowMs() };
    this.#usedTimeouts.add(`${signer} ${tx.timeoutNanos}`);
    this.#txs.set(tx.hash, taken);
    return taken;
  }

  /** Loses the newest transaction, as a node does that restarts before the block. */
  forgetNewestTx(): void {
    const newest = [...this.#txs.values()].at(-1);
    if (newest === undefined || newest.result !== undefined) return;
    this.#txs.delete(newest.hash);
    this.#usedTimeouts.delete(`${newest.signer} ${newest.tx.timeoutNanos}`);
  }

  #checkUnordered({ isUnordered, sequence, timeoutNanos }: ChainTx, signer: string): void {
    const nowNanos = BigInt(Math.floor(this.nowMs())) * NANOS_PER_MS;
    if (!isUnordered)
      throw new TxRefusal(32, "this sandbox takes unordered transactions only: incorrect account sequence");
    if (sequence !== 0n) throw new TxRefusal(18, "sequence is not allowed for unordered transactions: invalid request");
    if (timeoutNanos === 0n)
      throw new TxRefusal(18, "unordered transaction must have timeout_timestamp set: invalid request");
    if (timeoutNanos <= nowNanos) {
      throw new TxRefusal(18, "unordered transaction has a timeout_timestamp that has already passed: invalid request");
    }
    if (timeoutNanos > nowNanos + MAX_TTL_NANOS)
      throw new TxRefusal(18, "unordered tx ttl exceeds 10m0s: invalid request");
    if (this.#usedTimeouts.has(`${signer} ${timeoutNanos}`)) {
      throw new TxRefusal(18, `already used timeout ${timeoutNanos} for sender ${signer}: invalid request`);
    }
  }

  /** Settling is free of charge, whatever fee it names. */
  #checkFee({ escrow, fee, gasLimit }: ChainTx, account: DevshardAccount): void {
    if (escrow.kind === "settle") return;
    const required = gasLimit * this.params.minGasPrice;
    if (fee < required) {
      throw new TxRefusal(13, `insufficient fees; got: ${fee}ngonka required: ${required}ngonka: insufficient fee`);
    }
    if (account.balance < fee) {
      throw new TxRefusal(
        5,
        `spendable balance ${account.balance}ngonka is smaller than ${fee}ngonka: insufficient funds`,
      );
    }
  }

  #includeDue(): void {
    for (const taken of this.#txs.values()) {
      const dueMs = taken.takenAtMs + this.inclusionDelayMs;
      if (taken.result !== undefined || dueMs > this.nowMs()) continue;
      // One whose time ran out while it waited never gets into a block.
      if (taken.tx.timeoutNanos <= BigInt(Math.floor(dueMs)) * NANOS_PER_MS) this.#txs.delete(taken.hash);
      else taken.result = this.#execute(taken);
    }
  }

  #execute({ tx, signer }: TakenTx): TxResult {
    const { escrow, fee } = tx;
    const { height } = this.blocks.latest();
    if (escrow.kind === "create") this.fund(signer, -fee);
    try {
      const event = escrow.kind === "create" ? this.#create(escrow.message) : this.#settle(escrow.message);
      return { height, code: 0, codespace: "", rawLog: "", events: [event] };
    } catch (error) {
      if (!(error instanceof TxRefusal)) throw error;
      return { height, code: error.code, codespace: error.codespace, rawLog: error.message, events: [] };
    }
  }

  #create({ creator, amount, modelId }: CreateMessage): ChainEvent {
    const { minAmount, maxAmount, allowedCreators, maxEscrowsPerEpoch } = this.params;
    const refused = (text: string) =>
      new TxRefusal(1139, `failed to execute message; message index: 0: ${text}`, "inference");
    if (!allowedCreators.includes(creator)) throw refused("address is not allowed to use devshard escrows");
    if (amount < minAmount || amount > maxAmount)
      throw refused(`amount ${amount} is not in [${minAmount}, ${maxAmount}]`);
    const ofEpoch = [...this.#escrows.values()].filter(({ epochIndex }) => epochIndex === this.#epoch);
    if (ofEpoch.length >= maxEscrowsPerEpoch) throw refused("max escrows per epoch reached");
    if (!this.models.includes(modelId)) throw refused(`epoch group data not found for model ${modelId}`);
    const account = this.#accounts.get(creator);
    if (account === undefined || account.balance < amount) {
      throw new TxRefusal(
        5,
        `spendable balance ${account?.balance ?? 0n}ngonka is smaller than ${amount}ngonka: insufficient funds`,
      );
    }
    account.balance -= amount;
    const { id, epochIndex } = this.addEscrow(creator, amount, modelId);
    return {
      type: "devshard_escrow_created",
      attributes: { escrow_id: id, creator, amount: `${amount}`, epoch_index: `${epochIndex}`, model_id: modelId },
    };
  }

  #settle(message: SettleMessage): ChainEvent {
    const escrow = this.#escrows.get(message.escrowId.toString());
    const { allowedCreators, approvedVersions, maxNonce } = this.params;
    const division = divideSettled(message, {
      escrow,
      epoch: this.#epoch,
      isAllowed: (address) => allowedCreators.includes(address),
      approvedVersions,
      maxNonce,
      isParticipant: (address) => this.participants.has(address),
      isGranted: (warm, granter) => this.isGranted(warm, granter),
    });
    if (escrow !== undefined) this.#pay(escrow, "settled", message.fees, division);
    const paid = division.perSlot.reduce((sum, { amount }) => sum + amount, 0n);
    return {
      type: "devshard_escrow_settled",
      attributes: {
        escrow_id: `${message.escrowId}`,
        state_root_and_protocol_version: message.version,
        settler: message.settler,
        total_payout: `${paid}`,
        fees: `${message.fees}`,
        remainder: `${division.refund}`,
      },
    };
  }

  #pay(escrow: Escrow, why: Payment["why"], fees: bigint, { perSlot, refund }: Division): void {
    escrow.settled = true;
    for (const { address, amount } of perSlot) this.fund(address, amount);
    if (refund > 0n) this.fund(escrow.creator, refund);
    const { id: escrowId, creator, amount } = escrow;
    this.payments.push({ escrowId, why, atEpoch: this.#epoch, creator, amount, fees, perSlot, refund });
  }
}
