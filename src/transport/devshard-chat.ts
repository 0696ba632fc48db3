import { parseForeignJson } from "../base/json.ts";
import { untilAborted } from "../base/time.ts";
import { ZephError } from "../errors.ts";
import { canonicalJson, promptHash } from "../wire/devshard/canonical-json.ts";
import { STATUS } from "../wire/devshard/ledger.ts";
import { reasonOf } from "./devshard-audit.ts";
import { HostRefused, type HostReply, type InferencePayload } from "./devshard-host.ts";
import type { DevshardSession, InferenceRequest } from "./devshard-session.ts";

interface DevshardChatOptions {
  readonly session: DevshardSession;
  /** The model that the escrow pays for. */
  readonly model: string;
  /** Longest answer where the request says none. */
  readonly maxTokens: number;
  /** Hosts that are tried for one request. Default 3. */
  readonly maxHosts?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

const MAX_HOSTS = 3;

/** The same order again to the same host: after a lost connection, and while it is executing. */
const MAX_REPOSTS = 3;
const REPOST_WAIT_MS = 1_000;

/** A host that executes is asked again this often before the answer is given up on. */
const MAX_POLLS = 60;

/**
 * Answers one chat completion over a devshard: an ordinary response, as a stream where the body asks for one. Throws
 * `invalid_request`, `model_not_found`, `executor_failed` and what `DevshardSession.start` throws. Once a host has
 * begun to answer, its order is carried through to the end, whoever still listens: the answer is paid for.
 */
export async function devshardChat(body: Uint8Array, options: DevshardChatOptions): Promise<Response> {
  const { session, model, signal } = options;
  const request = readRequest(body, options);
  const failures: string[] = [];
  for (let tried = 0; tried < (options.maxHosts ?? MAX_HOSTS); tried += 1) {
    signal?.throwIfAborted();
    const { id, payload } = session.takeInterrupted(request.promptHash) ?? (await session.start(request, model));
    const run = new InferenceRun(session, id, payload);
    const begun = run.first();
    const first = await orLeave(begun, signal, () => run.leave(begun));
    if (first.kind === "data") {
      if (request.isStream) return streamed(run, first.data, request);
      return await orLeave(whole(run, first.data, request), signal, () => {});
    }
    session.inFlight.delete(id);
    if (first.isPaused) await session.assertTakesRequests(signal);
    session.courier.rest(session.addressOfNonce(id));
    failures.push(`${session.addressOfNonce(id)}: ${first.reason}`);
  }
  void session.persistPending().catch(() => undefined);
  if (failures.every((failure) => /timestamp drift/.test(failure))) {
    throw new ZephError("clock_skew", { detail: failures.join("; ") });
  }
  throw new ZephError("executor_failed", {
    detail: failures.join("; "),
    hint: "Nothing was paid but the fee of the orders. Try again; `zeph devshard status` shows the hosts.",
  });
}

/** Waits no longer than the caller does; what was ordered goes on by itself. */
async function orLeave<T>(work: Promise<T>, signal: AbortSignal | undefined, leave: () => void): Promise<T> {
  if (signal === undefined) return work;
  try {
    return await untilAborted(work, signal);
  } catch (error) {
    if (signal.aborted) {
      work.catch(() => undefined);
      leave();
    }
    throw error;
  }
}

interface ChatRequest extends InferenceRequest {
  readonly isStream: boolean;
  readonly wanted: Wanted;
}

/** What the caller asked for of what the network forces on every answer. */
interface Wanted {
  readonly logprobs: boolean;
  readonly tokenIds: boolean;
}

function readRequest(body: Uint8Array, { model, maxTokens }: DevshardChatOptions): ChatRequest {
  let json: Record<string, unknown>;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch (cause) {
    throw new ZephError("invalid_request", { detail: "the body is not JSON in UTF-8", cause });
  }
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw new ZephError("invalid_request", { detail: "the body is not a JSON object" });
  }
  if (json.model !== model) {
    throw new ZephError("model_not_found", {
      detail: `the open escrow pays for ${model}, not for ${String(json.model)}`,
    });
  }
  const asked = json.max_completion_tokens ?? json.max_tokens;
  const limit = asked === undefined || asked === null ? maxTokens : asked;
  if (typeof limit !== "number" || !Number.isSafeInteger(limit) || limit < 1) {
    throw new ZephError("invalid_request", { detail: "max_tokens must be a whole number, at least 1" });
  }
  // What is reserved is what the model may use, so the limit stands in the body in any case.
  const prompt = asked === limit ? canonicalJson(body) : canonicalJson(JSON.stringify({ ...json, max_tokens: limit }));
  return {
    prompt,
    promptHash: promptHash(prompt),
    maxTokens: limit,
    isStream: json.stream === true,
    wanted: {
      logprobs: json.logprobs === true || typeof json.logprobs === "number" || json.top_logprobs !== undefined,
      tokenIds: json.return_token_ids === true || json.return_tokens_as_token_ids === true,
    },
  };
}

