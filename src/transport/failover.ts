import { type DeadlineSignal, deadlineSignal } from "../base/time.ts";
import type { FetchFunction } from "../base/world.ts";
import { type AttemptRecord, type Charged, ZephError, type ZephErrorCode } from "../errors.ts";
import { type Endpoint, endpointLabel } from "../wire/endpoint.ts";
import { MAYBE_CHARGED_HINT, parseErrorBody, requestIdOf, retryAfterMs } from "../wire/refusals.ts";
import {
  type Answered,
  type AttemptOptions,
  attemptOnce,
  type Over,
  type RefusedAnswer,
  watchConnections,
} from "./attempt.ts";
import { chatOf, guardBody, isRead, type OutgoingRequest, toOutgoing, upstreamHeaders } from "./body.ts";
import {
  COOLDOWN,
  classify,
  type EndpointPool,
  type OnTransportEvent,
  type RetryBudget,
  SANE_SKEW_MS,
  type Situation,
  type Slots,
  skewWatch,
  type Verdict,
} from "./policy.ts";

export interface FailoverOptions extends AttemptOptions {
  /** Whether the endpoint promises to end every stream with `[DONE]`, as brokers and nodes do. */
  readonly needsDone: boolean;
  readonly pool: EndpointPool;
  /** Addresses a caller may use; a request to any of them goes to whichever endpoint the pool chooses. */
  readonly baseURLs: () => readonly string[];
  /** Called before each request: brings the pool up to date (discovery), or does nothing. */
  readonly prepare?: (request: OutgoingRequest, signal: AbortSignal) => Promise<void>;
  /** Called before a prompt is sent to an endpoint; throws `native_closed` for one that takes no signed requests. */
  readonly admit?: (endpoint: Endpoint, signal: AbortSignal) => Promise<void>;
  /** Takes the server's time when a node finds our timestamps wrong. */
  readonly correctClock?: (serverNowMs: number) => void;
  /** The time a node goes by, for a refusal of our timestamp that came without a `Date`; undefined when it does not tell. */
  readonly readNodeTime?: (endpoint: Endpoint, signal: AbortSignal) => Promise<number | undefined>;
  /** What earlier corrections add to our clock when a request is signed, milliseconds. */
  readonly signingOffsetMs?: () => number;
  readonly maxAttempts: number;
  readonly retryCharged: boolean;
  readonly budget: RetryBudget;
  readonly slots: Slots;
  readonly random: () => number;
  /** Per error code: what to do, where the connection knows better than the catalogue. */
  readonly hints: Hints;
  readonly onEvent: OnTransportEvent;
}

/** The span of one request: its signal (caller's abort, total deadline), and what ends with it. */
type RequestScope = Pick<DeadlineSignal, "signal" | "release"> & { readonly endsAtMs: number };

/**
 * The one loop of zeph: turns a `send` into a `fetch`. Every attempt is prepared afresh from the same body bytes; what
 * happens after a failed one is decided by `classify` alone. A refusal comes back as its `Response`, marked
 * `x-should-retry: false` so that no SDK on top repeats what was given up here; without any response a `ZephError` is
 * thrown. The caller's abort is passed on as it is.
 */
export function failover(options: FailoverOptions): FetchFunction {
  watchConnections();
  const watchSkew = skewWatch(options);
  return async (input, init) => {
    const request = await toOutgoing(input, init, options.baseURLs());
    options.budget.deposit();
    const deadline = deadlineSignal(options.clock, request.signal);
    deadline.arm("timeout_total", options.deadlines.totalMs);
    let giveSlotBack = () => {};
    const total = {
      signal: deadline.signal,
      endsAtMs: options.clock.nowMs() + options.deadlines.totalMs,
      release: () => {
        deadline.release();
        giveSlotBack();
      },
    };
    try {
      giveSlotBack = await options.slots.acquire(deadline.signal);
      await options.prepare?.(request, deadline.signal);
      const response = await runAttempts(options, request, total);
      watchSkew(response);
      return response;
    } catch (thrown) {
      total.release();
      if (ZephError.is(thrown)) options.onEvent({ type: "gave-up", error: thrown });
      throw thrown;
    }
  };
}

