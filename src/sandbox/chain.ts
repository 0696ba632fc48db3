import type { Clock } from "../base/time.ts";
import { type BlockClock, BlockStore, blockClock, EpochBook, type Tampering } from "./blocks.ts";
import { type AccountKey, accountKey, addressOfPublicKey } from "./crypto.ts";
import { newValidators, validatorsHash } from "./proof.ts";

/** Where the chain-params endpoint keeps the transfer-agent list, or that it has none. */
type AllowListForm = "list" | "absent" | "disabled";

/** Parameters an operator (or a test) may change at any time. */
interface ChainParams {
  /** Oldest timestamp accepted, seconds before the latest block. 0 makes the node use 10. Mainnet: 60. */
  timestampExpirationSeconds: number;
  /** Newest timestamp accepted, seconds after the latest block. 0 makes the node use 10. Mainnet: 30. */
  timestampAdvanceSeconds: number;
  /** Transfer agents that may serve; empty: all. */
  allowedTransferAgents: readonly string[];
  /** How `/chain-api/…/params` shows the list: as a list, not at all, or the endpoint answers 404. */
  allowListForm: AllowListForm;
  /** Only these developers may ask until the height; undefined: everybody may. */
  developerAccess: { readonly untilBlockHeight: number; readonly allowed: readonly string[] } | undefined;
  pricePerTokenNgonka: bigint;
}

/** The one chain all nodes of the sandbox share. */
export interface ChainStandIn {
  readonly chainId: string;
  readonly prefix: string;
  readonly accounts: AccountBook;
  readonly blocks: BlockClock;
  readonly ledger: Ledger;
  readonly params: ChainParams;
  readonly epochs: EpochBook;
  /** Hex of the hash of the honest validator set: what a client pins. */
  readonly validatorsHash: string;
  /** How the network lies about its participants; undefined: it does not. */
  tampering: Tampering | undefined;
  /** The blocks as the network shows them now. */
  store(): BlockStore;
}

const START_HEIGHT = 123_400;

/** Mainnet's parameters: genesis/genesis.json:5044-5045 of gonka-ai/gonka at 8a35022b. */
const DEFAULT_PARAMS: ChainParams = {
  timestampExpirationSeconds: 60,
  timestampAdvanceSeconds: 30,
  allowedTransferAgents: [],
  allowListForm: "list",
  developerAccess: undefined,
  pricePerTokenNgonka: 1_000n,
};

export function chainStandIn(options: {
  readonly chainId: string;
  readonly prefix: string;
  readonly clock: Pick<Clock, "nowMs">;
  readonly validatorPowers: readonly number[];
}): ChainStandIn {
  const { chainId, prefix } = options;
  const accounts = new AccountBook(prefix);
  const blocks = blockClock(options.clock, START_HEIGHT);
  const epochs = new EpochBook(blocks);
  const validators = newValidators(options.validatorPowers);
  const stores = new Map<Tampering | undefined, BlockStore>();
  return {
    chainId,
    prefix,
    accounts,
    blocks,
    ledger: new Ledger(accounts),
    params: { ...DEFAULT_PARAMS },
    epochs,
    validatorsHash: validatorsHash(validators).toString("hex"),
    tampering: undefined,
    store() {
      const known = stores.get(this.tampering);
      if (known !== undefined) return known;
      const made = new BlockStore({ chainId, blocks, epochs, validators, tampering: this.tampering });
      stores.set(this.tampering, made);
      return made;
    },
  };
}

export interface AccountOptions {
  /** 64 hex digits; made anew when absent. */
  readonly privateKeyHex?: string;
  /** Default 1000 GNK; 1 GNK is 1 000 000 000 ngonka. */
  readonly balanceNgonka?: bigint;
  /** Whether the chain knows the public key (it does after the first transaction). Default true. */
  readonly publishedKey?: boolean;
  /** Whether the account exists on chain; false makes only the key. Default true. */
  readonly registered?: boolean;
}

/** What a test needs to act as the user. */
export interface SandboxAccount {
  readonly privateKeyHex: string;
  readonly address: string;
  /** 33 bytes, compressed. */
  readonly publicKey: Buffer;
}

/** An account as the chain sees it. */
export interface ChainAccount {
  readonly address: string;
  publicKey: Buffer | undefined;
  balanceNgonka: bigint;
}

const DEFAULT_BALANCE_NGONKA = 1_000_000_000_000n;

/** The accounts of the sandbox chain. Private keys are kept only to find leaks of them. */
export class AccountBook {
  readonly #prefix: string;
  readonly #accounts = new Map<string, ChainAccount>();
  readonly #keys: AccountKey[] = [];

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  create(options: AccountOptions = {}): SandboxAccount {
    const key = accountKey(options.privateKeyHex);
    const address = addressOfPublicKey(key.publicKey, this.#prefix);
    this.#keys.push(key);
    if (options.registered !== false) {
      this.#accounts.set(address, {
        address,
        publicKey: options.publishedKey === false ? undefined : key.publicKey,
        balanceNgonka: options.balanceNgonka ?? DEFAULT_BALANCE_NGONKA,
      });
    }
    return { privateKeyHex: key.privateKeyHex, address, publicKey: key.publicKey };
  }

  find(address: string): ChainAccount | undefined {
    return this.#accounts.get(address);
  }

  /** What `inferenced publish-pubkey` does: the chain learns the key. */
  publishKey(account: Pick<SandboxAccount, "address" | "publicKey">): void {
    const known = this.#accounts.get(account.address);
    if (known !== undefined) known.publicKey = account.publicKey;
  }

  all(): readonly ChainAccount[] {
    return [...this.#accounts.values()];
  }

  /** Keys whose digits must never come over the wire. */
  get privateKeysHex(): readonly string[] {
    return this.#keys.map((key) => key.privateKeyHex);
  }
}

