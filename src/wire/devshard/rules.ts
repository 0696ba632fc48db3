import { ZephError } from "../../errors.ts";

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

/**
 * Why a devshard refuses a diff, a transaction, a signature or a settlement, in the words of the upstream hosts: a client
 * reads the same words in their answers (`500 {"message": …}`). Source: gonka-ai/gonka `devshard/types`, v3 and v4.
 */
export const DEVSHARD_REFUSALS = {
  invalid_nonce: "invalid nonce: must be sequential",
  root_mismatch: "post_state_root does not match computed state root",
  invalid_user_signature: "invalid user signature",
  multiple_starts: "at most one MsgStartInference per diff",
  wrong_inference_id: "inference_id must equal diff nonce",
  duplicate_inference: "duplicate inference ID",
  insufficient_balance: "insufficient escrow balance",
  finalizing: "session is finalizing: no new inferences",
  already_finalizing: "session is already finalizing",
  inference_not_found: "inference not found",
  inference_sealed: "inference sealed: late validation not accepted",
  invalid_transition: "invalid status transition",
  self_validation: "validator cannot be the executor",
  wrong_executor_slot: "executor_slot does not match assigned executor",
  invalid_executor_signature: "invalid executor signature",
  invalid_proposer_signature: "invalid proposer signature: not a group member",
  invalid_vote_signature: "invalid vote signature",
  duplicate_vote: "duplicate vote from slot",
  slot_not_in_group: "slot not in group",
  insufficient_votes: "insufficient votes for timeout",
  wrong_timeout_reason: "timeout reason does not match inference status",
  escrow_mismatch: "escrow_id does not match session",
  cost_overflow: "cost calculation overflows uint64",
  empty_transaction: "devshard tx has no message set",
  max_nonce: "nonce exceeds chain max_nonce limit",
  unrecoverable_signature: "recover address",
  timestamp_drift: "timestamp drift",
} as const;

export type DevshardRefusalCode = keyof typeof DEVSHARD_REFUSALS;

/**
 * A rule of the protocol said no. It is an answer and not a failure: a host turns it into a status, a composing client
 * leaves the transaction out.
 */
export class DevshardRefusal extends Error {
  override readonly name = "DevshardRefusal";
  readonly code: DevshardRefusalCode;
  /** What stands after the words of the code and a colon. */
  readonly detail: string | undefined;

  /** @param during what was being done, for the front of the message */
  constructor(code: DevshardRefusalCode, detail?: string, during?: string) {
    const words = DEVSHARD_REFUSALS[code];
    // The one text without a colon.
    const said = code === "timestamp_drift" ? `${words} ${detail}` : [words, detail].filter((part) => part).join(": ");
    super(during === undefined ? said : `${during}: ${said}`);
    this.code = code;
    this.detail = detail;
  }
}

/** Runs `body`; its refusal comes back as a value, everything else is thrown on. */
export function refusalOf(body: () => void): DevshardRefusal | undefined {
  try {
    body();
    return undefined;
  } catch (error) {
    if (error instanceof DevshardRefusal) return error;
    throw error;
  }
}
