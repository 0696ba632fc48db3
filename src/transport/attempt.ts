import { scrub } from "../base/secret.ts";
import { type Alarm, type Clock, type Deadlines, timeoutError } from "../base/time.ts";
import { type AttemptRecord, type Charged, ZephError } from "../errors.ts";
import { type Endpoint, endpointLabel } from "../wire/endpoint.ts";
import {
  type NetworkFailure,
  type Refusal,
  type RefusedResponse,
  readNetworkFailure,
  requestIdOf,
  WEB_PAGE,
} from "../wire/refusals.ts";
import { type BodyGuard, codingLeft, type OutgoingRequest } from "./body.ts";
import type { AnswerHead, Underway } from "./exchange.ts";
import { chargedByAnswer, chargedByFailure, type Outcome } from "./policy.ts";
import { type SendInto, SendRefused } from "./send.ts";

/** What one attempt needs to know of its connection. */
export interface AttemptOptions {
  readonly path: "broker" | "native";
  readonly send: SendInto;
  readonly readRefusal: (response: RefusedResponse) => Refusal;
  readonly deadlines: Deadlines;
  readonly clock: Clock;
}

/** An attempt that did not bring an answer, and what it left behind. */
export interface Over {
  readonly kind: "over";
  readonly outcome: Outcome;
  readonly record: AttemptRecord;
  /** Present when there was a response: kept so that the caller can be given it. */
  readonly refused?: RefusedAnswer;
}

export interface RefusedAnswer {
  readonly head: AnswerHead;
  readonly bodyText: string;
}

interface AttemptSurroundings {
  readonly alarm: (onDue: () => void) => Alarm;
  /** The answer has begun: from now on its bytes go to the guard that this gives. */
  readonly accept: (head: AnswerHead, leave: () => void) => BodyGuard;
  /** Called at once with what the caller's wishes go to from now on. */
  readonly onBegin: (underway: Underway) => void;
}

const MAX_ERROR_BODY_BYTES = 256 * 1024;

/**
 * Sends once. Resolves when an answer has begun and was accepted, or with how the attempt ended. Rejects only with what ends
 * the whole request: the caller's abort, a refusal of `send` itself.
 */
