import type { Charged, ZephError } from "../errors/zeph-error.ts";
import type { Refusal, Remedy } from "../protocol/refusals/refusal.ts";
import { retryAfterMs } from "./retry-after.ts";

/** How an attempt ended, before anyone decided what to do about it. */
export type Outcome =
  | { readonly kind: "refused"; readonly refusal: Refusal; readonly headers: Headers }
  /** No usable answer: unreachable, timed out, cut. */
  | { readonly kind: "failed"; readonly error: ZephError; readonly requestLeft: boolean };

/** What the loop knows besides the outcome. */
export interface Situation {
  readonly path: "broker" | "native";
  readonly method: string;
  /** 1 for the first. */
  readonly attempt: number;
  readonly maxAttempts: number;
  /** The user accepted that a repetition may cost a second time. */
  readonly retryCharged: boolean;
  /** The remedies `fix-clock` and `sign-anew` are given once per request. */
  readonly signedAnew: boolean;
  /** The server's clock, by its `Date` header, minus the time this attempt was signed with; undefined when it sent none. */
  readonly skewMs: number | undefined;
  readonly hasFreeEndpoint: boolean;
  readonly nowMs: number;
  readonly random: () => number;
}

/** What to do. `cooldownMs` is for the endpoint that just failed. */
export type Verdict =
  | { readonly action: "stop"; readonly code?: "chain_stalled"; readonly cooldownMs: number }
  | { readonly action: "retry"; readonly delayMs: number; readonly cooldownMs: number }
  | { readonly action: "fix-clock"; readonly cooldownMs: 0 };

export const BACKOFF = { firstMs: 500, factor: 2, maxMs: 8_000 } as const;
/** A server that asks for a longer wait than this gets no wait at all: the user is told instead. */
export const MAX_RETRY_AFTER_MS = 60_000;
/** Cooldowns of the pool; the first three as Zeph (Rust) uses them: bug-ops/zeph, native provider. */
export const COOLDOWN = {
  failureMs: 30_000,
  timeoutMs: 60_000,
  capacityMs: 5_000,
  /** A node that takes no signed requests any more is asked again only because a version can be set back. */
  closedMs: 600_000,
} as const;
/** Below this difference a clock counts as right: a block is about 5 s, and `Date` has whole seconds. */
export const SANE_SKEW_MS = 10_000;

/**
 * The one decision table: what happens after an attempt that did not succeed. Pure; every row is tested.
 * Nothing is repeated that could cost twice, unless the caller asked for it.
 */
export function classify(outcome: Outcome, situation: Situation): Verdict {
  const { remedy, charged } = toRemedy(outcome, situation);
  const cooldownMs = cooldownFor(outcome, situation);
  const stop: Verdict = { action: "stop", cooldownMs };
  if (remedy === "stop") return stop;
  if (charged !== "no" && !situation.retryCharged) return stop;
  if (situation.attempt >= situation.maxAttempts && remedy !== "fix-clock" && remedy !== "sign-anew") return stop;

  if (remedy === "fix-clock") return classifyClock(outcome, situation);
  if (remedy === "sign-anew") return situation.signedAnew ? stop : { action: "retry", delayMs: 0, cooldownMs: 0 };
  const asked = outcome.kind === "refused" ? retryAfterMs(outcome.headers, situation.nowMs) : undefined;
  // Another endpoint owes us nothing: what this one asks to wait concerns this one only.
  if (situation.hasFreeEndpoint) return { action: "retry", delayMs: 0, cooldownMs: Math.max(cooldownMs, asked ?? 0) };
  if (asked !== undefined && asked > MAX_RETRY_AFTER_MS) return stop;
  return { action: "retry", delayMs: Math.max(asked ?? 0, backoffMs(situation)), cooldownMs };
}

function toRemedy(outcome: Outcome, situation: Situation): { remedy: Remedy; charged: Charged } {
  if (outcome.kind === "refused") return outcome.refusal;
  if (!outcome.error.retryable) return { remedy: "stop", charged: "no" };
  return { remedy: "again", charged: chargedByFailure(outcome.requestLeft, situation.method) };
}

/**
 * Whoever got the request may have begun to answer it when the connection broke or our patience ended: a node has taken
 * the escrow by then, and a broker charges for an answer whether or not it arrives.
 */
export function chargedByFailure(requestLeft: boolean, method: string): Charged {
  return method === "POST" && requestLeft ? "maybe" : "no";
}

/**
 * "In the future" with a right clock is the chain's doing: it makes no blocks. "Too old" with a right clock is a request
 * that was long under way; a fresh timestamp mends it.
 */
function classifyClock(outcome: Outcome, { skewMs, signedAnew }: Situation): Verdict {
  const isSane = skewMs !== undefined && Math.abs(skewMs) <= SANE_SKEW_MS;
  const isLate = outcome.kind === "refused" && outcome.refusal.timestamp === "old";
  if (isSane && !isLate) return { action: "stop", code: "chain_stalled", cooldownMs: 0 };
  if (signedAnew || skewMs === undefined) return { action: "stop", cooldownMs: 0 };
  return isSane ? { action: "retry", delayMs: 0, cooldownMs: 0 } : { action: "fix-clock", cooldownMs: 0 };
}

/** Full jitter over the upper half: 250-500 ms, 500-1000 ms, … at most 8 s. */
function backoffMs({ attempt, random }: Situation): number {
  const ceiling = Math.min(BACKOFF.maxMs, BACKOFF.firstMs * BACKOFF.factor ** (attempt - 1));
  return Math.round(ceiling * (0.5 + random() / 2));
}

/** How long the endpoint is left alone. A refusal that says nothing about the endpoint itself cools nothing. */
function cooldownFor(outcome: Outcome, situation: Situation): number {
  if (outcome.kind === "failed") {
    // The whole request was too slow, of which this endpoint may have had the smallest part.
    if (outcome.error.code === "timeout_total") return 0;
    return outcome.error.code.startsWith("timeout") ? COOLDOWN.timeoutMs : COOLDOWN.failureMs;
  }
  const { remedy, code } = outcome.refusal;
  if (code === "native_closed") return COOLDOWN.closedMs;
  if (remedy !== "elsewhere" && remedy !== "again") return 0;
  if (code === "capacity_reached" || code === "rate_limited") {
    return retryAfterMs(outcome.headers, situation.nowMs) ?? COOLDOWN.capacityMs;
  }
  return COOLDOWN.failureMs;
}