async function runAttempts(options: FailoverOptions, request: OutgoingRequest, total: RequestScope): Promise<Response> {
  const { clock, pool, onEvent } = options;
  const records: AttemptRecord[] = [];
  const tried = new Set<Endpoint>();
  let signedAnew = false;
  let allowedAttempts = options.maxAttempts;

  for (let attempt = 1; ; attempt += 1) {
    const endpoint = await choose(options, request, tried, total.signal);
    const signed = options.path === "native" && !isRead(request);
    onEvent({ type: "attempt-started", attempt, endpoint: endpointLabel(endpoint), signed });
    const startedAtMs = clock.nowMs();
    const signedOffsetMs = options.signingOffsetMs?.() ?? 0;
    const result = await attemptOnce(options, request, endpoint, total);
    if (result.kind === "answered") {
      return accept(options, request, result, endpoint, {
        attempt,
        elapsedMs: clock.nowMs() - startedAtMs,
        total,
        records,
      });
    }
    records.push(result.record);
    onEvent({ type: "attempt-ended", attempt, record: result.record });

    const serverNowMs = await serverTime(options, result, endpoint, total.signal);
    const progress = { attempt, allowedAttempts, signedAnew, signedOffsetMs, serverNowMs, tried };
    const situation = situationOf(options, request, progress);
    const verdict = classify(result.outcome, situation);
    if (verdict.cooldownMs > 0) pool.fail(endpoint, clock.nowMs(), verdict.cooldownMs, result.record.code);
    if (verdict.action === "stop" || !mayGoOn(options, verdict, total)) {
      return giveUp(options, result, records, total, verdict.action === "stop" ? verdict.code : undefined);
    }
    if (result.outcome.kind === "refused" && ["fix-clock", "sign-anew"].includes(result.outcome.refusal.remedy)) {
      // The remedy is one more attempt, at the same endpoint: nothing was wrong with it.
      signedAnew = true;
      allowedAttempts += 1;
      tried.delete(endpoint);
    }
    if (verdict.action === "fix-clock") fixClock(options, situation, signedOffsetMs);
    else await waitBefore(options, verdict.delayMs, { attempt, allowedAttempts, reason: result.record, total });
  }
}

/** The endpoint for the next attempt. One that takes no signed requests is put aside; an error only when all are. */
async function choose(
  { pool, clock, admit }: FailoverOptions,
  request: OutgoingRequest,
  tried: Set<Endpoint>,
  signal: AbortSignal,
): Promise<Endpoint> {
  const closed = new Map<Endpoint, ZephError>();
  for (;;) {
    const endpoint = pool.pick(clock.nowMs(), tried);
    const error = closed.get(endpoint);
    if (error !== undefined) throw error;
    tried.add(endpoint);
    if (admit === undefined || isRead(request)) return endpoint;
    try {
      await admit(endpoint, signal);
      return endpoint;
    } catch (thrown) {
      if (!ZephError.is(thrown) || thrown.code !== "native_closed") throw thrown;
      pool.fail(endpoint, clock.nowMs(), COOLDOWN.closedMs, thrown.code);
      closed.set(endpoint, thrown);
    }
  }
}

/** What time the other side has, where that matters or costs nothing to know. */
async function serverTime(
  { readNodeTime }: FailoverOptions,
  { outcome }: Over,
  endpoint: Endpoint,
  signal: AbortSignal,
): Promise<number | undefined> {
  if (outcome.kind !== "refused") return undefined;
  const date = Date.parse(outcome.headers.get("date") ?? "");
  if (!Number.isNaN(date)) return date;
  return outcome.refusal.remedy === "fix-clock" ? readNodeTime?.(endpoint, signal) : undefined;
}

function accept(
  options: FailoverOptions,
  request: OutgoingRequest,
  { response, deadline }: Answered,
  endpoint: Endpoint,
  seen: {
    readonly attempt: number;
    readonly elapsedMs: number;
    readonly total: RequestScope;
    readonly records: readonly AttemptRecord[];
  },
): Response {
  const { elapsedMs, attempt, total } = seen;
  options.pool.succeed(endpoint, elapsedMs);
  const requestId = requestIdOf(response.headers);
  const record: AttemptRecord = {
    endpoint: endpointLabel(endpoint),
    status: response.status,
    code: "ok",
    elapsedMs,
    charged: "yes",
    requestId,
  };
  options.onEvent({ type: "attempt-ended", attempt, record });
  const chat = response.ok ? chatOf(request) : undefined;
  return guardBody(response, {
    deadline,
    chat: chat && { ...chat, needsDone: options.needsDone },
    onNotice: (text) => options.onEvent({ type: "notice", text }),
    idleMs: options.deadlines.idleMs,
    firstChunkMs: options.deadlines.headersMs,
    clock: options.clock,
    explain: (error) =>
      error.with({ attempts: [...seen.records, record], charged: "yes", requestId: error.requestId ?? requestId }),
    onEnd(error) {
      deadline.release();
      total.release();
      if (ZephError.is(error)) options.onEvent({ type: "gave-up", error });
    },
  });
}

