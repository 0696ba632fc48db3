import { ZephError } from "../../errors/zeph-error.ts";

/** The steps of signed-transport section 2.3, in the words an error names them with. */
export const PROOF_STEPS = {
  store: "step 1, the proof of the participants in their store",
  application: "step 2, the proof of the store in the chain's state",
  participants: "step 3, the participants in the proven bytes",
  header: "step 4, the block header",
  commit: "step 5, the validators' signatures",
  trust: "step 6, the pinned hash",
} as const;

export type ProofStep = keyof typeof PROOF_STEPS;

/** Something that was checked is not as it must be. */
export function brokenProof(fault: string): ZephError {
  return new ZephError("proof_invalid", { detail: fault });
}

/** Runs one step; whatever is wrong or unreadable in it becomes `proof_invalid` and names the step. */
export function inStep<T>(step: ProofStep, check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (!ZephError.is(error) || (error.code !== "proof_invalid" && error.code !== "bad_response")) throw error;
    throw new ZephError("proof_invalid", { detail: `${PROOF_STEPS[step]}: ${error.detail}`, cause: error });
  }
}
