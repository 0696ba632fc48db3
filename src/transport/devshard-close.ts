import { ZephError } from "../errors.ts";
import { PHASE, STATUS } from "../wire/devshard/ledger.ts";
import { devshardTx, type InferenceRecord, TIMEOUT_REASON, TIMEOUT_VOTE_CONTENT } from "../wire/devshard/messages.ts";
import { quorum } from "../wire/devshard/rules.ts";
import { type Settlement, settlementOf, verifySettlement } from "../wire/devshard/settlement.ts";
import { reasonOf } from "./devshard-audit.ts";
import type { DevshardSession } from "./devshard-session.ts";

/** What closing tells while it works. */
export type CloseStep =
  | { readonly kind: "timeouts"; readonly open: number }
  | { readonly kind: "ordering"; readonly nonce: number; readonly last: number }
  | { readonly kind: "signatures"; readonly weight: number; readonly needed: number };

interface CloseOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onStep?: ((step: CloseStep) => void) | undefined;
}

/** A host that does not take a diff of the end in this time is passed over; its signature is asked for later. */
const VISIT_MS = 15_000;
const SIGNATURE_ROUNDS_WAIT_MS = [2_000, 4_000, 8_000];
const TIMEOUT_GRACE_SECONDS = 5;

/**
 * Brings a devshard to its end: what waits is ordered, what was never answered is claimed, the round is finalized, and the
 * hosts' signatures over the last state are collected. Every step is in the journal, so one that was interrupted goes on
 * where it stopped. Throws `devshard_no_quorum` with the hosts that are missing, and what the session throws.
 */
export async function finalizeDevshard(session: DevshardSession, options: CloseOptions = {}): Promise<Settlement> {
  const { signal, onStep } = options;
  await session.journal.refresh();
  if (session.ledger.phase === PHASE.active) {
    session.releaseAnswers();
    await session.pollMempools(signal);
    await claimTimeouts(session, options);
    await session.order(devshardTx("finalize", {}));
    await tell(session, signal);
  }
  while (session.ledger.phase === PHASE.finalizing) {
    signal?.throwIfAborted();
    const { finalizeNonce, slots } = session.ledger;
    await session.order();
    onStep?.({ kind: "ordering", nonce: session.ledger.nonce, last: finalizeNonce + slots });
    await tell(session, signal);
  }
  return collectSignatures(session, options);
}

/** Claims what no executor took, or finished, in time. What is not due yet is left: the chain gives it back by itself. */
export async function claimTimeouts(session: DevshardSession, { signal, onStep }: CloseOptions = {}): Promise<number> {
  const due = dueTimeouts(session);
  if (due.length > 0) onStep?.({ kind: "timeouts", open: due.length });
  let claimed = 0;
  for (const record of due) {
    try {
      if (await claim(session, record, signal)) claimed += 1;
    } catch (error) {
      signal?.throwIfAborted();
      // Too few votes, or an inference that went on after all: the next round asks again.
      if (!ZephError.is(error) || error.code !== "devshard_exhausted") throw error;
    }
  }
  return claimed;
}

/** Inferences whose executor has had all the time that the other hosts grant it. */
export function dueTimeouts(session: DevshardSession): readonly InferenceRecord[] {
  const { ledger, options } = session;
  const nowSeconds = options.clock.nowMs() / 1000;
  // Hosts wait for their own numbers, whatever the chain's parameters say; so the longer of both.
  const refusalSeconds = Math.max(options.params.refusalTimeoutSeconds, ledger.rules.refusalTimeoutSeconds);
  const executionSeconds = Math.max(options.params.executionTimeoutSeconds, ledger.rules.executionTimeoutSeconds);
  return ledger.live.filter(({ status, startedAt, confirmedAt, inferenceId }) => {
    if (session.inFlight.has(Number(inferenceId))) return false;
    if (status === STATUS.pending) return nowSeconds >= Number(startedAt) + refusalSeconds + TIMEOUT_GRACE_SECONDS;
    return status === STATUS.started && nowSeconds >= Number(confirmedAt) + executionSeconds + TIMEOUT_GRACE_SECONDS;
  });
}

