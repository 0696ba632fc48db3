import type { Ledger, RootParts } from "./ledger.ts";
import { type DevshardTx, encodeDiffContent, type SignedDiff } from "./messages.ts";
import { DevshardRefusal } from "./refusals.ts";
import { recoverAddress } from "./signing.ts";
import { applyTx, checkDiff, closeDiff, type SignatureRules } from "./transitions.ts";

/**
 * Applies a diff as a host does: the user's signature, then nonce, transactions, fee and root, and all or nothing of it.
 * Throws a {@link DevshardRefusal} and leaves the ledger as it was.
 *
 * @param rules says which warm keys may sign; an auditor passes what the chain says, or what earlier roots prove
 */
export function applyDiff(ledger: Ledger, diff: SignedDiff, rules: SignatureRules): RootParts {
  checkUserSignature(ledger, diff);
  return applyTxs(ledger, diff, rules);
}

/**
 * Repeats a diff of the own journal: no signature is computed again, warm keys are bound as they were, and the root says
 * whether everything is as it was. Throws a {@link DevshardRefusal} and leaves the ledger as it was.
 */
export function replayDiff(
  ledger: Ledger,
  diff: Omit<SignedDiff, "userSig">,
  warmKeys: Iterable<readonly [slot: number, address: string]> = [],
): RootParts {
  return applyTxs(ledger, diff, "trusted", warmKeys);
}

/** Throws a {@link DevshardRefusal} `invalid_user_signature` unless the escrow's creator signed exactly this diff. */
export function checkUserSignature({ config }: Ledger, diff: SignedDiff): void {
  const content = encodeDiffContent({ ...diff, escrowId: config.escrowId });
  let signer: string;
  try {
    signer = recoverAddress(content, diff.userSig);
  } catch (error) {
    if (error instanceof DevshardRefusal) throw new DevshardRefusal("invalid_user_signature", error.detail);
    throw error;
  }
  if (signer === config.user) return;
  throw new DevshardRefusal("invalid_user_signature", `expected ${config.user}, got ${signer}`);
}

function applyTxs(
  ledger: Ledger,
  { nonce, txs, postStateRoot }: { nonce: number; txs: readonly DevshardTx[]; postStateRoot: Uint8Array },
  rules: SignatureRules,
  warmKeys: Iterable<readonly [slot: number, address: string]> = [],
): RootParts {
  checkDiff(ledger, nonce, txs);
  ledger.begin();
  try {
    for (const [slot, address] of warmKeys) ledger.bindWarmKey(slot, address);
    for (const tx of txs) applyTx(ledger, tx, rules);
    closeDiff(ledger, nonce);
    const parts = ledger.root();
    if (Buffer.compare(parts.root, postStateRoot) !== 0) {
      throw new DevshardRefusal("root_mismatch", `diff ${hex(postStateRoot)}, computed ${hex(parts.root)}`);
    }
    return parts;
  } catch (error) {
    ledger.takeBack();
    throw error;
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