type First =
  | { readonly kind: "data"; readonly data: string }
  /** `isPaused`: by the host's word the network takes no requests. */
  | { readonly kind: "failed"; readonly reason: string; readonly isPaused?: boolean | undefined };

/**
 * One inference from its order to the end of its answer. A connection that breaks is made anew with the very same order:
 * a host that has finished repeats its answer, one that has not begun begins.
 */
class InferenceRun {
  readonly #session: DevshardSession;
  readonly id: number;
  readonly #payload: InferencePayload;
  #parts: AsyncGenerator<HostReply> | undefined;
  #reposts = 0;
  #polls = 0;

  constructor(session: DevshardSession, id: number, payload: InferencePayload) {
    this.#session = session;
    this.id = id;
    this.#payload = payload;
  }

  /** The first piece of the answer, or why there will be none from this host. */
  async first(): Promise<First> {
    for (;;) {
      const end = await this.#until();
      if (end.kind === "data") return end;
      if (this.#isOver()) return { kind: "failed", reason: "the answer was lost with the connection" };
      if (end.kind === "executing" && this.#polls < MAX_POLLS) {
        this.#polls += 1;
        await this.#session.options.clock.sleep(REPOST_WAIT_MS);
      } else if (end.kind !== "refused" && end.kind !== "executing" && this.#reposts < MAX_REPOSTS - 1) {
        this.#reposts += 1;
        await this.#session.options.clock.sleep(this.#reposts * (REPOST_WAIT_MS / 4));
      } else return { kind: "failed", reason: end.reason, isPaused: end.isPaused };
    }
  }

  /** The next piece; `done` at the end, `cut` when the connection broke in the middle. */
  async next(): Promise<First | { readonly kind: "done" | "cut" }> {
    const end = await this.#until();
    if (end.kind === "data") return end;
    return { kind: end.kind === "done" ? "done" : "cut" };
  }

  /** After a cut: the whole answer once more, as the host's own pieces. `undefined` when it does not come. */
  async again(): Promise<readonly string[] | undefined> {
    while (this.#reposts < MAX_REPOSTS) {
      this.#reposts += 1;
      const pieces: string[] = [];
      for (;;) {
        const end = await this.#until();
        if (end.kind === "data") pieces.push(end.data);
        else if (end.kind === "done" && pieces.length > 0) return pieces;
        else if (end.kind === "executing" && this.#polls < MAX_POLLS) {
          this.#polls += 1;
          await this.#session.options.clock.sleep(REPOST_WAIT_MS);
        } else break;
      }
      await this.#session.options.clock.sleep(this.#reposts * (REPOST_WAIT_MS / 4));
    }
    this.#session.courier.rest(this.#session.addressOfNonce(this.id));
    return undefined;
  }

  /** Nobody waits for the answer any more: it is heard to its end, and kept for whoever asks the same again. */
  leave(begun: Promise<First>): void {
    const hear = async () => {
      if ((await begun).kind === "failed") return void this.#session.inFlight.delete(this.id);
      for (let end = await this.#until(); end.kind === "data"; end = await this.#until());
      this.#session.keepInterrupted(this.id, this.#payload);
    };
    // What goes wrong now is found by the next order.
    hear().catch(() => this.#session.inFlight.delete(this.id));
  }

  /** Reads on until the host has said everything: what it wants ordered comes last. */
  async drain(): Promise<void> {
    for (let end = await this.#until(); end.kind === "data"; end = await this.#until());
    await this.finish();
  }

  async finish(): Promise<void> {
    this.#session.inFlight.delete(this.id);
    // A journal that cannot be written now is told about at the next order.
    await this.#session.persistPending().catch(() => undefined);
  }

  /** The finish was ordered by somebody else meanwhile: no host repeats the answer then. */
  #isOver(): boolean {
    const status = this.#session.ledger.inference(BigInt(this.id))?.status;
    return status === undefined || status >= STATUS.finished;
  }

  async #until(): Promise<
    | (First & { kind: "data" })
    | {
        readonly kind: "done" | "executing" | "failed" | "refused";
        readonly reason: string;
        readonly isPaused?: boolean;
      }
  > {
    this.#parts ??= this.#session.courier.deliver(this.id, this.#payload);
    let hasReceipt = false;
    let isDone = false;
    let hasMeta = false;
    try {
      for (;;) {
        const { value, done } = await this.#parts.next();
        if (done === true) break;
        if (value.kind === "data") return { kind: "data", data: value.data };
        if (value.kind === "receipt") hasReceipt = value.receipt.receipt !== undefined;
        if (value.kind === "done") isDone = true;
        if (value.kind === "mempool") hasMeta = true;
        this.#isDone ||= isDone;
      }
    } catch (error) {
      this.#parts = undefined;
      if (this.#isDone) return { kind: "done", reason: "" };
      if (ZephError.is(error) && error.code === "devshard_diverged") throw error;
      const remedy = error instanceof HostRefused ? error.refusal.remedy : "again";
      return {
        kind: remedy === "again" ? "failed" : "refused",
        reason: reasonOf(error),
        isPaused: remedy === "paused",
      };
    }
    this.#parts = undefined;
    if (this.#isDone) {
      this.#isDone = false;
      return { kind: "done", reason: "it sent an empty answer" };
    }
    if (hasReceipt && hasMeta) return { kind: "executing", reason: "it did not answer in time" };
    if (hasMeta) return { kind: "refused", reason: "it does not take itself for the executor" };
    return { kind: "failed", reason: hasReceipt ? "it failed while executing" : "it ended the connection" };
  }
  #isDone = false;
}

const NO_STORE = { "cache-control": "no-cache", "x-zeph-devshard": "1" };

/** One JSON answer. A host that answers in pieces all the same is read to its end. */
async function whole(run: InferenceRun, first: string, { wanted }: ChatRequest): Promise<Response> {
  let pieces: readonly string[] | undefined = [first];
  for (;;) {
    const next = await run.next();
    if (next.kind === "data") pieces = [...pieces, next.data];
    else if (next.kind === "done") break;
    else {
      pieces = await run.again();
      if (pieces === undefined) {
        await run.finish();
        throw new ZephError("stream_cut", { detail: "the host did not finish its answer", charged: "maybe" });
      }
      break;
    }
  }
  await run.finish();
  const json = completionOf(pieces);
  const status = statusOfError(json);
  return Response.json(clean(json, wanted), { status: status ?? 200, headers: NO_STORE });
}

/** The pieces as they come. The caller may leave; the host is heard to the end. */
function streamed(run: InferenceRun, first: string, { wanted }: ChatRequest): Response {
  const encoder = new TextEncoder();
  const told = new Told();
  let isLeft = false;
  let piece: string | undefined = first;
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const emit = (data: string) => controller.enqueue(encoder.encode(`data: ${data}\n\n`));
        const end = async () => {
          emit("[DONE]");
          controller.close();
          await run.finish();
        };
        try {
          if (piece === undefined) {
            const next = await run.next();
            if (next.kind === "data") piece = next.data;
            else if (next.kind === "done") return await end();
            else {
              const rest = told.rest(completionOf((await run.again()) ?? []));
              if (rest === undefined)
                throw new ZephError("stream_cut", { detail: "the host did not finish its answer" });
              for (const chunk of rest) emit(JSON.stringify(clean(chunk, wanted)));
              return await end();
            }
          }
          if (isLeft) return;
          for (const chunk of toChunks(piece)) {
            told.add(chunk.json);
            emit(chunk.json === undefined ? chunk.text : JSON.stringify(clean(chunk.json, wanted)));
          }
          piece = undefined;
        } catch (error) {
          controller.error(error);
          await run.finish();
        }
      },
      cancel() {
        isLeft = true;
        void run.drain().catch(() => undefined);
      },
    },
    { highWaterMark: 1 },
  );
  return new Response(body, { headers: { ...NO_STORE, "content-type": "text/event-stream" } });
}

type Json = Record<string, unknown>;

interface Chunk {
  readonly text: string;
  /** `undefined` for what is no JSON object; it is passed on as it came. */
  readonly json: Json | undefined;
}

function parseObject(text: string): Json | undefined {
  try {
    const json = parseForeignJson(text);
    return typeof json === "object" && json !== null && !Array.isArray(json) ? (json as Json) : undefined;
  } catch {
    return undefined;
  }
}

/** A whole answer in a stream (a host repeats what it finished in one piece) becomes one chunk. */
function toChunks(text: string): Chunk[] {
  const json = parseObject(text);
  if (json === undefined || json.object !== "chat.completion" || !Array.isArray(json.choices)) return [{ text, json }];
  return [
    {
      text,
      json: asChunk(
        json,
        choicesOf(json).map((choice) => ({ ...choice, delta: withIndexes(choice.message) })),
      ),
    },
  ];
}

function asChunk(json: Json, choices: readonly Json[]): Json {
  return {
    ...json,
    object: "chat.completion.chunk",
    choices: choices.map(({ message: _message, ...choice }) => choice),
  };
}

function withIndexes(message: unknown): Json {
  const { tool_calls, ...rest } = (message ?? {}) as Json;
  if (!Array.isArray(tool_calls)) return { ...rest };
  return { ...rest, tool_calls: tool_calls.map((call, index) => ({ index, ...call })) };
}

function choicesOf(json: Json): readonly Json[] {
  return Array.isArray(json.choices) ? (json.choices as Json[]) : [];
}

/** What a caller has been told, so that after a broken connection only the rest follows. */
class Told {
  readonly #text = new Map<number, { content: string; reasoning: string }>();
  #hasCalls = false;

