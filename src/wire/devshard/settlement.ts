import { hostStatsHash, type Ledger, PHASE, rootOf, stateSignatureContent } from "./ledger.ts";
import type { HostStats } from "./messages.ts";
import { DevshardRefusal } from "./refusals.ts";
import { type DevshardConfig, quorum } from "./rules.ts";
import { recoverAddress, sha256 } from "./signing.ts";

/** What the chain needs to pay the hosts and return the rest. */
export interface Settlement {
  /** Decimal. */
  readonly escrowId: string;
  readonly version: string;
  /** Of the last diff. */
  readonly nonce: number;
  readonly fees: bigint;
  readonly stateRoot: Uint8Array;
  readonly restHash: Uint8Array;
  /** Every slot, ascending: the chain refuses a list with gaps. */
  readonly hostStats: readonly HostStats[];
  /** State signatures by slot. A validator's one signature stands once for each of its slots: the chain counts entries. */
  readonly signatures: ReadonlyMap<number, Uint8Array>;
}

/**
 * The settlement of a finished ledger (phase 2), with what was signed of it.
 *
 * @param signatures state signatures over the last root and nonce, by any slot of their signer
 */
export function settlementOf(ledger: Ledger, signatures: ReadonlyMap<number, Uint8Array>): Settlement {
  const { root, restHash } = ledger.root();
  const { escrowId, version } = ledger.config;
  const { nonce, fees, hostStats } = ledger;
  const bySlot = new Map<number, Uint8Array>();
  for (const [slot, signature] of signatures) {
    for (const each of ledger.slotsOf(ledger.addressOf(slot) ?? "")) bySlot.set(each, signature);
  }
  const ascending = new Map([...bySlot].sort(([a], [b]) => a - b));
  return {
    escrowId,
    version,
    nonce,
    fees,
    stateRoot: root,
    restHash,
    hostStats: [...hostStats],
    signatures: ascending,
  };
}

/** The root that the chain computes from a settlement, and that the hosts must have signed. */
export function settlementRoot({ version, fees, restHash, hostStats }: Settlement): Uint8Array {
  return rootOf({
    hostStatsHash: hostStatsHash(hostStats),
    fees,
    restHash,
    versionHash: sha256(Buffer.from(version, "utf8")),
    phase: PHASE.settlement,
  });
}

export type SettlementVerdict =
  | { readonly holds: true; readonly weight: number; readonly needed: number }
  /** `reason` in upstream's words. */
  | { readonly holds: false; readonly reason: string };

/**
 * Whether the signatures of a settlement reach the quorum, by the rule of the hosts: each is over the settlement's own
 * root, by its slot's address or the warm key bound to it, and weighs all slots of that address.
 *
 * @param warmKeys bound warm key of a slot
 */
export function verifySettlement(
  settlement: Settlement,
  { group }: Pick<DevshardConfig, "group">,
  warmKeys: ReadonlyMap<number, string>,
): SettlementVerdict {
  const content = stateSignatureContent(settlementRoot(settlement), settlement.escrowId, settlement.nonce);
  const signed = new Set<string>();
  for (const [slot, signature] of settlement.signatures) {
    const owner = group[slot];
    const signer = signerOf(content, signature);
    if (signer.reason !== undefined) return { holds: false, reason: signer.reason };
    if (owner === undefined) return { holds: false, reason: `slot ${slot} not in group` };
    if (signer.address !== owner && signer.address !== warmKeys.get(slot)) {
      return { holds: false, reason: `signer ${signer.address} not in group` };
    }
    signed.add(owner);
  }
  const weight = group.filter((address) => signed.has(address)).length;
  const needed = quorum(group.length);
  if (weight < needed) return { holds: false, reason: `insufficient quorum: got ${weight}, need ${needed}` };
  return { holds: true, weight, needed };
}

function signerOf(
  content: Uint8Array,
  signature: Uint8Array,
): { address: string; reason?: undefined } | { reason: string } {
  try {
    return { address: recoverAddress(content, signature) };
  } catch (error) {
    if (error instanceof DevshardRefusal) return { reason: error.message };
    throw error;
  }
}

/** What each slot and the creator get out of a settlement, ngonka. */
export interface Payout {
  readonly perSlot: readonly bigint[];
  readonly refund: bigint;
}

/**
 * How the chain divides an escrow: each slot its cost and an equal share of the fees, what does not divide one by one from
 * the first slot on, and the creator the rest. Source: gonka-ai/gonka, settle handler of the v4-development tree.
 */
export function payoutOf({ hostStats, fees }: Pick<Settlement, "hostStats" | "fees">, amount: bigint): Payout {
  const slots = BigInt(hostStats.length);
  const share = fees / slots;
  const remainder = fees % slots;
  const perSlot = hostStats.map(({ cost }, index) => cost + share + (BigInt(index) < remainder ? 1n : 0n));
  return { perSlot, refund: amount - perSlot.reduce((sum, each) => sum + each, 0n) };
}