export function attemptOnce(
  options: AttemptOptions,
  request: OutgoingRequest,
  endpoint: Endpoint,
  { alarm: makeAlarm, accept, onBegin }: AttemptSurroundings,
): Promise<Over | undefined> {
  return new Promise((resolve, reject) => {
    const { clock, deadlines } = options;
    const startedAtMs = clock.nowMs();
    let state: "sent" | "looking" | "refused" | "accepted" | "over" = "sent";
    let head: AnswerHead | undefined;
    let guard: BodyGuard | undefined;
    const held: Uint8Array[] = [];
    let heldBytes = 0;
    let begin = "";
    /** What carries the attempt, and what it must be told as soon as there is something. */
    let carried: Underway | undefined;
    let hasLeft = false;
    let isWaiting = false;

    const alarm = makeAlarm(() => {
      if (state === "refused") refuse("");
      else fail(timeoutError(state === "sent" ? "timeout_headers" : "timeout_idle", limitOf(state)), true);
    });
    const limitOf = (now: typeof state) => (now === "sent" ? deadlines.headersMs : deadlines.idleMs);

    function leave(): void {
      hasLeft = true;
      carried?.abort(new DOMException("given up", "AbortError"));
    }
    function resume(): void {
      isWaiting = true;
      carried?.resume();
    }
    function stop(): boolean {
      if (state === "over" || state === "accepted") return false;
      state = "over";
      alarm.disarm();
      return true;
    }
    /** @param isDeadline one of ours: the request has left, and what is left of the answer is given up */
    function fail(thrown: unknown, isDeadline = false): void {
      if (!stop()) return;
      if (isDeadline) leave();
      const elapsedMs = clock.nowMs() - startedAtMs;
      const failure =
        isDeadline && ZephError.is(thrown) ? { error: thrown, requestLeft: true } : networkFailure(thrown, elapsedMs);
      const charged = chargedByFailure(failure.requestLeft, request.method);
      const { code, detail } = failure.error;
      const record: AttemptRecord = {
        endpoint: endpointLabel(endpoint),
        code,
        ...(detail === undefined ? {} : { detail }),
        elapsedMs,
        charged,
      };
      resolve({ kind: "over", outcome: { kind: "failed", ...failure }, record });
    }
    function endAll(reason: unknown): void {
      if (stop()) reject(reason);
    }
    function refuse(bodyText: string): void {
      const refusedHead = head;
      if (refusedHead === undefined || !stop()) return;
      leave();
      const elapsedMs = clock.nowMs() - startedAtMs;
      resolve(refusedAttempt(options, request, endpoint, { head: refusedHead, bodyText, elapsedMs }));
    }
    function take(answer: AnswerHead): void {
      state = "accepted";
      alarm.disarm();
      guard = accept(answer, leave);
      for (const piece of held) guard.data(piece);
      resolve(undefined);
    }
    /** Some servers call everything HTML: what it is, its first words tell. */
    function look(answer: AnswerHead, bytes: Uint8Array | undefined): void {
      if (bytes !== undefined) begin = new TextDecoder().decode(bytes).trimStart();
      if (bytes !== undefined && begin === "" && held.length < MAX_BLANK_PIECES) return;
      if (begin !== "" && !begin.startsWith("<")) take(answer);
      else {
        state = "refused";
        alarm.arm(deadlines.idleMs);
      }
    }

    onBegin({
      abort(reason) {
        // The caller's own reason goes back as it is; the total deadline (an error of ours) is an outcome like others.
        if (guard !== undefined) guard.breakOff(reason);
        // What has been refused already stays refused, however long its words take.
        else if (ZephError.is(reason) && state === "refused") refuse("");
        else if (ZephError.is(reason)) fail(reason, true);
        else {
          endAll(reason);
          leave();
        }
      },
      resume() {
        guard?.waiting();
        resume();
      },
    });
    alarm.arm(deadlines.headersMs);

    const sink = {
      head(answer: AnswerHead): void {
        if (state !== "sent") return;
        head = answer;
        const isGood = answer.status >= 200 && answer.status < 300;
        const coding = isGood ? codingLeft(answer.headers.get("content-encoding")) : undefined;
        if (coding !== undefined) {
          endAll(unreadable(coding, chargedByAnswer(request.method)));
          leave();
          return;
        }
        const isCalledPage = isGood && /^\s*text\/html\b/i.test(answer.headers.get("content-type") ?? "");
        if (isGood && !isCalledPage) {
          take(answer);
          return;
        }
        state = isCalledPage ? "looking" : "refused";
        alarm.arm(deadlines.idleMs);
        resume();
      },
      data(bytes: Uint8Array): boolean {
        if (guard !== undefined) return guard.data(bytes);
        if (state === "over") return false;
        held.push(bytes);
        heldBytes += bytes.byteLength;
        if (state === "looking" && head !== undefined) look(head, bytes);
        if (state === "refused" && heldBytes > MAX_ERROR_BODY_BYTES) refuse("");
        return !hasLeft;
      },
      end(): void {
        if (state === "looking" && head !== undefined) look(head, undefined);
        if (guard !== undefined) guard.end();
        else if (state === "refused") refuse(textOf(held));
        else fail(new Error("the answer ended before it began"));
      },
      fail(thrown: unknown): void {
        if (guard !== undefined) guard.fail(thrown);
        // The status says enough; an error body that cannot be read must not hide it.
        else if (state === "refused") refuse("");
        else if (thrown instanceof SendRefused) endAll(refusalOfSend(thrown.cause));
        else fail(thrown);
      },
    };
    begun(() => options.send(endpoint, request, sink)).then(
      (underway) => {
        carried = underway;
        if (hasLeft) underway.abort(new DOMException("given up", "AbortError"));
        else if (isWaiting) underway.resume();
      },
      (thrown: unknown) => endAll(refusalOfSend(thrown)),
    );
  });
}

async function begun(send: () => Underway | Promise<Underway>): Promise<Underway> {
  return send();
}

/** What is not the network's doing ends the request: a refusal of `send` itself (insecure_url …), or a fault in our code. */
function refusalOfSend(thrown: unknown): ZephError {
  return ZephError.is(thrown) ? thrown : ownFault(thrown);
}

function textOf(pieces: readonly Uint8Array[]): string {
  const decoder = new TextDecoder();
  return pieces.map((piece) => decoder.decode(piece, { stream: true })).join("") + decoder.decode();
}

const MAX_BLANK_PIECES = 16;

function networkFailure(cause: unknown, elapsedMs: number): Pick<NetworkFailure, "error" | "requestLeft"> {
  const failure = readNetworkFailure(cause);
  return isKeepAliveRace(cause, elapsedMs) ? { error: failure.error, requestLeft: false } : failure;
}

/** Not asked for; and paid for all the same, so that nothing is repeated. */
function unreadable(coding: string, charged: Charged): ZephError {
  return new ZephError("bad_response", {
    detail: `the answer is coded as ${JSON.stringify(scrub(coding.slice(0, 40)))}, which cannot be read here`,
    hint: "Ask the endpoint's operator to answer without a content-encoding, or with gzip.",
    charged,
  });
}