  add(json: Json | undefined): void {
    if (json === undefined) return;
    for (const { index, delta } of choicesOf(json)) {
      const { content, reasoning_content, tool_calls } = (delta ?? {}) as Json;
      const known = this.#text.get(Number(index)) ?? { content: "", reasoning: "" };
      if (typeof content === "string") known.content += content;
      if (typeof reasoning_content === "string") known.reasoning += reasoning_content;
      if (tool_calls !== undefined && tool_calls !== null) this.#hasCalls = true;
      this.#text.set(Number(index), known);
    }
  }

  /** `undefined` when the answer is another one than the one that was begun. */
  rest(whole: Json): readonly Json[] | undefined {
    if (this.#hasCalls || choicesOf(whole).length === 0) return undefined;
    const choices: Json[] = [];
    for (const choice of choicesOf(whole)) {
      const message = withIndexes(choice.message);
      const { content = "", reasoning = "" } = this.#text.get(Number(choice.index)) ?? {};
      const [allContent, allReasoning] = [message.content ?? "", message.reasoning_content ?? ""];
      if (typeof allContent !== "string" || typeof allReasoning !== "string") return undefined;
      if (!allContent.startsWith(content) || !allReasoning.startsWith(reasoning)) return undefined;
      const delta = {
        ...message,
        content: allContent.slice(content.length),
        ...(allReasoning === "" ? {} : { reasoning_content: allReasoning.slice(reasoning.length) }),
      };
      choices.push({ ...choice, delta });
    }
    return [asChunk(whole, choices)];
  }
}

/** The pieces of one answer as a whole one: the one that is whole already, or chunks put together. */
function completionOf(pieces: readonly string[]): Json {
  const objects = pieces.map(parseObject).filter((json) => json !== undefined);
  const complete = objects.find(({ object, error }) => object === "chat.completion" || error !== undefined);
  if (complete !== undefined) return complete;
  // A pretty-printed answer lost the lines behind its first; what is left says so by itself.
  const chunks = objects.filter(({ choices }) => Array.isArray(choices));
  if (chunks.length === 0) return objects[0] ?? { error: { message: pieces.join("\n").slice(0, 2_000), code: 502 } };
  const messages = new Map<number, Json>();
  let usage: unknown;
  for (const chunk of chunks) {
    usage = chunk.usage ?? usage;
    for (const choice of choicesOf(chunk)) {
      const index = Number(choice.index ?? 0);
      const known = messages.get(index) ?? { index, message: { role: "assistant", content: "" }, finish_reason: null };
      messages.set(index, addDelta(known, choice));
    }
  }
  const { id, created, model } = chunks[0] ?? {};
  return { id, object: "chat.completion", created, model, choices: [...messages.values()], usage };
}

function addDelta(known: Json, { delta, finish_reason }: Json): Json {
  const message = { ...(known.message as Json) };
  for (const [name, value] of Object.entries((delta ?? {}) as Json)) {
    const before = message[name];
    if (name === "role") message.role = value;
    else if (name === "tool_calls") message[name] = addCalls(before, value);
    else if (typeof value === "string") message[name] = typeof before === "string" ? before + value : value;
    else if (value !== null) message[name] = value;
  }
  return { ...known, message, finish_reason: finish_reason ?? known.finish_reason };
}

function addCalls(before: unknown, pieces: unknown): unknown {
  const calls: Json[] = Array.isArray(before) ? [...before] : [];
  for (const { index, ...piece } of Array.isArray(pieces) ? (pieces as Json[]) : []) {
    const at = typeof index === "number" ? index : calls.length;
    const known = calls[at] ?? {};
    const [old, more] = [(known.function ?? {}) as Json, (piece.function ?? {}) as Json];
    const text = `${old.arguments ?? ""}${more.arguments ?? ""}`;
    calls[at] = { ...known, ...piece, function: { ...old, ...more, arguments: text } };
  }
  return calls;
}

/** The status for an answer that is an error of the model's server. */
function statusOfError({ error, choices }: Json): number | undefined {
  if (error === undefined || error === null || Array.isArray(choices)) return undefined;
  const code = Number((error as Json).code);
  return code >= 400 && code < 600 ? code : 502;
}

const LOGPROBS = ["logprobs", "prompt_logprobs"];
const TOKEN_IDS = ["token_ids", "prompt_token_ids"];

/** Takes out what the network has every model add for its own checks. */
function clean(json: Json, wanted: Wanted): Json {
  const names = [...(wanted.logprobs ? [] : LOGPROBS), ...(wanted.tokenIds ? [] : TOKEN_IDS)];
  if (names.length === 0) return json;
  const strip = (object: Json) => Object.fromEntries(Object.entries(object).filter(([name]) => !names.includes(name)));
  const choices = json.choices;
  if (!Array.isArray(choices)) return strip(json);
  return {
    ...strip(json),
    choices: choices.map((choice) => (typeof choice === "object" && choice !== null ? strip(choice) : choice)),
  };
}
