import { HeaderFields } from "../base/header-fields.ts";
import type { FetchFunction } from "../base/world.ts";
import type { ZephError } from "../errors.ts";
import type { ChatBodyOptions } from "../wire/chat-body.ts";

/** A request made ready to be sent any number of times: its body is bytes, its address is relative to an endpoint. */
export interface ExchangeRequest {
  readonly method: string;
  /** Path below the base URL with its query, e.g. `/chat/completions` or `/models?limit=5`. */
  readonly path: string;
  readonly headers: HeaderFields;
  /** Held, and not changed by anybody, until an answer has begun. */
  readonly body: Uint8Array | undefined;
  /** What a chat asked for, where the caller knows: otherwise the body is looked at. */
  readonly chat?: Pick<ChatBodyOptions, "asked" | "request"> | undefined;
}

/** The beginning of an answer. */
export interface AnswerHead {
  readonly status: number;
  readonly statusText: string;
  readonly headers: HeaderFields;
  /** The whole error, attempts included, where this is a refusal that was given up on. */
  readonly error?: ZephError | undefined;
  /** Present where the answer was read on its way, as chats are: what tells so far of what was used. */
  readonly usageIn?: (() => Readonly<Record<string, unknown>> | undefined) | undefined;
}

/**
 * Where an answer goes: a head, then bytes, then an end; or a failure, at any time, after which nothing comes. Bytes come
 * at once and without waiting for anybody: a sink that has enough answers false, and is served again after `resume`.
 */
export interface AnswerSink {
  head(head: AnswerHead): void;
  data(bytes: Uint8Array): boolean;
  end(): void;
  fail(error: unknown): void;
}

/** An exchange under way. */
export interface Underway {
  /** The caller leaves: nothing more is sent or read. The sink hears of it by `fail`, with this reason, unless all is over. */
  abort(reason: unknown): void;
  /** Somebody waits for bytes. Also said where nothing had to be held back: the silence of an endpoint counts from here. */
  resume(): void;
}

/** The core of a connection: `fetch` without web objects. All retries happen inside. */
export type Exchange = (request: ExchangeRequest, sink: AnswerSink) => Underway;

/** One request to one address, once. */
interface CarriedRequest {
  readonly url: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | undefined;
}

/** The plain network step. Redirects are not followed; what the sink gets is decoded where the answer was coded. */
export type Carry = (request: CarriedRequest, sink: AnswerSink) => Underway;

/** A fetch that has a way below itself. */
export interface CarryingFetch extends FetchFunction {
  readonly carry: Carry;
}

/** The way of a fetch, whoever made it. */
export function carryOf(fetch: FetchFunction): Carry {
  return "carry" in fetch ? (fetch as CarryingFetch).carry : carryByFetch(fetch);
}

function carryByFetch(fetch: FetchFunction): Carry {
  return ({ url, method, headers, body }, sink) =>
    carryResponse(
      (signal) => fetch(url, { method, headers: new Headers(headers), redirect: "manual", signal, body: toBody(body) }),
      sink,
    );
}

/** The core of a connection of which only the `fetch` is known. */
export function exchangeByFetch(fetch: FetchFunction, baseURL: string): Exchange {
  return ({ method, path, headers, body }, sink) =>
    carryResponse(
      (signal) => fetch(baseURL + path, { method, headers: headers.toHeaders(), signal, body: toBody(body) }),
      sink,
    );
}

function toBody(body: Uint8Array | undefined): NonNullable<RequestInit["body"]> | null {
  return (body ?? null) as Uint8Array<ArrayBuffer> | null;
}

/** A response, whoever makes it, poured into a sink. */
export function carryResponse(send: (signal: AbortSignal) => Promise<Response>, sink: AnswerSink): Underway {
  const leaving = new AbortController();
  let reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  let isReading = false;
  let isOver = false;

  async function pour(): Promise<void> {
    if (isReading || isOver || reader === undefined) return;
    isReading = true;
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (isOver) return;
        if (done) {
          isOver = true;
          return sink.end();
        }
        if (!sink.data(value)) return;
      }
    } catch (thrown) {
      fail(thrown);
    } finally {
      isReading = false;
    }
  }
  function fail(thrown: unknown): void {
    if (isOver) return;
    isOver = true;
    sink.fail(thrown);
  }
  async function begin(): Promise<void> {
    const response = await send(leaving.signal);
    const { status, statusText, body } = response;
    if (isOver) {
      body?.cancel().catch(() => {
        // The connection is gone already; there is nothing left to give up.
      });
      return;
    }
    reader = body?.getReader();
    sink.head({ status, statusText, headers: HeaderFields.from(response.headers), error: errorBehind(response) });
    if (reader !== undefined || isOver) return;
    isOver = true;
    sink.end();
  }
  begin().catch(fail);
  return {
    abort(reason) {
      if (isOver) return;
      fail(reason);
      leaving.abort(reason);
      reader?.cancel(reason).catch(() => {
        // The connection is gone already; there is nothing left to give up.
      });
    },
    resume() {
      void pour();
    },
  };
}

/** Bytes that may wait for their reader before the sender is asked to wait. */
const MAX_WAITING_BYTES = 64 * 1024;