function ownFault(cause: unknown): ZephError {
  // Its message may hold a key: Headers repeats a value that it does not take.
  return new ZephError("internal", { detail: "a fault in the program, not in the network", cause });
}

function refusedAttempt(
  options: AttemptOptions,
  request: OutgoingRequest,
  endpoint: Endpoint,
  { head, bodyText, elapsedMs }: RefusedAnswer & { readonly elapsedMs: number },
): Over {
  const { status, headers } = head;
  const location = headers.get("location");
  const refused: RefusedResponse = {
    status,
    contentType: headers.get("content-type") ?? "",
    bodyText,
    path: request.path,
    ...(location === null ? {} : { location }),
  };
  const refusal = status < 300 && status >= 200 ? webPage(options.path) : options.readRefusal(refused);
  const record: AttemptRecord = {
    endpoint: endpointLabel(endpoint),
    status,
    code: refusal.code,
    detail: refusal.detail,
    elapsedMs,
    charged: refusal.charged,
    requestId: requestIdOf(headers),
  };
  return {
    kind: "over",
    outcome: { kind: "refused", refusal, headers },
    record,
    refused: { head, bodyText },
  };
}

/** A page where an API answer was expected: the address is somebody's web site. */
function webPage(path: AttemptOptions["path"]): Refusal {
  if (path === "native") return WEB_PAGE;
  return { code: "wrong_url", remedy: "stop", charged: "no", detail: "an HTML page came back" };
}

/** What the messages of undici's diagnostics channels hold (nodejs/undici docs/docs/api/DiagnosticsChannel.md, 7.x). */
interface Message {
  readonly request?: object;
  readonly socket?: object;
  readonly response?: { readonly headers?: readonly unknown[] };
  readonly error?: unknown;
}

const socketOf = new WeakMap<object, object>();

/** Sockets that have brought an answer: whether the server said how long it would keep them open. */
const answeredBy = new WeakMap<object, { readonly promised: boolean }>();
const races = new WeakSet<Error>();

/** Longer than a round trip, shorter than any work a server could have done for the money. */
const RACE_MS = 1_000;

/**
 * A server may close a connection that has lain idle in the very moment in which the next request goes out on it. That
 * request was not read by anybody and may be sent again, on a connection of its own, as browsers do. It is taken for such
 * a race only when the connection had brought an answer before, the server never promised (`Keep-Alive: timeout=N`) to
 * keep it, not a byte of an answer came, and it broke at once. Everything else may have been read, and charged for.
 *
 * @param elapsedMs from the beginning of the attempt to its end
 */
export function isKeepAliveRace(thrown: unknown, elapsedMs: number): boolean {
  if (elapsedMs >= RACE_MS) return false;
  for (let error = thrown; error instanceof Error; error = error.cause) if (races.has(error)) return true;
  return false;
}

/** For a connection that undici knows nothing of: the error of a request that nobody read, by the same rule. */
export function noteKeepAliveRace(error: Error): void {
  races.add(error);
}

let isWatching = false;

/** Begins to watch connections, once. Node's own fetch and every undici publish there, whoever made the agent; elsewhere nobody does. */
export function watchConnections(): void {
  if (isWatching) return;
  isWatching = true;
  const { process: node } = globalThis as { readonly process?: Pick<NodeJS.Process, "getBuiltinModule"> };
  const channels = node?.getBuiltinModule?.("node:diagnostics_channel");
  if (channels === undefined) return;
  function on(channel: string, look: (message: Message) => void): void {
    channels?.subscribe(`undici:${channel}`, (message) => {
      if (typeof message === "object" && message !== null) look(message);
    });
  }
  on("client:sendHeaders", ({ request, socket }) => {
    if (request !== undefined && socket !== undefined) socketOf.set(request, socket);
  });
  on("request:headers", ({ request, response }) => {
    const socket = request === undefined ? undefined : socketOf.get(request);
    if (request === undefined || socket === undefined) return;
    answeredBy.set(socket, { promised: promisesToKeep(response?.headers ?? []) });
    socketOf.delete(request);
  });
  on("request:error", ({ request, error }) => {
    const socket = request === undefined ? undefined : socketOf.get(request);
    if (socket !== undefined && answeredBy.get(socket)?.promised === false && error instanceof Error) races.add(error);
  });
}

/** Names and values in turn, as bytes. */
function promisesToKeep(headers: readonly unknown[]): boolean {
  for (let index = 0; index + 1 < headers.length; index += 2) {
    const name = headers[index];
    // Most names are told apart by their length, without making a text of them.
    if ((name as { readonly length?: number }).length !== "keep-alive".length) continue;
    if (/^keep-alive$/i.test(String(name)) && /timeout\s*=\s*\d/i.test(String(headers[index + 1]))) return true;
  }
  return false;
}
