import type { Ledger, RootParts } from "./ledger.ts";
import { type DevshardTx, encodeDiffContent, type SignedDiff } from "./messages.ts";
import { DevshardRefusal } from "./rules.ts";
import { type DevshardSigner, recoverAddress } from "./signing.ts";
import { applyTx, checkDiff, closeDiff, type SignatureRules } from "./transitions.ts";

/** A diff that was applied to the client's own ledger, ready to be signed. */
export interface ComposedDiff {
  readonly nonce: number;
  /** The candidates that hold, in their order. */
  readonly txs: readonly DevshardTx[];
  /** The others, by their place among the candidates. They left no trace in the ledger. */
  readonly skipped: readonly { readonly index: number; readonly refusal: DevshardRefusal }[];
  readonly parts: RootParts;
  /** Warm keys that this diff bound; the journal needs them to repeat it. */
  readonly warmKeys: readonly (readonly [slot: number, address: string])[];
}

/**
 * Composes the next diff of the only sequencer there is. Transactions that do not hold are left out; only a start that
 * cannot be made, or a fee that cannot be paid, ends it. Throws a {@link DevshardRefusal}; the nonce is then still free and
 * the ledger as it was. Until the next diff is begun, `ledger.takeBack()` undoes this one, should it not reach the disk.
 *
 * @param candidates in {@link composingOrder}
 */
export function composeDiff(ledger: Ledger, candidates: readonly DevshardTx[], rules: SignatureRules): ComposedDiff {
  const nonce = ledger.nonce + 1;
  checkDiff(ledger, nonce, candidates);
  ledger.begin();
  const bound = new Set(ledger.warmKeys.keys());
  const txs: DevshardTx[] = [];
  const skipped: { index: number; refusal: DevshardRefusal }[] = [];
  try {
    for (const [index, tx] of candidates.entries()) {
      const refusal = attempt(ledger, tx, rules);
      if (refusal === undefined) txs.push(tx);
      else if (tx.kind === "start") {
        throw new DevshardRefusal(refusal.code, refusal.detail, "mandatory start inference");
      } else skipped.push({ index, refusal });
    }
    closeDiff(ledger, nonce);
    const warmKeys = [...ledger.warmKeys].filter(([slot]) => !bound.has(slot));
    return { nonce, txs, skipped, parts: ledger.root(), warmKeys };
  } catch (error) {
    ledger.takeBack();
    throw error;
  }
}

function attempt(ledger: Ledger, tx: DevshardTx, rules: SignatureRules): DevshardRefusal | undefined {
  const mark = ledger.mark();
  try {
    applyTx(ledger, tx, rules);
    return undefined;
  } catch (error) {
    // Transitions check before they change. One that did not would fork the session, so its traces go here once more.
    ledger.takeBack(mark);
    if (error instanceof DevshardRefusal) return error;
    throw error;
  }
}

const RANK: Partial<Readonly<Record<DevshardTx["kind"], number>>> = { confirm: 0, finish: 1, validation: 2, vote: 3 };
const RANK_OF_OTHERS = 4;
const RANK_OF_LAST = 5;

/**
 * Brings candidates into the order in which most of them hold: a confirm before its finish, money that comes back before
 * the start that needs it, and what ends the session last. Equal kinds keep their order.
 */
export function composingOrder(candidates: readonly DevshardTx[]): DevshardTx[] {
  const rank = ({ kind }: DevshardTx): number =>
    kind === "start" || kind === "finalize" ? RANK_OF_LAST : (RANK[kind] ?? RANK_OF_OTHERS);
  return candidates.toSorted((a, b) => rank(a) - rank(b));
}

/** Signs a composed diff. To be written durably before it is sent, and never signed again with other content. */
export function signDiff(
  { nonce, txs, parts }: Pick<ComposedDiff, "nonce" | "txs" | "parts">,
  escrowId: string,
  signer: DevshardSigner,
): SignedDiff {
  const postStateRoot = parts.root;
  const userSig = signer.sign(encodeDiffContent({ nonce, txs, escrowId, postStateRoot }));
  return { nonce, txs, userSig, postStateRoot };
}

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
export function checkUserSignature({ config, prefix }: Ledger, diff: SignedDiff): void {
  const content = encodeDiffContent({ ...diff, escrowId: config.escrowId });
  let signer: string;
  try {
    signer = recoverAddress(content, diff.userSig, prefix);
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
