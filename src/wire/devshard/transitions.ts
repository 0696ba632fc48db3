import { type Ledger, PHASE, STATUS } from "./ledger.ts";
import {
  type DevshardTx,
  EXECUTOR_RECEIPT,
  FINISH_INFERENCE,
  type InferenceRecord,
  TIMEOUT_REASON,
  TIMEOUT_VOTE_CONTENT,
  type TxMessage,
  VALIDATION,
  VALIDATION_VOTE,
} from "./messages.ts";
import { DevshardRefusal, type DevshardRefusalCode, slotOfNonce } from "./rules.ts";
import { recoverAddress } from "./signing.ts";

/**
 * How signatures of hosts are judged: `isGranted` says whether a slot's address let another key sign for it (authz grant
 * of MsgStartInference on chain), or `trusted` when a diff of the own journal is repeated, whose root is compared anyway.
 */
export type SignatureRules = { readonly isGranted: (warm: string, granter: string) => boolean } | "trusted";

/**
 * Applies one transaction of the diff `nonce`. Throws a {@link DevshardRefusal}, and has then changed nothing: every check,
 * each signature among them, comes before the first change. Order and words of the checks are those of the upstream hosts
 * (gonka-ai/gonka `devshard/state/machine.go`, v3 and v4).
 */
export function applyTx(ledger: Ledger, tx: DevshardTx, rules: SignatureRules): void {
  if (tx.kind === "start") start(ledger, tx.message);
  else if (tx.kind === "confirm") confirm(ledger, tx.message, rules);
  else if (tx.kind === "finish") finish(ledger, tx.message, rules);
  else if (tx.kind === "timeout") timeout(ledger, tx.message, rules);
  else if (tx.kind === "validation") validation(ledger, tx.message, rules);
  else if (tx.kind === "vote") vote(ledger, tx.message, rules);
  else if (tx.kind === "finalize") finalize(ledger);
  else if (tx.kind === "none") throw new DevshardRefusal("empty_transaction");
  // What is left is reveal_seed, which is accepted and does nothing.
}

/** What is checked before anything of a diff is applied: its nonce, and that it starts at most the inference it names. */
export function checkDiff(ledger: Ledger, nonce: number, txs: readonly DevshardTx[]): void {
  const expected = ledger.nonce + 1;
  if (nonce !== expected) throw new DevshardRefusal("invalid_nonce", `expected ${expected}, got ${nonce}`);
  let starts = 0;
  for (const tx of txs) {
    if (tx.kind !== "start") continue;
    if (tx.message.inferenceId !== BigInt(nonce)) throw new DevshardRefusal("wrong_inference_id");
    starts++;
  }
  if (starts > 1) throw new DevshardRefusal("multiple_starts");
}

/** What follows the transactions of a diff: the fee, the nonce, the end of finalizing, the sweep. */
export function closeDiff(ledger: Ledger, nonce: number): void {
  const { feePerNonce, autoSealEvery } = ledger.config;
  if (ledger.phase === PHASE.active) {
    if (ledger.balance < feePerNonce) throw new DevshardRefusal("insufficient_balance");
    ledger.update({ balance: ledger.balance - feePerNonce, fees: ledger.fees + feePerNonce });
  }
  ledger.update({ nonce });
  if (ledger.phase === PHASE.finalizing && ledger.finalizeNonce === 0) ledger.update({ finalizeNonce: nonce });
  if (ledger.phase === PHASE.finalizing && nonce >= ledger.finalizeNonce + ledger.slots) {
    ledger.update({ phase: PHASE.settlement });
    for (const record of [...ledger.live]) ledger.seal(record, nonce);
  }
  if (ledger.phase === PHASE.active && autoSealEvery > 0 && nonce % autoSealEvery === 0) sweep(ledger, nonce);
}

/** Seals what nothing more can happen to. Without a confirmed inference in the window there is no clock, and no sweep. */
function sweep(ledger: Ledger, nonce: number): void {
  const { sealGraceNonces, sealGraceSeconds } = ledger.config;
  // A copy: sealing takes records out of the live list.
  const live = [...ledger.live];
  let clock = 0n;
  for (const { confirmedAt } of live.slice(-3 * ledger.slots)) if (confirmedAt > clock) clock = confirmedAt;
  if (clock === 0n) return;
  for (const record of live) {
    if (BigInt(nonce) < record.inferenceId + BigInt(sealGraceNonces)) continue;
    const isTerminal = record.status >= STATUS.validated;
    const isSettled = record.status === STATUS.finished && clock - record.confirmedAt >= BigInt(sealGraceSeconds);
    if (isTerminal || isSettled) ledger.seal(record, nonce);
  }
}