export type InferenceState = "started" | "finished" | "expired" | "rejected";

/** One MsgStartInference that reached the chain. */
export interface LedgerEntry {
  /** The Authorization string of the request. */
  readonly inferenceId: string;
  readonly account: string;
  /** Address of the transfer agent that submitted it. */
  readonly node: string;
  readonly model: string;
  /** Hex SHA-256 of the request body: groups the attempts of one logical request. */
  readonly bodySha256: string;
  readonly startedAtHeight: number;
  readonly escrowNgonka: bigint;
  /** What the account has paid, after the refund of unused escrow. */
  readonly chargedNgonka: bigint;
  readonly state: InferenceState;
}

/** Blocks after which an unfinished inference ends and its escrow goes back (refund inferred, reference 1.7). */
const EXPIRATION_BLOCKS = 20;

/** A sandbox may run for days: of what has ended, the newest are kept. */
const MAX_ENTRIES = 20_000;

/** The inferences the chain was asked to start: the place where a double charge becomes visible. */
export class Ledger {
  readonly #accounts: AccountBook;
  /** By number, in the order of their start. */
  readonly #entries = new Map<number, LedgerEntry>();
  readonly #indexById = new Map<string, number>();
  #count = 0;
  /** Numbers of what is started and not yet ended, oldest first. */
  readonly #open = new Set<number>();

  constructor(accounts: AccountBook) {
    this.#accounts = accounts;
  }

  get entries(): readonly LedgerEntry[] {
    return [...this.#entries.values()];
  }

  find(inferenceId: string): LedgerEntry | undefined {
    return this.#entries.get(this.#indexById.get(inferenceId) ?? -1);
  }

  /** Entries that cost the account something: everything but expired and rejected ones. */
  get charged(): readonly LedgerEntry[] {
    return this.entries.filter((entry) => entry.state === "started" || entry.state === "finished");
  }

  /** How many charged inferences each body has; more than 1 for one logical request is a double charge. */
  chargesPerBody(): ReadonlyMap<string, number> {
    const counts = new Map<string, number>();
    for (const entry of this.charged) counts.set(entry.bodySha256, (counts.get(entry.bodySha256) ?? 0) + 1);
    return counts;
  }

  /** Takes the escrow. A second inference with the same id is refused by the chain and costs nothing. */
  start(inference: Omit<LedgerEntry, "state" | "chargedNgonka">): void {
    if (this.#indexById.has(inference.inferenceId)) {
      this.#add({ ...inference, chargedNgonka: 0n, state: "rejected" });
      return;
    }
    const index = this.#add({ ...inference, chargedNgonka: inference.escrowNgonka, state: "started" });
    this.#indexById.set(inference.inferenceId, index);
    this.#open.add(index);
    this.#credit(inference.account, -inference.escrowNgonka);
  }

  /** Ends an inference: the account pays `costNgonka`, the rest of the escrow goes back. */
  finish(inferenceId: string, costNgonka: bigint): void {
    this.#end(this.#indexById.get(inferenceId) ?? -1, "finished", costNgonka);
  }

  /** Refunds what was started too long ago and never finished. */
  expire(latestHeight: number): void {
    for (const index of this.#open) {
      const startedAtHeight = this.#entries.get(index)?.startedAtHeight ?? latestHeight;
      if (latestHeight - startedAtHeight <= EXPIRATION_BLOCKS) return;
      this.#end(index, "expired", 0n);
    }
  }

  #end(index: number, state: "finished" | "expired", costNgonka: bigint): void {
    const entry = this.#entries.get(index);
    if (entry === undefined || !this.#open.delete(index)) return;
    const chargedNgonka = costNgonka < entry.escrowNgonka ? costNgonka : entry.escrowNgonka;
    this.#entries.set(index, { ...entry, chargedNgonka, state });
    this.#credit(entry.account, entry.escrowNgonka - chargedNgonka);
  }

  #add(entry: LedgerEntry): number {
    this.#count += 1;
    this.#entries.set(this.#count, entry);
    for (const [index, { inferenceId }] of this.#entries) {
      if (this.#entries.size <= MAX_ENTRIES) break;
      if (this.#open.has(index)) continue;
      this.#entries.delete(index);
      if (this.#indexById.get(inferenceId) === index) this.#indexById.delete(inferenceId);
    }
    return this.#count;
  }

  #credit(address: string, amountNgonka: bigint): void {
    const account = this.#accounts.find(address);
    if (account !== undefined) account.balanceNgonka += amountNgonka;
  }
}
