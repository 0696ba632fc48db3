import type { HeaderView } from "../base/header-fields.ts";
import type { Clock } from "../base/time.ts";
import { type AttemptRecord, type Charged, ZephError } from "../errors.ts";
import { type Endpoint, endpointLabel } from "../wire/endpoint.ts";
import { type Refusal, type Remedy, retryAfterMs } from "../wire/refusals.ts";

/** How an attempt ended, before anyone decided what to do about it. */
export type Outcome =
  | { readonly kind: "refused"; readonly refusal: Refusal; readonly headers: HeaderView }
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

const BACKOFF = { firstMs: 500, factor: 2, maxMs: 8_000 } as const;

/** A server that asks for a longer wait than this gets no wait at all: the user is told instead. */
const MAX_RETRY_AFTER_MS = 60_000;

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

/** An answer to a read costs nothing; any other that has begun is paid for. */
export function chargedByAnswer(method: string): Charged {
  return method === "POST" ? "yes" : "no";
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

/** Bounds retries over all requests of a connection, so that a failing service is not buried under repetitions. */
export interface RetryBudget {
  /** A request begins: every one pays a little in. */
  deposit(): void;
  /** May one more retry be made? Takes it out when yes. */
  withdraw(): boolean;
}

const PER_REQUEST = 0.2;
const PER_SECOND = 10;
const CAPACITY = 100;

/** One retry for every five requests, plus ten each second for those who send few. */
export function retryBudget(clock: Pick<Clock, "nowMs">): RetryBudget {
  let tokens = CAPACITY;
  let refilledAtMs = clock.nowMs();
  function refill(): void {
    const now = clock.nowMs();
    tokens = Math.min(CAPACITY, tokens + (Math.max(0, now - refilledAtMs) / 1000) * PER_SECOND);
    refilledAtMs = now;
  }
  return {
    deposit() {
      tokens = Math.min(CAPACITY, tokens + PER_REQUEST);
    },
    withdraw() {
      refill();
      if (tokens < 1) return false;
      tokens -= 1;
      return true;
    },
  };
}

/** Bounds how many requests of one connection are under way at once; the rest wait in line. */
export interface Slots {
  /** The function that gives the slot back; undefined when there is none now. */
  tryAcquire(): (() => void) | undefined;
  /** Resolves with the function that gives the slot back; rejects with the signal's reason. */
  acquire(signal?: AbortSignal): Promise<() => void>;
}

/** @param maxConcurrent undefined or infinite: no limit */
export function slots(maxConcurrent = Number.POSITIVE_INFINITY): Slots {
  let used = 0;
  const waiting = new Set<() => void>();

  function release(): void {
    used -= 1;
    const [next] = waiting;
    if (next !== undefined) {
      waiting.delete(next);
      next();
    }
  }
  function take(): () => void {
    used += 1;
    let given = false;
    return () => {
      if (given) return;
      given = true;
      release();
    };
  }
  return {
    tryAcquire: () => (used < maxConcurrent ? take() : undefined),
    async acquire(signal) {
      signal?.throwIfAborted();
      if (used < maxConcurrent) return take();
      return new Promise((resolve, reject) => {
        const proceed = () => {
          signal?.removeEventListener("abort", leave);
          resolve(take());
        };
        const leave = () => {
          waiting.delete(proceed);
          reject(signal?.reason);
        };
        waiting.add(proceed);
        signal?.addEventListener("abort", leave, { once: true });
      });
    },
  };
}

interface SkewWatchOptions {
  /** A broker does not care what time it is here. */
  readonly path: "broker" | "native";
  readonly clock: Clock;
  /** What earlier corrections add to our clock when a request is signed, milliseconds. */
  readonly signingOffsetMs?: () => number;
  readonly onEvent: OnTransportEvent;
}

/**
 * Compares clocks on every accepted answer of a node, and tells once per connection of a clock that is wrong while
 * signatures still pass: another program, or a little more of it, would be refused.
 */
export function skewWatch({
  path,
  clock,
  signingOffsetMs,
  onEvent,
}: SkewWatchOptions): (answer: { readonly status: number; readonly headers: HeaderView }) => void {
  let isTold = path !== "native";
  return ({ status, headers }) => {
    if (isTold || status < 200 || status >= 300) return;
    const serverMs = Date.parse(headers.get("date") ?? "");
    const offsetMs = serverMs - (clock.nowMs() + (signingOffsetMs?.() ?? 0));
    // `Date` has whole seconds; without one this is not a number, and says nothing.
    if (!(Math.abs(offsetMs) > SANE_SKEW_MS)) return;
    isTold = true;
    onEvent({ type: "clock-off", offsetMs });
  };
}

/**
 * What a connection tells while it works: for a status line, a journal, a log. Holds no prompt, no header and no key.
 */
export type TransportEvent =
  | { readonly type: "attempt-started"; readonly attempt: number; readonly endpoint: string; readonly signed: boolean }
  | { readonly type: "attempt-ended"; readonly attempt: number; readonly record: AttemptRecord }
  | {
      readonly type: "waiting";
      readonly attempt: number;
      readonly maxAttempts: number;
      readonly delayMs: number;
      readonly reason: string;
    }
  | { readonly type: "clock-corrected"; readonly offsetMs: number }
  /** A node took the request, and its clock differs by this much from ours (above 0: ours is behind). Once per connection. */
  | { readonly type: "clock-off"; readonly offsetMs: number }
  /** Something about the answer that a person should know. */
  | { readonly type: "notice"; readonly text: string }
  | { readonly type: "gave-up"; readonly error: ZephError };

export type OnTransportEvent = (event: TransportEvent) => void;

export interface EndpointPoolOptions {
  /** `round-robin` (default): in turn. `latency`: the fastest known first, unknown ones before it so that they get known. */
  readonly order?: "round-robin" | "latency";
}

/** How one endpoint has done so far. Times are milliseconds of the clock that was passed in. */
export interface EndpointStatus {
  readonly endpoint: Endpoint;
  readonly label: string;
  readonly successes: number;
  readonly failures: number;
  /** Moving average of the time to the response headers; undefined until the first success. */
  readonly latencyMs: number | undefined;
  readonly coolsUntilMs: number | undefined;
  readonly lastOutcome: string | undefined;
}

interface Entry {
  endpoint: Endpoint;
  successes: number;
  failures: number;
  latencyMs: number | undefined;
  coolsUntilMs: number;
  failedAtMs: number;
  lastOutcome: string | undefined;
}

const LATENCY_WEIGHT = 0.3;

/**
 * Chooses the endpoint for the next attempt. Failed ones are skipped until they have cooled; when all are cooling, the
 * one that failed longest ago is taken. State only: no timers, no I/O; the caller passes the time in.
 */
export class EndpointPool {
  #entries: Entry[] = [];
  #cursor = 0;
  readonly #order: "round-robin" | "latency";

  constructor(endpoints: readonly Endpoint[], options: EndpointPoolOptions = {}) {
    this.#order = options.order ?? "round-robin";
    this.replace(endpoints);
  }

  get size(): number {
    return this.#entries.length;
  }

  /** Takes a new list; what is known of endpoints that stay is kept. */
  replace(endpoints: readonly Endpoint[]): void {
    const known = new Map(this.#entries.map((entry) => [key(entry.endpoint), entry]));
    const unique = new Map(endpoints.map((endpoint) => [key(endpoint), endpoint]));
    this.#entries = [...unique].map(([id, endpoint]) => {
      const before = known.get(id);
      return before === undefined ? newEntry(endpoint) : { ...before, endpoint };
    });
    this.#cursor = this.#entries.length === 0 ? 0 : this.#cursor % this.#entries.length;
  }

  /**
   * The endpoint to use now. `tried` are endpoints that this request had already; they are avoided while another is
   * free. Throws `no_endpoints` when the pool is empty.
   */
  pick(nowMs: number, tried: ReadonlySet<Endpoint> = new Set()): Endpoint {
    if (this.#entries.length === 0) throw new ZephError("no_endpoints");
    const free = this.#inTurn().filter((entry) => entry.coolsUntilMs <= nowMs);
    const untried = free.filter((entry) => !tried.has(entry.endpoint));
    const candidates = untried.length > 0 ? untried : free;
    const chosen =
      candidates.length === 0
        ? this.#inTurn().reduce((oldest, entry) => (entry.failedAtMs < oldest.failedAtMs ? entry : oldest))
        : this.#order === "latency"
          ? candidates.reduce((best, entry) => ((entry.latencyMs ?? 0) < (best.latencyMs ?? 0) ? entry : best))
          : candidates[0];
    if (chosen === undefined) throw new ZephError("no_endpoints");
    this.#cursor = (this.#entries.indexOf(chosen) + 1) % this.#entries.length;
    return chosen.endpoint;
  }

  /** Is there an endpoint that is neither cooling nor among `tried`? */
  hasFree(nowMs: number, tried: ReadonlySet<Endpoint>): boolean {
    return this.#entries.some((entry) => entry.coolsUntilMs <= nowMs && !tried.has(entry.endpoint));
  }

  succeed(endpoint: Endpoint, latencyMs: number): void {
    const entry = this.#find(endpoint);
    if (entry === undefined) return;
    entry.successes += 1;
    entry.coolsUntilMs = 0;
    entry.latencyMs =
      entry.latencyMs === undefined ? latencyMs : entry.latencyMs + LATENCY_WEIGHT * (latencyMs - entry.latencyMs);
    entry.lastOutcome = "ok";
  }

  fail(endpoint: Endpoint, nowMs: number, cooldownMs: number, outcome: string): void {
    const entry = this.#find(endpoint);
    if (entry === undefined) return;
    entry.failures += 1;
    entry.failedAtMs = nowMs;
    entry.coolsUntilMs = nowMs + cooldownMs;
    entry.lastOutcome = outcome;
  }

  status(nowMs: number): readonly EndpointStatus[] {
    return this.#entries.map(({ endpoint, successes, failures, latencyMs, coolsUntilMs, lastOutcome }) => ({
      endpoint,
      label: endpointLabel(endpoint),
      successes,
      failures,
      latencyMs,
      coolsUntilMs: coolsUntilMs > nowMs ? coolsUntilMs : undefined,
      lastOutcome,
    }));
  }

  #inTurn(): Entry[] {
    return [...this.#entries.slice(this.#cursor), ...this.#entries.slice(0, this.#cursor)];
  }

  #find(endpoint: Endpoint): Entry | undefined {
    return this.#entries.find((entry) => key(entry.endpoint) === key(endpoint));
  }
}

function key(endpoint: Endpoint): string {
  return `${endpoint.baseURL} ${endpoint.address ?? ""}`;
}

function newEntry(endpoint: Endpoint): Entry {
  return {
    endpoint,
    successes: 0,
    failures: 0,
    latencyMs: undefined,
    coolsUntilMs: 0,
    failedAtMs: Number.NEGATIVE_INFINITY,
    lastOutcome: undefined,
  };
}
