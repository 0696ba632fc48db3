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
