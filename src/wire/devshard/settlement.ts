import { replayDiff } from "./compose.ts";
import { hostStatsHash, Ledger, PHASE, rootOf, stateSignatureContent } from "./ledger.ts";
import type { HostStats, SignedDiff } from "./messages.ts";
import { DEVSHARD_VERSIONS, type DevshardConfig, DevshardRefusal, devshardRules, quorum, refusalOf } from "./rules.ts";
import { prefixOf, recoverAddress, sha256 } from "./signing.ts";

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

type SettlementVerdict =
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
    const signer = signerOf(content, signature, prefixOf(group[0] ?? ""));
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
  prefix: string,
): { address: string; reason?: undefined } | { reason: string } {
  try {
    return { address: recoverAddress(content, signature, prefix) };
  } catch (error) {
    if (error instanceof DevshardRefusal) return { reason: error.message };
    throw error;
  }
}

/** What each slot and the creator get out of a settlement, ngonka. */
interface Payout {
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

/**
 * What most likely makes two sides compute different roots for a diff: the diff is tried under the settings that differ
 * between versions and networks, and the first under which the other root comes out is named.
 *
 * @param before the ledger before the diff; it is not changed
 * @param diff with the root of the other side
 */
export function mismatchCause(before: Ledger, diff: Omit<SignedDiff, "userSig">): string | undefined {
  const snapshot = before.snapshot();
  const { config } = before;
  for (const { words, changes } of suspects(config)) {
    const other = { ...config, ...changes };
    const ledger = Ledger.restore(other, snapshot, devshardRules(other.version));
    if (refusalOf(() => replayDiff(ledger, diff)) === undefined) return words;
  }
  if (config.autoSealEvery > 0 && diff.nonce % config.autoSealEvery === 0) {
    return `it is a nonce at which inferences are sealed, so the settings for sealing (${config.sealGraceNonces} nonces, ${config.sealGraceSeconds} s) may differ`;
  }
  if (diff.txs.some(({ kind }) => kind === "confirm" || kind === "finish")) {
    return "a signature in it may be by another key than the slot's own, which one side knows a grant for and the other does not";
  }
  return undefined;
}

interface Suspect {
  readonly words: string;
  readonly changes: Partial<DevshardConfig>;
}

function suspects({
  version,
  group,
  voteThreshold,
  autoSealEvery,
  feePerNonce,
  tokenPrice,
}: DevshardConfig): Suspect[] {
  const versions = DEVSHARD_VERSIONS.filter((name) => name !== version).map((name) => ({
    words: `the other side takes this devshard for version ${name}, not ${version}`,
    changes: { version: name },
  }));
  const thresholds = group.flatMap((_, slots) =>
    slots === voteThreshold
      ? []
      : [
          {
            words: `the other side lets ${slots} votes not decide, not ${voteThreshold}`,
            changes: { voteThreshold: slots },
          },
        ],
  );
  return [
    ...versions,
    ...(feePerNonce === 1_000n
      ? []
      : [{ words: "the other side takes the default fee per nonce", changes: { feePerNonce: 1_000n } }]),
    ...(tokenPrice === 1n
      ? []
      : [{ words: "the other side takes the default price of a token", changes: { tokenPrice: 1n } }]),
    ...(autoSealEvery === 150
      ? []
      : [{ words: "the other side seals at every 150th nonce, as is the default", changes: { autoSealEvery: 150 } }]),
    ...thresholds,
  ];
}
