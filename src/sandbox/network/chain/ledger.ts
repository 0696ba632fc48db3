import type { AccountBook } from "./accounts.ts";

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
