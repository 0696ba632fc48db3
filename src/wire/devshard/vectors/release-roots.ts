import { composeDiff } from "../compose.ts";
import { Ledger } from "../ledger.ts";
import {
  type DevshardTx,
  devshardTx,
  EXECUTOR_RECEIPT,
  FINISH_INFERENCE,
  TIMEOUT_REASON,
  TIMEOUT_VOTE_CONTENT,
  VALIDATION,
  VALIDATION_VOTE,
} from "../messages.ts";
import { devshardRules } from "../rules.ts";
import { labelled, type Tally } from "./tally.ts";

/**
 * The roots that upstream recorded from its v4.1.0 release. The script behind them is written here after its description:
 * five hosts with the keys 1 to 5, user 6, price 1, no fees, T 1, a sweep after every diff.
 */
export function checkReleaseRoots(tally: Tally, section: { readonly roots: readonly string[] }): void {
  tally.known("v41_release_roots", section, ["note", "roots"]);
  const ledger = new Ledger(CONFIG, devshardRules("v4"));
  const roots = [ledger.root().root];
  for (const txs of SCRIPT) {
    const { skipped, parts } = composeDiff(ledger, txs, { isGranted: () => false });
    if (skipped[0] !== undefined) throw skipped[0].refusal;
    roots.push(parts.root);
  }
  for (let index = 0; index < Math.max(roots.length, section.roots.length); index++) {
    tally.same(`v41_release_roots.roots[${index}]`, section.roots[index], roots[index]);
  }
}

const HOSTS = ["1", "2", "3", "4", "5"];
const ESCROW = "escrow-journal";
const PROMPT = {
  promptHash: Buffer.from("prompt"),
  model: "llama",
  inputLength: 100n,
  maxTokens: 50n,
  startedAt: 1000n,
};
const CONFIRMED_AT = 1000n;
const NOTHING = new Uint8Array();

const CONFIG = {
  escrowId: ESCROW,
  // The stamp of that release, which is no name of a version.
  version: "v4.1",
  group: HOSTS.map((label) => labelled(label).address),
  user: labelled("6").address,
  amount: 1_000_000n,
  tokenPrice: 1n,
  createDevshardFee: 0n,
  feePerNonce: 0n,
  voteThreshold: 1,
  sealGraceNonces: 6,
  sealGraceSeconds: 3600,
  autoSealEvery: 1,
};

const SCRIPT: readonly (readonly DevshardTx[])[] = [
  ...served(1),
  ...served(4),
  [validation(4, 0, true), validation(4, 0, true)],
  ...served(8),
  [validation(8, 4, false)],
  [vote(8, 0, true)],
  [vote(8, 1, true)],
  ...served(14),
  [validation(14, 0, false)],
  [vote(14, 1, false)],
  [start(19)],
  [confirm(19)],
  [timeout(19)],
  ...served(22),
  ...[[], [], [], []],
  [devshardTx("finalize", {})],
  ...[[], [], [], [], []],
];

function served(id: number): DevshardTx[][] {
  return [[start(id)], [confirm(id)], [finish(id)]];
}

function start(id: number): DevshardTx {
  return devshardTx("start", { inferenceId: BigInt(id), ...PROMPT });
}

function confirm(id: number): DevshardTx {
  const inferenceId = BigInt(id);
  const receipt = EXECUTOR_RECEIPT.encode({ inferenceId, ...PROMPT, escrowId: ESCROW, confirmedAt: CONFIRMED_AT });
  return devshardTx("confirm", { inferenceId, executorSig: signedAt(id % 5, receipt), confirmedAt: CONFIRMED_AT });
}

function finish(id: number): DevshardTx {
  const message = {
    inferenceId: BigInt(id),
    responseHash: Buffer.from("response"),
    inputTokens: 80n,
    outputTokens: 40n,
    executorSlot: id % 5,
    proposerSig: NOTHING,
    escrowId: ESCROW,
  };
  return devshardTx("finish", { ...message, proposerSig: signedAt(id % 5, FINISH_INFERENCE.encode(message)) });
}

function validation(id: number, slot: number, valid: boolean): DevshardTx {
  const message = { inferenceId: BigInt(id), validatorSlot: slot, valid, proposerSig: NOTHING, escrowId: ESCROW };
  return devshardTx("validation", { ...message, proposerSig: signedAt(slot, VALIDATION.encode(message)) });
}

function vote(id: number, slot: number, voteValid: boolean): DevshardTx {
  const message = { inferenceId: BigInt(id), voterSlot: slot, voteValid, proposerSig: NOTHING, escrowId: ESCROW };
  return devshardTx("vote", { ...message, proposerSig: signedAt(slot, VALIDATION_VOTE.encode(message)) });
}

function timeout(id: number): DevshardTx {
  const claim = { inferenceId: BigInt(id), reason: TIMEOUT_REASON.execution };
  const content = TIMEOUT_VOTE_CONTENT.encode({ escrowId: ESCROW, ...claim, accept: true });
  const votes = [0, 1].map((slot) => ({ voterSlot: slot, accept: true, signature: signedAt(slot, content) }));
  return devshardTx("timeout", { ...claim, votes });
}

function signedAt(slot: number, content: Uint8Array): Uint8Array {
  return labelled(HOSTS[slot] ?? "").sign(content);
}
