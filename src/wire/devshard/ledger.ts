import { createHash, type Hash } from "node:crypto";
import { ZephError } from "../../errors.ts";
import { ProtobufWriter } from "../protobuf.ts";
import { HOST_STATS, type HostStats, INFERENCE_RECORD, type InferenceRecord, STATE_SIGNATURE } from "./messages.ts";
import { type DevshardConfig, DevshardRefusal, type DevshardRules, devshardRules } from "./rules.ts";
import { prefixOf, sha256 } from "./signing.ts";

export const PHASE = { active: 0, finalizing: 1, settlement: 2 } as const;

/** Of an inference. */
export const STATUS = {
  pending: 0,
  started: 1,
  finished: 2,
  challenged: 3,
  validated: 4,
  invalidated: 5,
  timedOut: 6,
} as const;

interface Totals {
  /** Of the last diff. */
  readonly nonce: number;
  /** {@link PHASE} */
  readonly phase: number;
  /** Nonce of the diff that began finalizing; 0 before. */
  readonly finalizeNonce: number;
  /** What inferences may still reserve, ngonka. */
  readonly balance: bigint;
  readonly fees: bigint;
  /** Chain of hashes over everything sealed, 32 bytes. */
  readonly sealedAcc: Uint8Array;
}

/** As many as there are bits in `validated_by`. */
const MAX_SLOTS = 128;

/** The parts of the root, as settlement needs them. */
export interface RootParts {
  readonly root: Uint8Array;
  readonly restHash: Uint8Array;
  readonly hostStatsHash: Uint8Array;
}

/**
 * The state of one devshard after a diff: what a host and a client must agree on to the byte. It changes in place, and
 * every change leaves its opposite in a log, so that a transaction, or the whole last diff, can be taken back without
 * trace. It holds no rules: those are in `transitions.ts`.
 */
export class Ledger {
  readonly config: DevshardConfig;
  readonly rules: DevshardRules;
  readonly #slotsOf: ReadonlyMap<string, readonly number[]>;
  readonly #versionHash: Uint8Array;
  readonly #live = new LiveSet();
  readonly #hostStats: HostStats[];
  /** Each of them as it stands in HostStatsMapProto. */
  readonly #statsEntries: Uint8Array[];
  readonly #warmKeys = new Map<number, string>();
  /** Nonce at which an id was sealed, by id; 0 for ids that were not. Four bytes per nonce, however long it runs. */
  #sealedAt = new Uint32Array(256);
  #totals: Totals;
  #hostStatsHash: Uint8Array | undefined;
  readonly #undo: (() => void)[] = [];