async function claim(
  session: DevshardSession,
  record: InferenceRecord,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const { ledger } = session;
  const id = Number(record.inferenceId);
  const reason = record.status === STATUS.pending ? "refused" : "execution";
  const kept = await session.journal.payload(id);
  if (reason === "refused" && kept === undefined) return false;
  const executor = ledger.addressOf(record.executorSlot);
  const votes: { voterSlot: number; accept: boolean; signature: Uint8Array }[] = [];
  let weight = 0;
  for (const address of session.courier.addresses) {
    if (address === executor) continue;
    const payload = reason === "refused" ? kept?.payload : undefined;
    const vote = await session.courier.askTimeout(address, { id, reason, payload }, signal).catch((error: unknown) => {
      signal?.throwIfAborted();
      if (ZephError.is(error) && error.code === "devshard_diverged") throw error;
      return undefined;
    });
    if (vote === undefined || ledger.addressOf(vote.slot) !== address) continue;
    const content = TIMEOUT_VOTE_CONTENT.encode({
      escrowId: ledger.config.escrowId,
      inferenceId: record.inferenceId,
      reason: TIMEOUT_REASON[reason],
      accept: true,
    });
    // One bad vote fails them all, so each is looked at before.
    if (!(await session.courier.signsFor(address, content, vote.signature))) continue;
    votes.push({ voterSlot: vote.slot, accept: true, signature: vote.signature });
    weight += ledger.slotsOf(address).length;
    if (weight > ledger.config.voteThreshold) break;
  }
  if (weight <= ledger.config.voteThreshold) return false;
  await session.order(
    devshardTx("timeout", { inferenceId: record.inferenceId, reason: TIMEOUT_REASON[reason], votes }),
  );
  return true;
}

/** Sends the last diff to the host whose turn it is; one that does not answer is passed over. */
async function tell(session: DevshardSession, signal: AbortSignal | undefined): Promise<void> {
  const limit = AbortSignal.timeout(VISIT_MS);
  try {
    await session.courier.visit(
      session.addressOfNonce(session.ledger.nonce),
      signal === undefined ? limit : AbortSignal.any([signal, limit]),
    );
  } catch (error) {
    signal?.throwIfAborted();
    if (ZephError.is(error) && error.code === "devshard_diverged") throw error;
  }
}

async function collectSignatures(session: DevshardSession, { signal, onStep }: CloseOptions): Promise<Settlement> {
  const { ledger, options } = session;
  const needed = quorum(ledger.slots);
  const signatures = new Map<number, Uint8Array>();
  const missing = new Map<string, string>();
  const weight = () => settlementOf(ledger, signatures).signatures.size;
  for (let round = 0; ; round += 1) {
    await Promise.all(
      session.courier.addresses.map(async (address) => {
        const slot = ledger.slotsOf(address)[0];
        if (slot === undefined || signatures.has(slot) || weight() >= needed) return;
        const limit = AbortSignal.timeout(2 * VISIT_MS);
        try {
          const within = signal === undefined ? limit : AbortSignal.any([signal, limit]);
          const signature = await session.courier.signatureOf(address, within);
          if (signature === undefined) missing.set(address, "it gives no signature that holds");
          else {
            signatures.set(slot, signature);
            missing.delete(address);
          }
        } catch (error) {
          signal?.throwIfAborted();
          if (ZephError.is(error) && error.code === "devshard_diverged") throw error;
          missing.set(address, reasonOf(error));
        }
      }),
    );
    onStep?.({ kind: "signatures", weight: weight(), needed });
    const settlement = settlementOf(ledger, signatures);
    const verdict = verifySettlement(settlement, ledger.config, ledger.warmKeys);
    if (verdict.holds) return settlement;
    const waitMs = SIGNATURE_ROUNDS_WAIT_MS[round];
    if (waitMs === undefined) {
      const absent = [...missing].map(([address, why]) => `${address}: ${why}`).join("; ");
      throw new ZephError("devshard_no_quorum", {
        detail: `${weight()} of ${needed} slots; ${absent || verdict.reason}`,
      });
    }
    await options.clock.sleep(waitMs, signal);
  }
}