function situationOf(
  options: FailoverOptions,
  request: OutgoingRequest,
  state: {
    readonly attempt: number;
    readonly allowedAttempts: number;
    readonly signedAnew: boolean;
    readonly signedOffsetMs: number;
    readonly serverNowMs: number | undefined;
    readonly tried: ReadonlySet<Endpoint>;
  },
): Situation {
  const nowMs = options.clock.nowMs();
  const { serverNowMs } = state;
  return {
    path: options.path,
    method: request.method,
    attempt: state.attempt,
    maxAttempts: state.allowedAttempts,
    retryCharged: options.retryCharged,
    signedAnew: state.signedAnew,
    skewMs: serverNowMs === undefined ? undefined : serverNowMs - (nowMs + state.signedOffsetMs),
    hasFreeEndpoint: options.pool.hasFree(nowMs, state.tried),
    nowMs,
    random: options.random,
  };
}

/** Waiting past the total deadline, or beyond the budget of repetitions, helps nobody. */
function mayGoOn(options: FailoverOptions, verdict: Verdict, total: RequestScope): boolean {
  if (total.signal.aborted) return false;
  if (verdict.action === "retry" && options.clock.nowMs() + verdict.delayMs >= total.endsAtMs) return false;
  return options.budget.withdraw();
}

function fixClock(options: FailoverOptions, { nowMs, skewMs = 0 }: Situation, signedOffsetMs: number): void {
  const offsetMs = signedOffsetMs + skewMs;
  // Of several requests under way, the first to be refused has set the clock for all.
  if (Math.abs(offsetMs - (options.signingOffsetMs?.() ?? 0)) <= SANE_SKEW_MS) return;
  options.correctClock?.(nowMs + offsetMs);
  options.onEvent({ type: "clock-corrected", offsetMs });
}

async function waitBefore(
  options: FailoverOptions,
  delayMs: number,
  next: {
    readonly attempt: number;
    readonly allowedAttempts: number;
    readonly reason: AttemptRecord;
    readonly total: RequestScope;
  },
): Promise<void> {
  if (delayMs <= 0) return;
  options.onEvent({
    type: "waiting",
    attempt: next.attempt + 1,
    maxAttempts: next.allowedAttempts,
    delayMs,
    reason: `${next.reason.endpoint}: ${next.reason.code}`,
  });
  await options.clock.sleep(delayMs, next.total.signal);
}

function giveUp(
  options: FailoverOptions,
  last: Over,
  records: readonly AttemptRecord[],
  total: RequestScope,
  insteadCode: "chain_stalled" | undefined,
): Response {
  const { clock, hints, retryCharged } = options;
  const error = finalError(last, records, { nowMs: clock.nowMs(), hints, retryCharged, insteadCode });
  if (last.refused === undefined) throw error;
  total.release();
  options.onEvent({ type: "gave-up", error });
  return finalResponse(last.refused, error, options.path);
}

export type Hints = Readonly<Partial<Record<ZephErrorCode, string>>>;

interface FinalErrorOptions {
  readonly nowMs: number;
  readonly hints: Hints;
  readonly retryCharged: boolean;
  /** A cause that only the loop could see, instead of the last refusal's own. */
  readonly insteadCode?: "chain_stalled" | undefined;
}

