import type { Clock } from "../base/time.ts";
import { ZephError } from "../errors.ts";
import {
  type ChatRequest,
  type Engine,
  type EngineEvent,
  type EngineUsage,
  type SandboxModel,
  thinkTagger,
  usageFields,
} from "./engine.ts";

/**
 * Answers a chat request in the form it asks for, JSON or SSE. Rejects with what the engine threw when it failed
 * before its first event; a later failure of a stream becomes an error object inside the stream.
 */
export async function answerChat(request: ChatRequest, options: AnswerOptions): Promise<Response> {
  const events = options.engine.complete(request, options.signal)[Symbol.asyncIterator]();
  if (request.stream !== true) return Response.json(await chatCompletion(resume(undefined, events), request, options));
  // The status line must not promise an answer before the engine has begun one.
  const first = await events.next();
  const frames = chatFrames(resume(first, events), request, options);
  return new Response(streamBody(frames), {
    headers: {
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-cache",
      // Keeps the server from gathering chunks before it sends the first.
      "transfer-encoding": "chunked",
    },
  });
}

async function* resume(
  first: IteratorResult<EngineEvent> | undefined,
  rest: AsyncIterator<EngineEvent>,
): AsyncGenerator<EngineEvent> {
  try {
    for (let step = first ?? (await rest.next()); step.done !== true; step = await rest.next()) yield step.value;
  } finally {
    await rest.return?.();
  }
}

/**
 * Where a stream tells its usage. `last-chunk`: in a chunk of its own before `[DONE]`, when the caller asked with
 * `stream_options.include_usage` (current GonkaGate documentation); `always`: the same, asked or not;
 * `on-finish-chunk`: on the last choice chunk (older documentation); `none`: nowhere.
 */
export type UsagePlacement = "last-chunk" | "always" | "on-finish-chunk" | "none";

/** What answering one chat request takes, for the fake broker and the fake nodes alike. */
interface AnswerOptions {
  readonly engine: Engine;
  readonly model: SandboxModel;
  /** Such as `chatcmpl-…`; the network's gateways send `devshard-…`. */
  readonly id: string;
  readonly usage: UsagePlacement;
  readonly costs: "with-costs" | "no-costs";
  readonly clock: Clock;
  /** Comment lines while the engine is silent, this far apart. */
  readonly keepAliveMs: number;
  /** Aborted when the client goes away. */
  readonly signal: AbortSignal;
}

interface ToolCall {
  id: string;
  name: string;
  argumentsJson: string;
}

/** The whole answer as one `chat.completion` object. */
async function chatCompletion(
  events: AsyncIterable<EngineEvent>,
  request: ChatRequest,
  options: AnswerOptions,
): Promise<object> {
  const { model } = options;
  const tagger = model.reasoning === "think-tags" ? thinkTagger() : undefined;
  let content = "";
  let reasoning = "";
  let finish: Extract<EngineEvent, { type: "finish" }> | undefined;
  const calls: ToolCall[] = [];
  for await (const event of events) {
    if (event.type === "finish") finish = event;
    else if (event.type === "tool-call") {
      content += tagger?.close() ?? "";
      addToolCall(calls, event);
    } else if (tagger !== undefined) content += tagger.write(event);
    else if (event.type === "reasoning") reasoning += event.text;
    else content += event.text;
  }
  const message = {
    role: "assistant",
    content: calls.length > 0 && content === "" ? null : content,
    ...(reasoning === "" ? {} : { [model.reasoning ?? "reasoning_content"]: reasoning }),
    ...(calls.length === 0 ? {} : { tool_calls: calls.map(toWire) }),
  };
  return {
    id: options.id,
    object: "chat.completion",
    created: Math.floor(options.clock.nowMs() / 1000),
    model: request.model,
    choices: [{ index: 0, message, finish_reason: finish?.reason ?? "stop" }],
    ...(finish === undefined || options.usage === "none"
      ? {}
      : { usage: usageFields(finish.usage, model, options.costs) }),
  };
}

