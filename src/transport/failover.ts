import { HeaderFields } from "../base/header-fields.ts";
import { type Alarm, alarmSweep, timeoutError } from "../base/time.ts";
import type { FetchFunction } from "../base/world.ts";
import { type AttemptRecord, type Charged, ZephError, type ZephErrorCode } from "../errors.ts";
import { type Endpoint, endpointLabel } from "../wire/endpoint.ts";
import { MAYBE_CHARGED_HINT, parseErrorBody, requestIdOf, retryAfterMs } from "../wire/refusals.ts";
import { type AttemptOptions, attemptOnce, type Over, type RefusedAnswer, watchConnections } from "./attempt.ts";
import {
  type BodyGuard,
  chatOf,
  guardBody,
  isRead,
  type OutgoingRequest,
  toOutgoing,
  upstreamHeaders,
} from "./body.ts";
import {
  type AnswerHead,
  type AnswerSink,
  askForResponse,
  type Exchange,
  rememberError,
  type Underway,
} from "./exchange.ts";
import {
  COOLDOWN,
  chargedByAnswer,
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

/**
 * The one loop of zeph: turns a `send` into an exchange. Every attempt is prepared afresh from the same body bytes; what
 * happens after a failed one is decided by `classify` alone. A refusal comes back as an answer, marked
 * `x-should-retry: false` so that no SDK on top repeats what was given up here; without any answer the sink hears a
 * `ZephError`. The caller's abort is passed on as it is.
 */
export function failover(options: FailoverOptions): Exchange {
  watchConnections();
  const watchSkew = skewWatch(options);
  const alarm = alarmSweep(options.clock);
  return (request, sink) => {
    const scope = new RequestScope(options, sink, alarm);
    runAttempts(options, request, scope).then(watchSkew, (thrown: unknown) => scope.fail(thrown));
    return scope;
  };
}

/** The span of one request: the caller's abort, the total deadline, and what ends with it. */
class RequestScope implements Underway {
  readonly sink: AnswerSink;
  readonly alarm: (onDue: () => void) => Alarm;
  readonly endsAtMs: number;
  readonly #onEvent: OnTransportEvent;
  readonly #total: Alarm;
  /** What is under way now. */
  current: Underway | undefined;
  giveSlotBack = () => {};
  #reason: { readonly is: unknown } | undefined;
  #controller: AbortController | undefined;
  #isOver = false;

  constructor({ clock, deadlines, onEvent }: FailoverOptions, sink: AnswerSink, alarm: (onDue: () => void) => Alarm) {
    this.sink = sink;
    this.alarm = alarm;
    this.endsAtMs = clock.nowMs() + deadlines.totalMs;
    this.#onEvent = onEvent;
    this.#total = alarm(() => this.abort(timeoutError("timeout_total", deadlines.totalMs)));
    this.#total.arm(deadlines.totalMs);
  }

  get isAborted(): boolean {
    return this.#reason !== undefined;
  }

  /** Made when somebody wants one: most requests go their way without. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#reason !== undefined) this.#controller.abort(this.#reason.is);
    return this.#controller.signal;
  }

  throwIfAborted(): void {
    if (this.#reason !== undefined) throw this.#reason.is;
  }

  abort(reason: unknown): void {
    if (this.#isOver || this.#reason !== undefined) return;
    this.#reason = { is: reason };
    this.#controller?.abort(reason);
    this.current?.abort(reason);
  }

  resume(): void {
    this.current?.resume();
  }

  /** Ends the request where no answer has begun. */
  fail(thrown: unknown): void {
    if (this.#isOver) return;
    this.release();
    if (ZephError.is(thrown)) this.#onEvent({ type: "gave-up", error: thrown });
    this.sink.fail(thrown);
  }

  release(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#total.disarm();
    this.giveSlotBack();
  }
}

/** Resolves with the head of the answer that was accepted, or passed on as a refusal. */
async function runAttempts(
  options: FailoverOptions,
  request: OutgoingRequest,
  scope: RequestScope,
): Promise<Pick<AnswerHead, "status" | "headers">> {
  const { clock, pool, onEvent } = options;
  options.budget.deposit();
  const slot = options.slots.tryAcquire() ?? (await options.slots.acquire(scope.signal));
  scope.giveSlotBack = slot;
  await options.prepare?.(request, scope.signal);
  scope.throwIfAborted();
  const records: AttemptRecord[] = [];
  const tried = new Set<Endpoint>();
  let signedAnew = false;
  let allowedAttempts = options.maxAttempts;

  for (let attempt = 1; ; attempt += 1) {
    const endpoint =
      options.admit === undefined ? pick(options, tried) : await choose(options, request, tried, scope.signal);
    scope.throwIfAborted();
    const signed = options.path === "native" && !isRead(request);
    onEvent({ type: "attempt-started", attempt, endpoint: endpointLabel(endpoint), signed });
    const startedAtMs = clock.nowMs();
    const signedOffsetMs = options.signingOffsetMs?.() ?? 0;
    let answered: AnswerHead | undefined;
    const result = await attemptOnce(options, request, endpoint, {
      alarm: scope.alarm,
      onBegin: (underway) => {
        scope.current = underway;
      },
      accept: (head, leave) => {
        answered = head;
        const elapsedMs = clock.nowMs() - startedAtMs;
        return accept(options, request, head, endpoint, { attempt, elapsedMs, scope, records, leave });
      },
    });
    if (result === undefined) return answered ?? NO_HEAD;
    scope.current = undefined;
    records.push(result.record);
    onEvent({ type: "attempt-ended", attempt, record: result.record });

    const serverNowMs = await serverTime(options, result, endpoint, scope);
    const progress = { attempt, allowedAttempts, signedAnew, signedOffsetMs, serverNowMs, tried };
    const situation = situationOf(options, request, progress);
    const verdict = classify(result.outcome, situation);
    if (verdict.cooldownMs > 0) pool.fail(endpoint, clock.nowMs(), verdict.cooldownMs, result.record.code);
    if (verdict.action === "stop" || !mayGoOn(options, verdict, scope)) {
      return giveUp(options, result, records, scope, verdict.action === "stop" ? verdict.code : undefined);
    }
    if (result.outcome.kind === "refused" && ["fix-clock", "sign-anew"].includes(result.outcome.refusal.remedy)) {
      // The remedy is one more attempt, at the same endpoint: nothing was wrong with it.
      signedAnew = true;
      allowedAttempts += 1;
      tried.delete(endpoint);
    }
    if (verdict.action === "fix-clock") fixClock(options, situation, signedOffsetMs);
    else await waitBefore(options, verdict.delayMs, { attempt, allowedAttempts, reason: result.record, scope });
  }
}

const NO_HEAD = { status: 0, headers: new HeaderFields({}) };

function pick({ pool, clock }: FailoverOptions, tried: Set<Endpoint>): Endpoint {
  const endpoint = pool.pick(clock.nowMs(), tried);
  tried.add(endpoint);
  return endpoint;
}

/** The endpoint for the next attempt. One that takes no signed requests is put aside; an error only when all are. */
async function choose(
  options: FailoverOptions,
  request: OutgoingRequest,
  tried: Set<Endpoint>,
  signal: AbortSignal,
): Promise<Endpoint> {
  const { pool, clock, admit } = options;
  const closed = new Map<Endpoint, ZephError>();
  for (;;) {
    const endpoint = pick(options, tried);
    const error = closed.get(endpoint);
    if (error !== undefined) throw error;
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
  scope: RequestScope,
): Promise<number | undefined> {
  if (outcome.kind !== "refused") return undefined;
  const date = Date.parse(outcome.headers.get("date") ?? "");
  if (!Number.isNaN(date)) return date;
  return outcome.refusal.remedy === "fix-clock" ? readNodeTime?.(endpoint, scope.signal) : undefined;
}

function accept(
  options: FailoverOptions,
  request: OutgoingRequest,
  head: AnswerHead,
  endpoint: Endpoint,
  seen: {
    readonly attempt: number;
    readonly elapsedMs: number;
    readonly scope: RequestScope;
    readonly records: readonly AttemptRecord[];
    readonly leave: () => void;
  },
): BodyGuard {
  const { elapsedMs, attempt, scope } = seen;
  options.pool.succeed(endpoint, elapsedMs);
  const requestId = requestIdOf(head.headers);
  const record: AttemptRecord = {
    endpoint: endpointLabel(endpoint),
    status: head.status,
    code: "ok",
    elapsedMs,
    charged: chargedByAnswer(request.method),
    requestId,
  };
  options.onEvent({ type: "attempt-ended", attempt, record });
  const chat = chatOf(request);
  return guardBody(head, {
    sink: scope.sink,
    leave: seen.leave,
    alarm: scope.alarm,
    chat: chat && { ...chat, needsDone: options.needsDone },
    onNotice: (text) => options.onEvent({ type: "notice", text }),
    idleMs: options.deadlines.idleMs,
    firstChunkMs: options.deadlines.headersMs,
    clock: options.clock,
    explain(error) {
      const attempts = [...seen.records, record];
      return error.with({ attempts, charged: worstCharge(attempts), requestId: error.requestId ?? requestId });
    },
    onEnd(error) {
      scope.release();
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
function mayGoOn(options: FailoverOptions, verdict: Verdict, scope: RequestScope): boolean {
  if (scope.isAborted) return false;
  if (verdict.action === "retry" && options.clock.nowMs() + verdict.delayMs >= scope.endsAtMs) return false;
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
    readonly scope: RequestScope;
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
  await options.clock.sleep(delayMs, next.scope.signal);
}

function giveUp(
  options: FailoverOptions,
  last: Over,
  records: readonly AttemptRecord[],
  scope: RequestScope,
  insteadCode: "chain_stalled" | undefined,
): Pick<AnswerHead, "status" | "headers"> {
  const { clock, hints, retryCharged } = options;
  const error = finalError(last, records, { nowMs: clock.nowMs(), hints, retryCharged, insteadCode });
  if (last.refused === undefined) throw error;
  scope.release();
  options.onEvent({ type: "gave-up", error });
  const { bodyText, ...head } = finalAnswer(last.refused, error, options.path);
  pour(scope.sink, head, bodyText);
  return last.refused.head;
}

/** A whole answer that is there already. */
export function pour(sink: AnswerSink, head: AnswerHead, bodyText: string): void {
  sink.head(head);
  sink.data(encoder.encode(bodyText));
  sink.end();
}

const encoder = new TextEncoder();

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
    const waitMs = outcome.kind === "refused" ? retryAfterMs(outcome.headers, nowMs) : undefined;
    return new ZephError("all_endpoints_failed", { ...shared, detail, retryAfterMs: waitMs });
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
function finalAnswer({ head, bodyText }: RefusedAnswer, error: ZephError, path: Situation["path"]): WholeAnswer {
  const { status, statusText } = head;
  const isGood = status >= 200 && status < 300;
  const isOpenai = !isGood && parseErrorBody(bodyText, head.headers.get("content-type") ?? "").shape === "openai";
  const fields = new HeaderFields(upstreamHeaders(head.headers, OF_ANOTHER_BODY));
  if (isOpenai && error.code !== "native_requires_api_key") {
    return { status, statusText, headers: new HeaderFields({ ...fields.record, ...marks(error) }), error, bodyText };
  }
  // What a broker answers is what its client gets; a node's own statuses say less than the catalogue's (1.7 of its table).
  return errorAnswer(error, fields, path === "broker" && status >= 400 ? status : error.httpStatus);
}

interface WholeAnswer extends AnswerHead {
  readonly bodyText: string;
}

/** Headers that go with a body, or with the connection it came by. */
const OF_ANOTHER_BODY = ["content-encoding", "content-length", "transfer-encoding", "connection", "location"];

function marks({ code }: ZephError): Record<string, string> {
  return { "x-should-retry": "false", "x-zeph-error-code": code };
}

/** A `ZephError` as an OpenAI-shaped answer. Status: the catalogue's where none is given. */
export function errorAnswer(
  error: ZephError,
  headers: HeaderFields = new HeaderFields({}),
  status = error.httpStatus,
): WholeAnswer {
  const message = `${error.message}. ${error.hint}`;
  const detail = error.detail ?? null;
  const body = { error: { message, type: "zeph_error", code: error.code, param: null, detail } };
  return {
    status,
    statusText: "",
    headers: new HeaderFields({ ...headers.record, "content-type": "application/json", ...marks(error) }),
    error,
    bodyText: JSON.stringify(body),
  };
}

/** {@link errorAnswer} as fetch has it. */
export function errorResponse(error: ZephError, headers: Headers = new Headers()): Response {
  const { status, headers: fields, bodyText } = errorAnswer(error, HeaderFields.from(headers));
  const response = new Response(bodyText, { status, headers: fields.toHeaders() });
  rememberError(response, error);
  return response;
}

/** The `fetch` around an exchange. @param baseURLs addresses that a caller may use */
export function fetchBy({
  exchange,
  baseURLs,
}: {
  readonly exchange: Exchange;
  readonly baseURLs: () => readonly string[];
}): FetchFunction {
  return async (input, init) => {
    const { signal, ...request } = await toOutgoing(input, init, baseURLs());
    return askForResponse((sink) => exchange(request, sink), signal);
  };
}