/** An answer that has begun, with its bytes for a reader that asks for them. */
export interface BegunAnswer extends AnswerHead {
  /** The bytes that have come since, as one piece; undefined at the end. Rejects with what the answer broke off with. */
  next(): Promise<Uint8Array | undefined>;
  /** The reader leaves. */
  cancel(reason?: unknown): void;
}

/** An exchange for a reader that pulls. */
interface Asked {
  /** Rejects with what kept an answer from beginning. */
  readonly begun: Promise<BegunAnswer>;
  abort(reason: unknown): void;
}

export function ask(begin: (sink: AnswerSink) => Underway): Asked {
  const queue = new AnswerQueue();
  queue.underway = begin(queue);
  return queue;
}

/** An exchange as `fetch` has it: ended by the signal, if there is one. */
export async function askForResponse(
  begin: (sink: AnswerSink) => Underway,
  signal: AbortSignal | null | undefined,
): Promise<Response> {
  signal?.throwIfAborted();
  const asked = ask(begin);
  const leave = () => asked.abort(signal?.reason);
  signal?.addEventListener("abort", leave, { once: true });
  const release = () => signal?.removeEventListener("abort", leave);
  try {
    return toResponse(await asked.begun, release);
  } catch (thrown) {
    release();
    throw thrown;
  }
}

/** Statuses that have no body; `Response` refuses one. */
export const BODILESS: ReadonlySet<number> = new Set([101, 103, 204, 205, 304]);

function toResponse(answer: BegunAnswer, release: () => void): Response {
  const { status, statusText } = answer;
  const init = { status, statusText, headers: answer.headers.toHeaders() };
  if (BODILESS.has(status)) {
    // Read to its end, which ends the request.
    answer.next().then(release, release);
    return new Response(null, init);
  }
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const bytes = await answer.next();
          if (bytes !== undefined) return controller.enqueue(bytes);
          release();
          controller.close();
        } catch (thrown) {
          release();
          controller.error(thrown);
        }
      },
      cancel(reason) {
        release();
        answer.cancel(reason);
      },
    },
    // Nothing ahead of the reader.
    { highWaterMark: 0 },
  );
  const response = new Response(body, init);
  if (answer.error !== undefined) rememberError(response, answer.error);
  return response;
}

/**
 * The errors behind the responses given up on, for callers of ours. By the response, and by its body: who wraps a response
 * (other headers, a guard around it) passes the body on.
 */
const errorsBehind = new WeakMap<object, ZephError>();

export function rememberError(response: Response, error: ZephError): void {
  errorsBehind.set(response, error);
  if (response.body !== null) errorsBehind.set(response.body, error);
}

/** The whole error, attempts included, behind a response that the loop gave up on. */
export function errorBehind(response: Response): ZephError | undefined {
  return errorsBehind.get(response) ?? (response.body === null ? undefined : errorsBehind.get(response.body));
}

class AnswerQueue implements AnswerSink, Asked {
  readonly begun: Promise<BegunAnswer>;
  underway: Underway | undefined;
  #settle: { resolve(answer: BegunAnswer): void; reject(reason: unknown): void } | undefined;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #state: "open" | "ended" | { readonly error: unknown } = "open";
  #reader: { resolve(bytes: Uint8Array | undefined): void; reject(reason: unknown): void } | undefined;

  constructor() {
    this.begun = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
  }

  /** Who leaves gets nothing more, not even what has come already. */
  abort(reason: unknown): void {
    const isRead = this.#state === "ended" && this.#waiting.length === 0;
    this.underway?.abort(reason);
    this.#waiting = [];
    this.#waitingBytes = 0;
    if (!isRead) this.fail(reason);
  }

  head(head: AnswerHead): void {
    this.#settle?.resolve({
      ...head,
      next: () => this.#next(),
      cancel: (reason) => {
        if (this.#state !== "open") return;
        this.#state = { error: reason };
        this.underway?.abort(reason);
      },
    });
    this.#settle = undefined;
  }

  data(bytes: Uint8Array): boolean {
    const reader = this.#reader;
    if (reader !== undefined) {
      this.#reader = undefined;
      reader.resolve(bytes);
      return true;
    }
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.byteLength;
    return this.#waitingBytes <= MAX_WAITING_BYTES;
  }

  end(): void {
    if (this.#state !== "open") return;
    this.#state = "ended";
    this.#reader?.resolve(undefined);
    this.#reader = undefined;
  }

  fail(error: unknown): void {
    if (typeof this.#state === "object") return;
    this.#state = { error };
    this.#settle?.reject(error);
    this.#reader?.reject(error);
    this.#reader = undefined;
  }

  /** Pieces that came while nobody looked are given out as one: under load that saves most of the work. */
  #next(): Promise<Uint8Array | undefined> {
    const [first] = this.#waiting;
    if (first !== undefined) {
      const all = this.#waiting.length === 1 ? first : joined(this.#waiting, this.#waitingBytes);
      this.#waiting = [];
      this.#waitingBytes = 0;
      return Promise.resolve(all);
    }
    if (this.#state === "ended") return Promise.resolve(undefined);
    if (this.#state !== "open") return Promise.reject(this.#state.error);
    return new Promise((resolve, reject) => {
      this.#reader = { resolve, reject };
      this.underway?.resume();
    });
  }
}

function joined(pieces: readonly Uint8Array[], length: number): Uint8Array {
  const all = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.byteLength;
  }
  return all;
}