function addToolCall(calls: ToolCall[], event: Extract<EngineEvent, { type: "tool-call" }>): void {
  const call = calls[event.index] ?? { id: "", name: "", argumentsJson: "" };
  call.id = event.id ?? call.id;
  call.name = event.name ?? call.name;
  call.argumentsJson += event.argumentsJson;
  calls[event.index] = call;
}

function toWire(call: ToolCall): object {
  return { id: call.id, type: "function", function: { name: call.name, arguments: call.argumentsJson } };
}

/** One SSE frame around a JSON value. */
export function dataFrame(value: unknown): string {
  return `data: ${JSON.stringify(value)}\n\n`;
}

const DONE_FRAME = "data: [DONE]\n\n";

/** The answer as SSE frames of `chat.completion.chunk`, each string one frame with its blank line. */
async function* chatFrames(
  events: AsyncIterable<EngineEvent>,
  request: ChatRequest,
  options: AnswerOptions,
): AsyncGenerator<string> {
  yield KEEP_ALIVE;
  const created = Math.floor(options.clock.nowMs() / 1000);
  const envelope = { id: options.id, object: "chat.completion.chunk", created, model: request.model };
  const chunk = (delta: object, finishReason: string | null = null, usage?: object) =>
    dataFrame({
      ...envelope,
      choices: [{ index: 0, delta, finish_reason: finishReason }],
      ...(usage === undefined ? {} : { usage }),
    });
  const toDelta = deltaWriter(options);
  let used: EngineUsage | undefined;
  try {
    yield chunk({ role: "assistant", content: "" });
    for await (const event of withKeepAlives(events, options.clock, options.keepAliveMs)) {
      if (event === KEEP_ALIVE) yield KEEP_ALIVE;
      else if (event.type === "finish") {
        used = event.usage;
        const onChunk = options.usage === "on-finish-chunk";
        yield chunk({}, event.reason, onChunk ? usageFields(used, options.model, options.costs) : undefined);
      } else yield chunk(toDelta(event));
    }
  } catch (error) {
    if (options.signal.aborted) return;
    yield dataFrame(errorObject(failureInStream(error)));
    return;
  }
  if (used !== undefined && wantsUsageChunk(request, options)) {
    yield dataFrame({ ...envelope, choices: [], usage: usageFields(used, options.model, options.costs) });
  }
  yield DONE_FRAME;
}

function wantsUsageChunk(request: ChatRequest, options: AnswerOptions): boolean {
  if (options.usage === "always") return true;
  const asked = request.stream_options;
  const isAsked =
    typeof asked === "object" && asked !== null && "include_usage" in asked && asked.include_usage === true;
  return options.usage === "last-chunk" && isAsked;
}

function deltaWriter(options: AnswerOptions): (event: Exclude<EngineEvent, { type: "finish" }>) => object {
  const form = options.model.reasoning ?? "reasoning_content";
  const tagger = form === "think-tags" ? thinkTagger() : undefined;
  return (event) => {
    if (event.type === "tool-call") {
      const closing = tagger?.close() ?? "";
      return { ...(closing === "" ? {} : { content: closing }), tool_calls: [toolCallDelta(event)] };
    }
    if (tagger !== undefined) return { content: tagger.write(event) };
    return event.type === "reasoning" ? { [form]: event.text } : { content: event.text };
  };
}

function toolCallDelta(event: Extract<EngineEvent, { type: "tool-call" }>): object {
  return {
    index: event.index,
    ...(event.id === undefined ? {} : { id: event.id, type: "function" }),
    function: { ...(event.name === undefined ? {} : { name: event.name }), arguments: event.argumentsJson },
  };
}

function failureInStream(error: unknown) {
  const message = ZephError.is(error) ? error.message : "The upstream failed while answering.";
  return { status: 502, code: "upstream_error", message };
}