  /**
   * The state before the first diff. Throws a {@link DevshardRefusal} `insufficient_balance` when the amount does not pay
   * for the escrow itself, and `internal` for a version without rules or a group of an impossible size.
   */
  constructor(config: DevshardConfig, rules: DevshardRules = devshardRules(config.version)) {
    const { amount, createDevshardFee, group, version } = config;
    if (group.length < 1 || group.length > MAX_SLOTS) {
      throw new ZephError("internal", { detail: `a devshard has 1 to ${MAX_SLOTS} slots, not ${group.length}` });
    }
    if (amount < createDevshardFee) {
      throw new DevshardRefusal(
        "insufficient_balance",
        `create devshard fee ${createDevshardFee} exceeds escrow amount ${amount}`,
      );
    }
    this.config = config;
    this.rules = rules;
    this.#slotsOf = slotsByAddress(group);
    this.#versionHash = sha256(Buffer.from(version, "utf8"));
    this.#hostStats = group.map((_, slotId) => idle(slotId));
    this.#statsEntries = this.#hostStats.map(encodeStats);
    this.#totals = {
      nonce: 0,
      phase: PHASE.active,
      finalizeNonce: 0,
      balance: amount - createDevshardFee,
      fees: createDevshardFee,
      sealedAcc: new Uint8Array(32),
    };
  }

  get nonce(): number {
    return this.#totals.nonce;
  }
  get phase(): number {
    return this.#totals.phase;
  }
  get finalizeNonce(): number {
    return this.#totals.finalizeNonce;
  }
  get balance(): bigint {
    return this.#totals.balance;
  }
  get fees(): bigint {
    return this.#totals.fees;
  }
  get sealedAcc(): Uint8Array {
    return this.#totals.sealedAcc;
  }
  /** Number of slots. */
  get slots(): number {
    return this.config.group.length;
  }
  /** Inferences that are not sealed, ascending by id. */
  get live(): readonly InferenceRecord[] {
    return this.#live.values();
  }
  /** One entry for every slot, ascending. */
  get hostStats(): readonly HostStats[] {
    return this.#hostStats;
  }
  /** Bound warm key of a slot. */
  get warmKeys(): ReadonlyMap<number, string> {
    return this.#warmKeys;
  }

  inference(id: bigint): InferenceRecord | undefined {
    return this.#live.get(id);
  }

  /** The nonce at which an inference was sealed. */
  sealedAt(id: bigint): number | undefined {
    return (id < BigInt(this.#sealedAt.length) && this.#sealedAt[Number(id)]) || undefined;
  }

  /** Every sealed id with its nonce, ascending by id. */
  sealed(): [id: number, nonce: number][] {
    const pairs: [number, number][] = [];
    this.#sealedAt.forEach((nonce, id) => {
      if (nonce > 0) pairs.push([id, nonce]);
    });
    return pairs;
  }

  /** Of the network's addresses, by that of the user. */
  get prefix(): string {
    return prefixOf(this.config.user);
  }

  addressOf(slot: number): string | undefined {
    return this.config.group[slot];
  }

  /** All slots of one address, ascending; their number is its weight. */
  slotsOf(address: string): readonly number[] {
    return this.#slotsOf.get(address) ?? [];
  }

  // Changes. Each leaves its opposite behind.

  update(changes: Partial<Totals>): void {
    const before = this.#totals;
    this.#totals = { ...before, ...changes };
    this.#undo.push(() => {
      this.#totals = before;
    });
  }

  putInference(record: InferenceRecord): void {
    const before = this.#live.get(record.inferenceId);
    this.#live.set(record);
    this.#undo.push(() => {
      if (before === undefined) this.#live.delete(record.inferenceId);
      else this.#live.set(before);
    });
  }

  /** Folds an inference into the accumulator and forgets it. */
  seal(record: InferenceRecord, nonce: number): void {
    const id = record.inferenceId;
    const index = Number(id);
    this.update({
      sealedAcc: sha256(Buffer.concat([this.sealedAcc, be8(nonce), be8(id), INFERENCE_RECORD.encode(record)])),
    });
    this.#live.delete(id);
    this.#growSealed(index);
    this.#sealedAt[index] = nonce;
    this.#undo.push(() => {
      this.#live.set(record);
      this.#sealedAt[index] = 0;
    });
  }

  putHostStats(stats: HostStats): void {
    const before = this.#hostStats[stats.slotId];
    if (before === undefined) return;
    this.#setStats(stats);
    this.#undo.push(() => this.#setStats(before));
  }

  bindWarmKey(slot: number, address: string): void {
    if (this.#warmKeys.has(slot)) return;
    this.#warmKeys.set(slot, address);
    this.#undo.push(() => {
      this.#warmKeys.delete(slot);
    });
  }

  /** A new diff begins: what was before it can no longer be taken back. */
  begin(): void {
    this.#undo.length = 0;
  }

  /** A point inside the diff for {@link takeBack}. */
  mark(): number {
    return this.#undo.length;
  }

  /** Undoes everything since a mark; without one, the whole last diff. */
  takeBack(mark = 0): void {
    while (this.#undo.length > mark) this.#undo.pop()?.();
  }

  /** The state root and what it is made of. Source: gonka-ai/gonka `devshard/state/hash.go`, v2 to v4. */
  root(): RootParts {
    const { balance, sealedAcc, fees, phase } = this.#totals;
    this.#hostStatsHash ??= sha256(Buffer.concat(this.#statsEntries));
    const inferences = sha256(Buffer.concat([sealedAcc, this.#live.digest()]));
    const restHash = sha256(Buffer.concat([be8(balance), inferences, this.#warmKeysHash()]));
    const root = rootOf({ hostStatsHash: this.#hostStatsHash, fees, restHash, phase, versionHash: this.#versionHash });
    return { root, restHash, hostStatsHash: this.#hostStatsHash };
  }

  /** Everything that the state is, without its configuration; for the journal, as JSON. */
  snapshot(): LedgerSnapshot {
    const { sealedAcc, balance, fees, ...numbers } = this.#totals;
    return {
      ...numbers,
      balance: balance.toString(),
      fees: fees.toString(),
      sealedAcc: hex(sealedAcc),
      live: this.live.map((record) => hex(INFERENCE_RECORD.encode(record))),
      hostStats: this.#hostStats.map((stats) => hex(HOST_STATS.encode(stats))),
      warmKeys: [...this.#warmKeys],
      sealed: this.sealed(),
    };
  }

  /** The state of a snapshot; the caller compares its root with the one it stored. */
  static restore(config: DevshardConfig, snapshot: LedgerSnapshot, rules?: DevshardRules): Ledger {
    const ledger = new Ledger(config, rules);
    const { nonce, phase, finalizeNonce } = snapshot;
    ledger.update({
      nonce,
      phase,
      finalizeNonce,
      balance: BigInt(snapshot.balance),
      fees: BigInt(snapshot.fees),
      sealedAcc: Buffer.from(snapshot.sealedAcc, "hex"),
    });
    for (const record of snapshot.live) ledger.putInference(INFERENCE_RECORD.decode(Buffer.from(record, "hex")));
    for (const stats of snapshot.hostStats) ledger.putHostStats(HOST_STATS.decode(Buffer.from(stats, "hex")));
    for (const [slot, address] of snapshot.warmKeys) ledger.bindWarmKey(slot, address);
    for (const [id, at] of snapshot.sealed) {
      ledger.#growSealed(id);
      ledger.#sealedAt[id] = at;
    }
    ledger.begin();
    return ledger;
  }

  #setStats(stats: HostStats): void {
    this.#hostStats[stats.slotId] = stats;
    this.#statsEntries[stats.slotId] = encodeStats(stats);
    this.#hostStatsHash = undefined;
  }

  #growSealed(id: number): void {
    if (id < this.#sealedAt.length) return;
    const grown = new Uint32Array(Math.max(2 * this.#sealedAt.length, id + 1));
    grown.set(this.#sealedAt);
    this.#sealedAt = grown;
  }

  #warmKeysHash(): Uint8Array {
    if (this.#warmKeys.size === 0) return EMPTY_HASH;
    const slots = [...this.#warmKeys].sort(([a], [b]) => a - b);
    return sha256(
      Buffer.concat(
        slots.flatMap(([slot, address]) => {
          const text = Buffer.from(address, "utf8");
          return [be4(slot), be4(text.length), text];
        }),
      ),
    );
  }
}

export interface LedgerSnapshot {
  readonly nonce: number;
  readonly phase: number;
  readonly finalizeNonce: number;
  /** Decimal, like the next. */
  readonly balance: string;
  readonly fees: string;
  /** Hex, like the entries of the next two. */
  readonly sealedAcc: string;
  readonly live: readonly string[];
  readonly hostStats: readonly string[];
  readonly warmKeys: readonly (readonly [slot: number, address: string])[];
  readonly sealed: readonly (readonly [id: number, nonce: number])[];
}

/** The outer composition of the root; the chain computes it again from a settlement. */
export function rootOf(parts: {
  readonly hostStatsHash: Uint8Array;
  readonly fees: bigint;
  readonly restHash: Uint8Array;
  /** SHA-256 of the version. */
  readonly versionHash: Uint8Array;
  readonly phase: number;
}): Uint8Array {
  return sha256(
    Buffer.concat([
      parts.hostStatsHash,
      be8(parts.fees),
      parts.restHash,
      parts.versionHash,
      Uint8Array.of(parts.phase),
    ]),
  );
}

/** SHA-256 of HostStatsMapProto: every slot, ascending. */
export function hostStatsHash(stats: readonly HostStats[]): Uint8Array {
  return sha256(Buffer.concat(stats.map(encodeStats)));
}

function encodeStats(stats: HostStats): Uint8Array {
  return new ProtobufWriter().messageField(1, HOST_STATS.encode(stats)).finish();
}

/** The bytes that every host signs after a diff. */
export function stateSignatureContent(stateRoot: Uint8Array, escrowId: string, nonce: number): Uint8Array {
  return STATE_SIGNATURE.encode({ stateRoot, escrowId, nonce: BigInt(nonce) });
}

const EMPTY_HASH = sha256(new Uint8Array());

function slotsByAddress(group: readonly string[]): ReadonlyMap<string, readonly number[]> {
  const slots = new Map<string, number[]>();
  group.forEach((address, slot) => {
    slots.set(address, [...(slots.get(address) ?? []), slot]);
  });
  return slots;
}

function idle(slotId: number): HostStats {
  return { slotId, missed: 0, invalid: 0, cost: 0n, requiredValidations: 0, completedValidations: 0 };
}

function be8(value: bigint | number): Buffer {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

function be4(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");
}

/**
 * The inferences that are not sealed, in the order of their ids, and the hash over them.
 *
 * The protocol hashes all of them after every diff, which for a long session is megabytes. Changes fall on young ids, so
 * the state of the hash is kept at every sixteenth record, and only what follows the first change is hashed again.
 */
export class LiveSet {
  readonly #ids: bigint[] = [];
  readonly #records: InferenceRecord[] = [];
  /** Each record as it stands in InferencesMapProto: tag, length, record. */
  readonly #entries: Uint8Array[] = [];
  /** Hash states over the first 0, 16, 32 … records; those after a change are dropped. */
  readonly #checkpoints: Hash[] = [createHash("sha256")];
  #digest: Uint8Array | undefined;

  get size(): number {
    return this.#ids.length;
  }

  get(id: bigint): InferenceRecord | undefined {
    return this.#records[this.#indexOf(id)];
  }

  /** In the order of ids. */
  values(): readonly InferenceRecord[] {
    return this.#records;
  }

  set(record: InferenceRecord): void {
    const at = this.#placeOf(record.inferenceId);
    const isNew = this.#ids[at] !== record.inferenceId;
    this.#ids.splice(at, isNew ? 0 : 1, record.inferenceId);
    this.#records.splice(at, isNew ? 0 : 1, record);
    this.#entries.splice(at, isNew ? 0 : 1, encodeEntry(record));
    this.#changed(at);
  }

  delete(id: bigint): void {
    const at = this.#indexOf(id);
    if (at < 0) return;
    this.#ids.splice(at, 1);
    this.#records.splice(at, 1);
    this.#entries.splice(at, 1);
    this.#changed(at);
  }

  /** SHA-256 of InferencesMapProto. */
  digest(): Uint8Array {
    this.#digest ??= this.#computeDigest();
    return this.#digest;
  }

  #computeDigest(): Uint8Array {
    let from = (this.#checkpoints.length - 1) * CHECKPOINT_RECORDS;
    const hash = (this.#checkpoints.at(-1) as Hash).copy();
    for (; from + CHECKPOINT_RECORDS <= this.#entries.length; from += CHECKPOINT_RECORDS) {
      hash.update(Buffer.concat(this.#entries.slice(from, from + CHECKPOINT_RECORDS)));
      this.#checkpoints.push(hash.copy());
    }
    return hash.update(Buffer.concat(this.#entries.slice(from))).digest();
  }

  #changed(at: number): void {
    this.#digest = undefined;
    const valid = Math.floor(at / CHECKPOINT_RECORDS) + 1;
    if (this.#checkpoints.length > valid) this.#checkpoints.length = valid;
  }

  #indexOf(id: bigint): number {
    const at = this.#placeOf(id);
    return this.#ids[at] === id ? at : -1;
  }

  /** Where the id stands or would stand. New ids are higher than all before. */
  #placeOf(id: bigint): number {
    let low = 0;
    let high = this.#ids.length;
    if (high === 0 || (this.#ids[high - 1] as bigint) < id) return high;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#ids[middle] as bigint) < id) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

const CHECKPOINT_RECORDS = 16;

function encodeEntry(record: InferenceRecord): Uint8Array {
  return new ProtobufWriter().messageField(1, INFERENCE_RECORD.encode(record)).finish();
}
