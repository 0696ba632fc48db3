import { readBoundedText } from "../base/json.ts";
import { scrub } from "../base/secret.ts";
import { type Clock, type DeadlineSignal, type Deadlines, deadlineSignal } from "../base/time.ts";
import { type AttemptRecord, ZephError } from "../errors.ts";
import { type Endpoint, endpointLabel } from "../wire/endpoint.ts";
import {
  type NetworkFailure,
  type Refusal,
  type RefusedResponse,
  readNetworkFailure,
  requestIdOf,
  WEB_PAGE,
} from "../wire/refusals.ts";
import { codingLeft, type OutgoingRequest } from "./body.ts";
import { chargedByFailure, type Outcome } from "./policy.ts";
import { FetchRejected, type Send } from "./send.ts";

/** What one attempt needs to know of its connection. */
export interface AttemptOptions {
  readonly path: "broker" | "native";
  readonly send: Send;
  readonly readRefusal: (response: RefusedResponse) => Refusal;
  readonly deadlines: Deadlines;
  readonly clock: Clock;
}

/** One try and what it left behind. */
type Attempt = Answered | Over;

export interface Answered {
  readonly kind: "answered";
  readonly response: Response;
  readonly deadline: DeadlineSignal;
}

export interface Over {
  readonly kind: "over";
  readonly outcome: Outcome;
  readonly record: AttemptRecord;
  /** Present when there was a response: kept so that the caller can be given it. */
  readonly refused?: RefusedAnswer;
}

export interface RefusedAnswer {
  readonly response: Response;
  readonly bodyText: string;
}

const MAX_ERROR_BODY_BYTES = 256 * 1024;

/** Sends once and says how it ended. Throws only what ends the whole request: the caller's abort, a refusal of `send` itself. */
export async function attemptOnce(
  options: AttemptOptions,
  request: OutgoingRequest,
  endpoint: Endpoint,
  total: Pick<DeadlineSignal, "signal">,
): Promise<Attempt> {
  const startedAtMs = options.clock.nowMs();
  const deadline = deadlineSignal(options.clock, total.signal);
  deadline.arm("timeout_headers", options.deadlines.headersMs);
  try {
    const sent = await options.send(endpoint, request, deadline.signal);
    deadline.disarm();
    const coding = sent.ok ? codingLeft(sent.headers.get("content-encoding")) : undefined;
    if (coding !== undefined) {
      sent.body?.cancel().catch(() => {
        // The connection is gone already; there is nothing left to give up.
      });
      throw unreadable(coding);
    }
    const { response, isPage } = await lookForPage(sent, () => deadline.arm("timeout_idle", options.deadlines.idleMs));
    deadline.disarm();
    if (response.ok && !isPage) return { kind: "answered", response, deadline };
    deadline.arm("timeout_idle", options.deadlines.idleMs);
    const bodyText = await readBoundedText(response.body, MAX_ERROR_BODY_BYTES).catch((thrown: unknown) => {
      if (total.signal.aborted) throw thrown;
      // The status says enough; an error body that cannot be read must not hide it.
      return "";
    });
    deadline.release();
    return refusedAttempt(options, request, endpoint, {
      response,
      bodyText,
      elapsedMs: options.clock.nowMs() - startedAtMs,
    });
  } catch (thrown) {
    const { aborted, reason } = deadline.signal;
    deadline.release();
    // The caller's own reason goes back as it is; the total deadline (an error of ours) is an outcome like others.
    if (total.signal.aborted && !ZephError.is(total.signal.reason)) throw total.signal.reason;
    const timeout = aborted && ZephError.is(reason) ? reason : undefined;
    const rejected = thrown instanceof FetchRejected ? thrown : undefined;
    // What is not fetch's doing ends the request: a refusal of `send` itself (insecure_url …), or a fault in our code.
    if (timeout === undefined && rejected === undefined) throw ZephError.is(thrown) ? thrown : ownFault(thrown);
    const elapsedMs = options.clock.nowMs() - startedAtMs;
    const failure =
      timeout === undefined ? networkFailure(rejected?.cause, elapsedMs) : { error: timeout, requestLeft: true };
    const charged = chargedByFailure(failure.requestLeft, request.method);
    const record: AttemptRecord = {
      endpoint: endpointLabel(endpoint),
      code: failure.error.code,
      ...(failure.error.detail === undefined ? {} : { detail: failure.error.detail }),
      elapsedMs,
      charged,
    };
    return { kind: "over", outcome: { kind: "failed", ...failure }, record };
  }
}

/** Whether an answer called HTML is a web page: some servers call everything so. The bytes looked at come again. */
async function lookForPage(
  response: Response,
  onWait: () => void,
): Promise<{ readonly response: Response; readonly isPage: boolean }> {
  const isCalledPage = /^\s*text\/html\b/i.test(response.headers.get("content-type") ?? "");
  if (!response.ok || !isCalledPage || response.body === null) return { response, isPage: isCalledPage };
  onWait();
  const reader = response.body.getReader();
  const seen: Uint8Array[] = [];
  let begin = "";
  let isOver = false;
  while (begin === "" && !isOver && seen.length < MAX_BLANK_PIECES) {
    const { done, value } = await reader.read().catch((cause: unknown) => {
      throw new FetchRejected("the answer broke off", { cause });
    });
    isOver = done;
    if (value === undefined) continue;
    seen.push(value);
    begin = new TextDecoder().decode(value).trimStart();
  }
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const first = seen.shift();
        if (first !== undefined) return controller.enqueue(first);
        const { done, value } = await reader.read();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
  const { status, statusText, headers } = response;
  const isPage = begin === "" || begin.startsWith("<");
  return { response: new Response(body, { status, statusText, headers }), isPage };
}

const MAX_BLANK_PIECES = 16;

function networkFailure(cause: unknown, elapsedMs: number): Pick<NetworkFailure, "error" | "requestLeft"> {
  const failure = readNetworkFailure(cause);
  return isKeepAliveRace(cause, elapsedMs) ? { error: failure.error, requestLeft: false } : failure;
}

/** Not asked for; and paid for all the same, so that nothing is repeated. */
function unreadable(coding: string): ZephError {
  return new ZephError("bad_response", {
    detail: `the answer is coded as ${JSON.stringify(scrub(coding.slice(0, 40)))}, which cannot be read here`,
    hint: "Ask the endpoint's operator to answer without a content-encoding, or with gzip.",
    charged: "yes",
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
  { response, bodyText, elapsedMs }: RefusedAnswer & { readonly elapsedMs: number },
): Over {
  const location = response.headers.get("location");
  const refused: RefusedResponse = {
    status: response.status,
    contentType: response.headers.get("content-type") ?? "",
    bodyText,
    path: request.path,
    ...(location === null ? {} : { location }),
  };
  const refusal = response.ok ? webPage(options.path) : options.readRefusal(refused);
  const record: AttemptRecord = {
    endpoint: endpointLabel(endpoint),
    status: response.status,
    code: refusal.code,
    detail: refusal.detail,
    elapsedMs,
    charged: refusal.charged,
    requestId: requestIdOf(response.headers),
  };
  return {
    kind: "over",
    outcome: { kind: "refused", refusal, headers: response.headers },
    record,
    refused: { response, bodyText },
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
  return headers.some(
    (name, index) =>
      index % 2 === 0 && /^keep-alive$/i.test(String(name)) && /timeout\s*=\s*\d/i.test(String(headers[index + 1])),
  );
}