/** The error of the whole request: the last word, or one table when several endpoints failed in different ways. */
function finalError(
  { outcome, record }: Over,
  records: readonly AttemptRecord[],
  { nowMs, hints, retryCharged, insteadCode }: FinalErrorOptions,
): ZephError {
  const shared = { attempts: records, charged: worstCharge(records) };
  const isFinalWord =
    insteadCode !== undefined ||
    (outcome.kind === "refused" ? outcome.refusal.remedy === "stop" : outcome.error.code === "timeout_total") ||
    // Other nodes could have answered; they were not asked because that may cost twice.
    (record.charged !== "no" && !retryCharged);
  if (!isFinalWord && failedDifferently(records)) {
    const detail = records.map(describeAttempt).join("; ");
    return new ZephError("all_endpoints_failed", { ...shared, detail });
  }
  if (outcome.kind === "failed") {
    const { error } = outcome;
    const known = hints[error.code] ?? error.hint;
    const hint = shared.charged === "no" ? known : `${MAYBE_CHARGED_HINT} ${known}`;
    return error.with({ ...shared, detail: `${record.endpoint}: ${error.detail ?? "no answer"}`, hint });
  }
  const { refusal, headers } = outcome;
  const code = insteadCode ?? refusal.code;
  return new ZephError(code, {
    ...shared,
    detail: refusal.detail,
    hint: hints[code] ?? refusal.hint,
    status: record.status,
    requestId: record.requestId,
    retryAfterMs: retryAfterMs(headers, nowMs),
  });
}

/** One attempt in words, as the error card and `zeph explain` print it. */
function describeAttempt({ endpoint, status, code, detail }: AttemptRecord): string {
  const what = status === undefined ? code : `${status} ${code}`;
  return detail === undefined ? `${endpoint}: ${what}` : `${endpoint}: ${what} (${detail})`;
}

function failedDifferently(records: readonly AttemptRecord[]): boolean {
  return new Set(records.map(({ endpoint }) => endpoint)).size > 1 && new Set(records.map(({ code }) => code)).size > 1;
}

function worstCharge(records: readonly AttemptRecord[]): Charged {
  const charges = records.map(({ charged }) => charged);
  return charges.includes("yes") ? "yes" : charges.includes("maybe") ? "maybe" : "no";
}

/**
 * The response a caller gets when the loop gave up. An answer in OpenAI's error shape is passed on as it came; a node's
 * own dialect, a web page or nothing is put into that shape, so that SDKs show words instead of a bare number; so is a
 * gateway's wish for an API key, which does not say what works instead. The header `x-should-retry: false` keeps the OpenAI SDK and our AI SDK provider from trying again.
 */
function finalResponse({ response, bodyText }: RefusedAnswer, error: ZephError, path: Situation["path"]): Response {
  const headers = upstreamHeaders(response.headers);
  for (const name of ["content-encoding", "content-length", "transfer-encoding", "connection", "location"])
    headers.delete(name);
  headers.set("x-should-retry", "false");
  headers.set("x-zeph-error-code", error.code);
  const isOpenai =
    !response.ok && parseErrorBody(bodyText, response.headers.get("content-type") ?? "").shape === "openai";
  if (isOpenai && error.code !== "native_requires_api_key") {
    const { status, statusText } = response;
    return remember(new Response(bodyText, { status, statusText, headers }), error);
  }
  // What a broker answers is what its client gets; a node's own statuses say less than the catalogue's (1.7 of its table).
  return errorResponse(
    error,
    headers,
    path === "broker" && response.status >= 400 ? response.status : error.httpStatus,
  );
}

/** A `ZephError` as an OpenAI-shaped response. Status: the catalogue's where none is given. */
export function errorResponse(error: ZephError, headers: Headers = new Headers(), status = error.httpStatus): Response {
  headers.set("content-type", "application/json");
  headers.set("x-should-retry", "false");
  headers.set("x-zeph-error-code", error.code);
  const message = `${error.message}. ${error.hint}`;
  const detail = error.detail ?? null;
  const body = { error: { message, type: "zeph_error", code: error.code, param: null, detail } };
  return remember(new Response(JSON.stringify(body), { status, headers }), error);
}

/**
 * The errors behind the responses given up on, for callers of ours. By the response, and by its body: who wraps a response
 * (other headers, a guard around it) passes the body on.
 */
const errorsBehind = new WeakMap<object, ZephError>();

function remember(response: Response, error: ZephError): Response {
  errorsBehind.set(response, error);
  if (response.body !== null) errorsBehind.set(response.body, error);
  return response;
}

/** The whole error, attempts included, behind a response that the loop gave up on. */
export function errorBehind(response: Response): ZephError | undefined {
  return errorsBehind.get(response) ?? (response.body === null ? undefined : errorsBehind.get(response.body));
}
