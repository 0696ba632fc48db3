import { ZephError } from "../../errors/zeph-error.ts";
import { DevshardRefusal } from "./refusals.ts";

/**
 * What differs between protocol versions. A version is a row here; where a new one changes a rule, the rule becomes a
 * member of the row and not a condition in the state machine. v5 is known to change the state root (a fourth part of
 * `restHash`), who may sign for a slot, and what draining pays: `rootOf`, `signsFor` and `drain` are their places.
 */
export interface DevshardRules {
  /** Whose `vote_threshold_factor` counts: the escrow's row, or the chain's parameters at the time of binding. */
  readonly thresholdFactorFrom: "escrow" | "params";
  /** What hosts wait for at least, whatever the chain says. */
  readonly refusalTimeoutSeconds: number;
  readonly executionTimeoutSeconds: number;
  /** Basis points; never enters the root. */
  readonly validationRate: number;
}

/** Source: gonka-ai/gonka devshard v3 (v0.2.14) and v4-development trees; their state machines are the same. */
const RULES: Readonly<Record<string, DevshardRules>> = {
  v3: {
    thresholdFactorFrom: "params",
    refusalTimeoutSeconds: 60,
    executionTimeoutSeconds: 1920,
    validationRate: 1000,
  },
  v4: {
    thresholdFactorFrom: "escrow",
    refusalTimeoutSeconds: 60,
    executionTimeoutSeconds: 1200,
    validationRate: 5000,
  },
};

/** The versions this code speaks, newest first. A version is at once URL segment, tag of the root and approved name. */
export const DEVSHARD_VERSIONS: readonly string[] = ["v4", "v3"];

/** Throws `internal` for a version that is not in {@link DEVSHARD_VERSIONS}: its rules may differ in money. */
export function devshardRules(version: string): DevshardRules {
  const rules = RULES[version];
  if (rules === undefined) throw new ZephError("internal", { detail: `there are no rules for devshard ${version}` });
  return rules;
}

/** Everything that is fixed when an escrow is bound; all but `user` and `escrowId` enters the root sooner or later. */
export interface DevshardConfig {
  /** Decimal. */
  readonly escrowId: string;
  /** Hashed into the state root. */
  readonly version: string;
  /** Address of each slot, in order; 1 to 128, repeats allowed. */
  readonly group: readonly string[];
  /** Address of the escrow's creator, who signs the diffs. */
  readonly user: string;
  /** ngonka, like every amount here. */
  readonly amount: bigint;
  readonly tokenPrice: bigint;
  readonly createDevshardFee: bigint;
  readonly feePerNonce: bigint;
  /** Slots; a vote must weigh more. */
  readonly voteThreshold: number;
  readonly sealGraceNonces: number;
  readonly sealGraceSeconds: number;
  readonly autoSealEvery: number;
}

/** The terms that stand on the escrow's row; 0 is how older chains say nothing. */
export interface EscrowTerms {
  readonly tokenPrice: bigint;
  readonly createDevshardFee: bigint;
  readonly feePerNonce: bigint;
  readonly sealGraceNonces: number;
  readonly sealGraceSeconds: number;
  readonly autoSealEvery: number;
  /** Percent. From the row or from the parameters, as {@link DevshardRules.thresholdFactorFrom} says. */
  readonly voteThresholdFactor: number;
}

type SessionTerms = Omit<EscrowTerms, "voteThresholdFactor"> & Pick<DevshardConfig, "voteThreshold">;

/** What hosts put in place of a 0. Source: gonka-ai/gonka `devshard/types/config.go`. */
const FALLBACK = {
  tokenPrice: 1n,
  createDevshardFee: 10_000n,
  feePerNonce: 1_000n,
  minSealGraceNonces: 20,
  sealGraceSeconds: 3600,
  autoSealEvery: 150,
  voteThresholdFactor: 50,
};

/** The terms a session runs under: the escrow's own, with the hosts' fallbacks where it says nothing. */
export function sessionTerms(escrow: EscrowTerms, slots: number): SessionTerms {
  return {
    tokenPrice: escrow.tokenPrice || FALLBACK.tokenPrice,
    createDevshardFee: escrow.createDevshardFee || FALLBACK.createDevshardFee,
    feePerNonce: escrow.feePerNonce || FALLBACK.feePerNonce,
    sealGraceNonces: escrow.sealGraceNonces || Math.max(FALLBACK.minSealGraceNonces, slots),
    sealGraceSeconds: escrow.sealGraceSeconds || FALLBACK.sealGraceSeconds,
    autoSealEvery: escrow.autoSealEvery || FALLBACK.autoSealEvery,
    voteThreshold: Math.floor((slots * (escrow.voteThresholdFactor || FALLBACK.voteThresholdFactor)) / 100),
  };
}

/** Slots whose signatures a settlement needs. */
export function quorum(slots: number): number {
  return Math.floor((2 * slots) / 3) + 1;
}

/** The slot that a diff's nonce belongs to; that of an inference's id is its executor. */
export function slotOfNonce(nonce: number | bigint, slots: number): number {
  return Number(BigInt(nonce) % BigInt(slots));
}

/** The last nonce that may carry new work: N + 1 are kept for finalizing. */
export function lastActiveNonce(maxNonce: number, slots: number): number {
  return maxNonce - (slots + 1);
}

const NEW_WORK: ReadonlySet<string> = new Set(["start", "timeout", "validation", "vote"]);

/**
 * A host's check before it applies a diff. Throws a {@link DevshardRefusal} `max_nonce`.
 *
 * @param maxNonce of the chain's parameters; 0 is no limit for hosts, but with it nothing can be settled
 */
export function checkNonceBudget(diff: {
  readonly nonce: number;
  readonly txs: readonly { readonly kind: string }[];
  readonly phase: number;
  readonly slots: number;
  readonly maxNonce: number;
}): void {
  const { nonce, txs, phase, slots, maxNonce } = diff;
  if (maxNonce === 0) return;
  if (nonce > maxNonce) throw new DevshardRefusal("max_nonce", `nonce ${nonce} exceeds chain maximum ${maxNonce}`);
  const cap = lastActiveNonce(maxNonce, slots);
  if (phase !== 0 || nonce <= cap || !txs.some(({ kind }) => NEW_WORK.has(kind))) return;
  throw new DevshardRefusal(
    "max_nonce",
    `nonce ${nonce} exceeds active cap ${cap} (reserved ${slots + 1} for finalization/settlement)`,
  );
}