function start(ledger: Ledger, message: TxMessage<"start">): void {
  const { inferenceId, inputLength, maxTokens } = message;
  if (ledger.phase !== PHASE.active) throw new DevshardRefusal("finalizing");
  if (ledger.inference(inferenceId) !== undefined || ledger.sealedAt(inferenceId) !== undefined) {
    throw new DevshardRefusal("duplicate_inference");
  }
  const reservedCost = tokenCost(inputLength, maxTokens, ledger.config.tokenPrice);
  if (ledger.balance < reservedCost) throw new DevshardRefusal("insufficient_balance");

  ledger.update({ balance: ledger.balance - reservedCost });
  ledger.putInference({
    inferenceId,
    status: STATUS.pending,
    executorSlot: slotOfNonce(inferenceId, ledger.slots),
    model: message.model,
    promptHash: message.promptHash,
    responseHash: NOTHING,
    inputLength,
    maxTokens,
    inputTokens: 0n,
    outputTokens: 0n,
    reservedCost,
    actualCost: 0n,
    startedAt: message.startedAt,
    confirmedAt: 0n,
    votesValid: 0,
    votesInvalid: 0,
    validatedBy: new Uint8Array(16),
  });
}

function confirm(ledger: Ledger, message: TxMessage<"confirm">, rules: SignatureRules): void {
  const { inferenceId, confirmedAt, executorSig } = message;
  const record = liveRecord(ledger, inferenceId);
  if (record.status !== STATUS.pending) {
    throw new DevshardRefusal("invalid_transition", `expected pending, got ${record.status}`);
  }
  const slot = record.executorSlot;
  const binding = signedBy(ledger, rules, {
    slot,
    content: () => receiptContent(ledger, record, confirmedAt),
    signature: executorSig,
    refuse: (expected, got) =>
      new DevshardRefusal(
        "invalid_executor_signature",
        got.fault ?? `expected executor ${expected} (slot ${slot}), got ${got.address}`,
      ),
  });

  bind(ledger, binding);
  ledger.putInference({ ...record, status: STATUS.started, confirmedAt });
}

/** What the executor of an inference signs when it takes it, made from the record. */
export function receiptContent(ledger: Ledger, record: InferenceRecord, confirmedAt: bigint): Uint8Array {
  const { inferenceId, promptHash, model, inputLength, maxTokens, startedAt } = record;
  const { escrowId } = ledger.config;
  return EXECUTOR_RECEIPT.encode({
    inferenceId,
    promptHash,
    model,
    inputLength,
    maxTokens,
    startedAt,
    escrowId,
    confirmedAt,
  });
}

function finish(ledger: Ledger, message: TxMessage<"finish">, rules: SignatureRules): void {
  const record = liveRecord(ledger, message.inferenceId);
  if (record.status !== STATUS.started) {
    throw new DevshardRefusal("invalid_transition", `expected started, got ${record.status}`);
  }
  const slot = record.executorSlot;
  if (message.executorSlot !== slot) {
    throw new DevshardRefusal("wrong_executor_slot", `expected ${slot}, got ${message.executorSlot}`);
  }
  const binding = proposedBy(ledger, rules, slot, message.proposerSig, () =>
    FINISH_INFERENCE.encode({ ...message, proposerSig: NOTHING }),
  );
  checkEscrow(ledger, message.escrowId);
  const cost = tokenCost(message.inputTokens, message.outputTokens, ledger.config.tokenPrice);
  const actualCost = cost < record.reservedCost ? cost : record.reservedCost;

  bind(ledger, binding);
  ledger.update({ balance: ledger.balance + record.reservedCost - actualCost });
  const stats = statsOf(ledger, slot);
  ledger.putHostStats({ ...stats, cost: stats.cost + actualCost });
  ledger.putInference({
    ...record,
    status: STATUS.finished,
    responseHash: message.responseHash,
    inputTokens: message.inputTokens,
    outputTokens: message.outputTokens,
    actualCost,
  });
}

function validation(ledger: Ledger, message: TxMessage<"validation">, rules: SignatureRules): void {
  const slot = message.validatorSlot;
  const record = liveRecord(ledger, message.inferenceId, "inference_sealed");
  const address = memberAddress(ledger, slot);
  if (slot === record.executorSlot) throw new DevshardRefusal("self_validation");
  if (tookPartAs(ledger, record, address) !== undefined) return;
  if (record.status < STATUS.finished || record.status > STATUS.invalidated) {
    throw new DevshardRefusal("invalid_transition", `expected finished or later, got ${record.status}`);
  }
  const binding = proposedBy(ledger, rules, slot, message.proposerSig, () =>
    VALIDATION.encode({ ...message, proposerSig: NOTHING }),
  );
  checkEscrow(ledger, message.escrowId);

  bind(ledger, binding);
  const seen = { ...record, validatedBy: withSlots(record.validatedBy, [slot]) };
  const weight = ledger.slotsOf(address).length;
  if (record.status !== STATUS.finished) ledger.putInference(seen);
  else if (message.valid) ledger.putInference({ ...seen, votesValid: record.votesValid + weight });
  else {
    ledger.putInference({ ...seen, status: STATUS.challenged, votesInvalid: record.votesInvalid + weight });
  }
}