/** A comment frame: keeps proxies from closing a connection while the model thinks. */
export const KEEP_ALIVE = ": keep-alive\n\n";

/** The same items, with {@link KEEP_ALIVE} in between whenever `intervalMs` passed without one. */
export async function* withKeepAlives<Item>(
  items: AsyncIterable<Item>,
  clock: Clock,
  intervalMs: number,
): AsyncGenerator<Item | typeof KEEP_ALIVE> {
  const iterator = items[Symbol.asyncIterator]();
  try {
    for (;;) {
      const pending = iterator.next();
      let step = await nextOrSilence(pending, clock, intervalMs);
      while (step === "silence") {
        yield KEEP_ALIVE;
        step = await nextOrSilence(pending, clock, intervalMs);
      }
      if (step.done === true) return;
      yield step.value;
    }
  } finally {
    await iterator.return?.();
  }
}

function nextOrSilence<Result>(pending: Promise<Result>, clock: Clock, intervalMs: number) {
  return new Promise<Result | "silence">((resolve, reject) => {
    const cancel = clock.schedule(intervalMs, () => resolve("silence"));
    pending.then(resolve, reject).finally(cancel);
  });
}

const encoder = new TextEncoder();

/** A response body of `pieces`. One is made only when the client reads; a client that leaves ends the generator. */
export function streamBody(
  pieces: AsyncIterator<string | Uint8Array<ArrayBuffer>>,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  return new ReadableStream(
    {
      async pull(controller) {
        const step = await pieces.next();
        if (step.done === true) controller.close();
        else controller.enqueue(typeof step.value === "string" ? encoder.encode(step.value) : step.value);
      },
      async cancel() {
        await pieces.return?.();
      },
    },
    // Nothing ahead of the reader: what was given out has been written when the next piece is asked for.
    { highWaterMark: 0 },
  );
}

/** A refusal as a broker words it. */
export interface BrokerRefusal {
  readonly status: number;
  readonly message: string;
  readonly code?: string;
  readonly type?: string;
  readonly param?: string;
  readonly metadata?: Readonly<Record<string, unknown>>;
  readonly headers?: Readonly<Record<string, string>>;
}

const TYPES: Readonly<Record<number, string>> = {
  401: "authentication_error",
  402: "billing_error",
  403: "permission_error",
  429: "rate_limit_error",
};

function typeOf(status: number): string {
  return TYPES[status] ?? (status >= 500 ? "server_error" : "invalid_request_error");
}

/** The error object inside a body or a stream, in the shape of `/v1/*` (GonkaGate documentation, 2026). */
export function errorObject(refusal: BrokerRefusal): Record<string, unknown> {
  return {
    error: {
      message: refusal.message,
      type: refusal.type ?? typeOf(refusal.status),
      code: refusal.code ?? null,
      param: refusal.param ?? null,
      ...(refusal.metadata === undefined ? {} : { metadata: refusal.metadata }),
    },
  };
}

/** The answer of `/v1/*` to a refused request. */
export function refusalResponse(refusal: BrokerRefusal): Response {
  return Response.json(errorObject(refusal), { status: refusal.status, headers: { ...refusal.headers } });
}

/** The answer of `/api/*`, which has another shape. */
export function accountRefusalResponse(refusal: BrokerRefusal, requestId: string, nowMs: number): Response {
  const { message, status } = refusal;
  const error = { message, statusCode: status, requestId, timestamp: new Date(nowMs).toISOString() };
  return Response.json({ success: false, error }, { status, headers: { ...refusal.headers } });
}

/** What a web server in front of a broker answers to a path it does not know: HTML, no JSON. */
export function htmlPage(status: number, title: string): Response {
  const heading = `${status} ${title}`;
  const page = `<html>\r\n<head><title>${heading}</title></head>\r\n<body>\r\n<center><h1>${heading}</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n`;
  return new Response(page, { status, headers: { "content-type": "text/html" } });
}
