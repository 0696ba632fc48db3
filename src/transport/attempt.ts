import { type AttemptRecord, ZephError } from "../errors/zeph-error.ts";
import { type DeadlineSignal, type Deadlines, deadlineSignal } from "../internal/abort.ts";
import type { Clock } from "../internal/clock.ts";
import { readBoundedText } from "../internal/read-bounded.ts";
import { scrub } from "../internal/redact.ts";
import { type Endpoint, endpointLabel } from "../protocol/endpoint.ts";
import { WEB_PAGE } from "../protocol/refusals/native.ts";
import type { Refusal, RefusedResponse } from "../protocol/refusals/refusal.ts";
import { requestIdOf } from "../protocol/request-id.ts";
import { codingLeft } from "./content-coding.ts";
import { isKeepAliveRace } from "./keep-alive-race.ts";
import { type NetworkFailure, readNetworkFailure } from "./network-error.ts";
import type { OutgoingRequest } from "./outgoing.ts";
import { chargedByFailure, type Outcome } from "./retry-policy.ts";
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
export type Attempt = Answered | Over;

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
  const requestId = requestIdOf(response.headers);
  const record: AttemptRecord = {
    endpoint: endpointLabel(endpoint),
    status: response.status,
    code: refusal.code,
    ...(refusal.detail === undefined ? {} : { detail: refusal.detail }),
    elapsedMs,
    charged: refusal.charged,
    ...(requestId === undefined ? {} : { requestId }),
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