function vote(ledger: Ledger, message: TxMessage<"vote">, rules: SignatureRules): void {
  const slot = message.voterSlot;
  const record = liveRecord(ledger, message.inferenceId, "inference_sealed");
  const address = memberAddress(ledger, slot);
  // Votes after the decision are accepted without effect, so that a batch of them can be relayed.
  if (record.status === STATUS.validated || record.status === STATUS.invalidated) return;
  if (record.status !== STATUS.challenged) {
    throw new DevshardRefusal("invalid_transition", `expected challenged, got ${record.status}`);
  }
  const earlier = tookPartAs(ledger, record, address);
  if (earlier !== undefined) {
    throw new DevshardRefusal(
      "duplicate_vote",
      `slot ${slot} (address ${address} already participated via slot ${earlier})`,
    );
  }
  const binding = proposedBy(ledger, rules, slot, message.proposerSig, () =>
    VALIDATION_VOTE.encode({ ...message, proposerSig: NOTHING }),
  );
  checkEscrow(ledger, message.escrowId);

  bind(ledger, binding);
  const slots = ledger.slotsOf(address);
  const votesValid = record.votesValid + (message.voteValid ? slots.length : 0);
  const votesInvalid = record.votesInvalid + (message.voteValid ? 0 : slots.length);
  const voted = { ...record, validatedBy: withSlots(record.validatedBy, slots), votesValid, votesInvalid };
  if (votesInvalid > ledger.config.voteThreshold) {
    const stats = statsOf(ledger, record.executorSlot);
    const cost = stats.cost < record.actualCost ? 0n : stats.cost - record.actualCost;
    ledger.putHostStats({ ...stats, invalid: stats.invalid + 1, cost });
    ledger.update({ balance: ledger.balance + record.actualCost });
    ledger.putInference({ ...voted, status: STATUS.invalidated });
  } else if (votesValid > ledger.config.voteThreshold) {
    ledger.putInference({ ...voted, status: STATUS.validated });
  } else ledger.putInference(voted);
}

function timeout(ledger: Ledger, message: TxMessage<"timeout">, rules: SignatureRules): void {
  const { inferenceId, reason, votes } = message;
  const record = liveRecord(ledger, inferenceId);
  checkReason(reason, record.status);
  const { escrowId, voteThreshold } = ledger.config;
  const voters = new Set<string>();
  const bindings: Binding[] = [];
  let weight = 0;
  for (const { voterSlot, accept, signature } of votes) {
    const address = memberAddress(ledger, voterSlot);
    if (voters.has(address)) throw new DevshardRefusal("duplicate_vote", `slot ${voterSlot}`);
    voters.add(address);
    bindings.push(
      signedBy(ledger, rules, {
        slot: voterSlot,
        content: () => TIMEOUT_VOTE_CONTENT.encode({ escrowId, inferenceId, reason, accept }),
        signature,
        refuse: (expected, got) =>
          new DevshardRefusal(
            "invalid_vote_signature",
            `vote from slot ${voterSlot}: ${got.fault ?? `expected ${expected}, got ${got.address}`}`,
          ),
      }),
    );
    if (accept) weight += ledger.slotsOf(address).length;
  }
  if (weight <= voteThreshold) {
    throw new DevshardRefusal("insufficient_votes", `need >${voteThreshold} accept votes, got ${weight}`);
  }

  for (const binding of bindings) bind(ledger, binding);
  const stats = statsOf(ledger, record.executorSlot);
  ledger.putHostStats({ ...stats, missed: stats.missed + 1 });
  ledger.update({ balance: ledger.balance + record.reservedCost });
  ledger.putInference({ ...record, status: STATUS.timedOut });
}

function checkReason(reason: number, status: number): void {
  if (reason === TIMEOUT_REASON.refused) {
    if (status === STATUS.pending) return;
    throw new DevshardRefusal("wrong_timeout_reason", `reason=refused requires pending, got ${status}`);
  }
  if (reason === TIMEOUT_REASON.execution) {
    if (status === STATUS.started) return;
    throw new DevshardRefusal("wrong_timeout_reason", `reason=execution requires started, got ${status}`);
  }
  const name = reason === 0 ? "TIMEOUT_REASON_UNSPECIFIED" : String(reason);
  throw new DevshardRefusal("wrong_timeout_reason", `unknown reason ${name}`);
}

