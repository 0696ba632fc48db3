import { type Ledger, STATUS } from "./ledger.ts";
import type { DevshardTx } from "./messages.ts";

/*
 * Hosts do not talk to each other: what they want ordered goes through the client. This is what of it is worth offering.
 */

const FROM_HOSTS: ReadonlySet<DevshardTx["kind"]> = new Set(["confirm", "finish", "validation", "vote", "reveal_seed"]);

/** Kinds that a host may want ordered; everything else is the client's own. */
export function isFromHosts({ kind }: DevshardTx): boolean {
  return FROM_HOSTS.has(kind);
}

/** Whether a transaction can no longer do anything: its inference went past it, or is sealed. */
export function isOver(ledger: Ledger, tx: DevshardTx): boolean {
  if (tx.kind !== "confirm" && tx.kind !== "finish" && tx.kind !== "validation" && tx.kind !== "vote") return false;
  const record = ledger.inference(tx.message.inferenceId);
  if (record === undefined) return true;
  if (tx.kind === "confirm") return record.status !== STATUS.pending;
  if (tx.kind === "finish") return record.status > STATUS.started;
  if (record.status === STATUS.timedOut) return true;
  const slot = tx.kind === "validation" ? tx.message.validatorSlot : tx.message.voterSlot;
  return (((record.validatedBy[slot >> 3] ?? 0) >> (slot & 7)) & 1) === 1;
}

/** Whether a transaction that did not hold may hold after others: a finish before its confirm, a vote before the challenge. */
export function mayHoldLater(ledger: Ledger, tx: DevshardTx): boolean {
  if (tx.kind !== "finish" && tx.kind !== "validation" && tx.kind !== "vote") return false;
  const status = ledger.inference(tx.message.inferenceId)?.status;
  if (status === undefined) return false;
  if (tx.kind === "finish") return status === STATUS.pending;
  return tx.kind === "validation" ? status < STATUS.finished : status < STATUS.challenged;
}