function finalize(ledger: Ledger): void {
  if (ledger.phase !== PHASE.active) throw new DevshardRefusal("already_finalizing");
  ledger.update({ phase: PHASE.finalizing });
}

const NOTHING = new Uint8Array();
const MAX_UINT64 = 2n ** 64n - 1n;

function tokenCost(a: bigint, b: bigint, price: bigint): bigint {
  const cost = (a + b) * price;
  if (a + b > MAX_UINT64 || cost > MAX_UINT64) throw new DevshardRefusal("cost_overflow");
  return cost;
}

function liveRecord(
  ledger: Ledger,
  id: bigint,
  whenSealed: DevshardRefusalCode = "invalid_transition",
): InferenceRecord {
  const record = ledger.inference(id);
  if (record !== undefined) return record;
  if (ledger.sealedAt(id) === undefined) throw new DevshardRefusal("inference_not_found", `inference ${id}`);
  throw new DevshardRefusal(whenSealed, `inference ${id}${whenSealed === "invalid_transition" ? " is sealed" : ""}`);
}

function memberAddress(ledger: Ledger, slot: number): string {
  const address = ledger.addressOf(slot);
  if (address === undefined) throw new DevshardRefusal("slot_not_in_group", `slot ${slot}`);
  return address;
}

function statsOf(ledger: Ledger, slot: number): Ledger["hostStats"][number] {
  const stats = ledger.hostStats[slot];
  if (stats === undefined) throw new RangeError(`a record names slot ${slot} of ${ledger.slots}`);
  return stats;
}

function checkEscrow({ config }: Ledger, escrowId: string): void {
  if (escrowId === config.escrowId) return;
  throw new DevshardRefusal("escrow_mismatch", `expected ${config.escrowId}, got ${escrowId}`);
}

/** The lowest slot under which an address already validated or voted. */
function tookPartAs(ledger: Ledger, { validatedBy }: InferenceRecord, address: string): number | undefined {
  return ledger.slotsOf(address).find((slot) => ((validatedBy[slot >> 3] ?? 0) >> (slot & 7)) & 1);
}

function withSlots(bitmap: Uint8Array, slots: readonly number[]): Uint8Array {
  const marked = Uint8Array.from(bitmap);
  for (const slot of slots) marked[slot >> 3] = (marked[slot >> 3] ?? 0) | (1 << (slot & 7));
  return marked;
}

/** A warm key that signed for a slot for the first time, to be bound once the whole transaction holds. */
type Binding = { readonly slot: number; readonly warm: string } | undefined;

function bind(ledger: Ledger, binding: Binding): void {
  if (binding !== undefined) ledger.bindWarmKey(binding.slot, binding.warm);
}

interface SlotSignature {
  readonly slot: number;
  readonly content: () => Uint8Array;
  readonly signature: Uint8Array;
  readonly refuse: (
    expected: string,
    got:
      | { readonly address: string; readonly fault?: undefined }
      | { readonly address?: undefined; readonly fault: string },
  ) => DevshardRefusal;
}

/**
 * Whether a signature counts for a slot: its own address always; then the warm key it is bound to and no other; and only
 * while there is none, a key that the chain knows a grant for.
 */
function signedBy(ledger: Ledger, rules: SignatureRules, { slot, content, signature, refuse }: SlotSignature): Binding {
  if (rules === "trusted") return undefined;
  const expected = memberAddress(ledger, slot);
  const signer = signerOf(content(), signature, ledger.prefix);
  if (signer.address === undefined) throw refuse(expected, signer);
  const { address } = signer;
  if (address === expected) return undefined;
  const bound = ledger.warmKeys.get(slot);
  if (bound === address) return undefined;
  if (bound !== undefined || !rules.isGranted(address, expected)) throw refuse(expected, signer);
  return { slot, warm: address };
}

function signerOf(
  content: Uint8Array,
  signature: Uint8Array,
  prefix: string,
): { address: string } | { address?: undefined; fault: string } {
  try {
    return { address: recoverAddress(content, signature, prefix) };
  } catch (error) {
    if (error instanceof DevshardRefusal) return { fault: error.detail ?? "" };
    throw error;
  }
}

function proposedBy(
  ledger: Ledger,
  rules: SignatureRules,
  slot: number,
  signature: Uint8Array,
  content: () => Uint8Array,
): Binding {
  return signedBy(ledger, rules, {
    slot,
    content,
    signature,
    refuse: (expected, got) =>
      new DevshardRefusal("invalid_proposer_signature", got.fault ?? `expected ${expected}, got ${got.address}`),
  });
}
