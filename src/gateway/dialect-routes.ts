import type { JsonObject } from "../base/json.ts";
import { ZephError } from "../errors.ts";
import type { BegunAnswer } from "../transport/exchange.ts";
import { chatBodyReader } from "../wire/chat-body.ts";
import type { ChatChunk, ChatCompletion } from "../wire/chat-shape.ts";
import { chatStreamReader } from "../wire/chat-stream.ts";
import { type Answer, type ByteSource, errorAnswer, firstOf, jsonAnswer, toZephError } from "./answer.ts";
import { completionEvents, completionFromWhole, completionsToChat } from "./dialects/completions.ts";
import { type AnswerEvents, asChunk, ESTIMATE_HEADERS, type Translation, wholeAnswer } from "./dialects/dialect.ts";
import { messagesRefusal, messagesToChat, messageTokens } from "./dialects/messages.ts";
import { messageEvents } from "./dialects/messages-events.ts";
import {
  isCodex,
  type ResponsesOptions,
  responseInputTokens,
  responsesRefusal,
  responsesToChat,
} from "./dialects/responses.ts";
import { compactFromWhole, compactToChat, responseEvents } from "./dialects/responses-events.ts";
import { sharedMemory, storedDocument } from "./dialects/shared-memory.ts";
import { type Route, readJsonBody, readUsage, shownNames } from "./exchange.ts";
import { forwardChat, type PreparedChat, prepareChat } from "./routes.ts";
import type { GatewayState, RouteContext } from "./state.ts";
import { isEventStream, isGood, noteUpstream, readText, streamHeaders } from "./upstream.ts";

/** The APIs besides Chat Completions that a model can be asked in. */
type DialectName = "responses" | "compact" | "messages" | "completions";

/** A request of another API, understood: what the model is asked, and how its answer is told. */
interface Spoken extends Pick<Translation<unknown>, "chat" | "dropped"> {
  /** Undefined where the API has no stream. */
  readonly events: (() => AnswerEvents) | undefined;
  readonly whole: (completion: ChatCompletion) => JsonObject;
}

const DIALECTS: Readonly<Record<DialectName, (body: JsonObject, dialects: ResponsesOptions) => Spoken>> = {
  responses(body, dialects) {
    const { context, ...spoken } = responsesToChat(body, dialects);
    const events = () => responseEvents(context, dialects);
    return { ...spoken, events, whole: (completion) => wholeAnswer(events(), completion) };
  },
  compact(body, dialects) {
    const { context, ...spoken } = compactToChat(body, dialects);
    return { ...spoken, events: undefined, whole: (answer) => compactFromWhole(answer, context, dialects.stamps) };
  },
  messages(body, dialects) {
    const { context, ...spoken } = messagesToChat(body, dialects);
    const events = () => messageEvents(context, dialects.stamps);
    return { ...spoken, events, whole: (completion) => wholeAnswer(events(), completion) };
  },
  completions(body, { stamps }) {
    const { context, ...spoken } = completionsToChat(body);
    const whole = (completion: ChatCompletion) => completionFromWhole(completion, context, stamps);
    return { ...spoken, events: () => completionEvents(context, stamps), whole };
  },
};

/** A request of another API: body, its chat, the model, the network's rules, upstream, and the answer in that API's words. */
export async function dialectRoute(context: RouteContext, name: DialectName): Promise<Answer> {
  const { state, exchange, request } = context;
  const { value } = await readJsonBody(request, { maxBytes: state.maxBodyBytes, reserve: exchange.reserve });
  const dialects = await dialectsFor(state, name, value);
  const spoken = DIALECTS[name]({ ...value, model: value.model ?? state.options.defaultModel }, dialects);
  const chat = { text: JSON.stringify(spoken.chat), value: spoken.chat };
  const prepared = await prepareChat(chat, state.options, state);
  exchange.setModel(prepared.model);
  exchange.record.stream = prepared.stream;
  exchange.record.removed = shownNames([...spoken.dropped, ...prepared.removed]);
  exchange.record.changed = shownNames(prepared.changed);
  if (prepared.stream && spoken.events !== undefined) return streamed(context, name, prepared, spoken.events());
  return whole(context, name, prepared, spoken);
}

/** What the dialects share; what the request refers to is fetched where several processes keep it together. */
async function dialectsFor(
  { dialects, options: { responses } }: GatewayState,
  name: DialectName,
  body: JsonObject,
): Promise<ResponsesOptions> {
  const isAlone = responses === undefined || (name !== "responses" && name !== "compact");
  return isAlone ? dialects : { ...dialects, memory: await sharedMemory(responses, body) };
}

async function whole(
  context: RouteContext,
  name: DialectName,
  prepared: PreparedChat,
  spoken: Spoken,
): Promise<Answer> {
  const begun = await forwardChat(
    context,
    context.state.options.upstreamMode === "always-stream" ? asStream(prepared) : prepared,
  );
  const headers = noteUpstream(context, begun.headers);
  if (!isGood(begun)) return dialectRefusal(context, name, await upstreamError(context, begun), headers);
  const completion = await readWhole(begun, context, prepared.request);
  context.exchange.record.usage = readUsage(completion, begun.headers);
  return jsonAnswer(spoken.whole(completion), 200, { ...headers, "content-type": "application/json" });
}

function asStream(prepared: PreparedChat): Pick<PreparedChat, "text" | "bytes" | "request"> {
  const request = { ...prepared.request, stream: true, stream_options: { include_usage: true } };
  return { text: JSON.stringify(request), bytes: undefined, request };
}

/**
 * A stream. A refusal that comes within the heartbeat's interval keeps its status; after that the answer begins without
 * the upstream, and a refusal arrives as the dialect's own event.
 */
async function streamed(
  context: RouteContext,
  name: DialectName,
  prepared: PreparedChat,
  events: AnswerEvents,
): Promise<Answer> {
  const { clock, heartbeatMs } = context.state;
  const upstream = forwardChat(context, prepared);
  const first = await firstOf(upstream, clock, heartbeatMs);
  const headers = first === "silence" ? {} : noteUpstream(context, first.headers);
  if (first !== "silence" && !isGood(first)) {
    return dialectRefusal(context, name, await upstreamError(context, first), headers);
  }
  const filler = { piece: events.ping(), afterMs: heartbeatMs };
  const body = { ...eventSource(context, prepared, events, upstream), filler };
  return { status: 200, headers: { ...headers, ...streamHeaders() }, body };
}

function eventSource(
  context: RouteContext,
  { request }: PreparedChat,
  events: AnswerEvents,
  upstream: Promise<BegunAnswer>,
): ByteSource {
  const { exchange } = context;
  let reader: ChunkReader | undefined;
  let state: "new" | "open" | "over" = "new";
  let hasLeft = false;

  async function open(): Promise<ChunkReader> {
    const begun = await upstream;
    if (!isGood(begun)) throw await upstreamError(context, begun);
    return readChunks(begun, context, request);
  }

  /** The next words; undefined at the end. */
  async function words(): Promise<string | undefined> {
    reader ??= await open();
    for (;;) {
      const chunks = await reader.next();
      if (chunks === undefined) return undefined;
      let text = "";
      for (const chunk of chunks) {
        text += events.add(chunk);
        if (chunk.usage) exchange.record.usage = readUsage(chunk, (await upstream).headers);
      }
      if (text !== "") return text;
    }
  }

  return {
    async next() {
      if (state === "over") return undefined;
      if (state === "new") {
        state = "open";
        const begin = events.begin();
        if (begin !== "") return begin;
      }
      try {
        const text = await words();
        exchange.firstByte();
        if (text !== undefined) return text;
        state = "over";
        const end = events.end();
        exchange.end("complete");
        return end;
      } catch (thrown) {
        state = "over";
        const error = toZephError(thrown);
        exchange.record.errorCode = error.code;
        exchange.end(hasLeft || context.request.hasLeft ? "caller-left" : "failed");
        return events.fail(error);
      }
    },
    cancel(reason) {
      hasLeft = true;
      state = "over";
      exchange.end("caller-left");
      if (reader !== undefined) return reader.cancel(reason);
      // A server has aborted the request by now. Without one, what comes late is sent back.
      upstream.then(
        (begun) => begun.cancel(reason),
        () => {},
      );
    },
  };
}

/** What the upstream refused with. A 401 is about the provider's key, while the caller has only the local one to look at. */
async function upstreamError({ state, exchange }: RouteContext, begun: BegunAnswer): Promise<ZephError> {
  const error = begun.error ?? new ZephError("upstream_error");
  exchange.record.errorCode = error.code;
  // Read to its end, so that the connection can be used again.
  await readText(begun).catch(() => "");
  if (error.httpStatus !== 401) return error;
  const { code, detail = "", summary, hint } = error;
  const whose = `the local key is good; it is the key of the provider "${state.options.providerName ?? "gonka"}" that was refused`;
  return new ZephError(code, { detail: detail === "" || detail === summary ? whose : `${detail} (${whose})`, hint });
}

/** GET and DELETE /v1/responses/{id}, from the memory that `previous_response_id` is answered from. */
export async function responseRoute({ state, request }: RouteContext, id: string): Promise<Answer> {
  const { memory } = state.dialects;
  const { responses } = state.options;
  const found = responses === undefined ? memory.find(id)?.document : await storedDocument(responses, id);
  if (found === undefined) throw new ZephError("response_not_found");
  if (request.method !== "DELETE") return jsonAnswer(found);
  memory.forget(id);
  await responses?.remove(id);
  return jsonAnswer({ id, object: "response", deleted: true });
}

/** POST /v1/messages/count_tokens and /v1/responses/input_tokens: an estimate, free, and said to be one. */
export async function countRoute(
  { state, exchange, request }: RouteContext,
  of: "messages" | "responses",
): Promise<Answer> {
  const { value } = await readJsonBody(request, { maxBytes: state.maxBodyBytes, reserve: exchange.reserve });
  const dialects = await dialectsFor(state, of, value);
  const counted = of === "messages" ? messageTokens(value) : responseInputTokens(value, dialects);
  return jsonAnswer(counted, 200, ESTIMATE_HEADERS);
}

/** An answer's chunks, pulled. */
interface ChunkReader {
  /** What has arrived, at times nothing; undefined at the end. Rejects with what the answer broke off with. */
  next(): Promise<readonly ChatChunk[] | undefined>;
  cancel(reason?: unknown): void;
}

/** The chunks of an answer that was asked for as a stream, in whatever form it came. */
function readChunks(begun: BegunAnswer, context: RouteContext, request: JsonObject): ChunkReader {
  if (!isEventStream(begun)) return wholeAsChunks(begun, context, request);
  const reader = chatStreamReader({ request: () => request, createdSeconds: nowSeconds(context) });
  let isOver = false;

  function ended(): readonly ChatChunk[] {
    const { pieces, end } = reader.end();
    isOver = true;
    if (end.error !== undefined) throw end.error;
    return chunksIn(pieces);
  }
  return {
    async next() {
      if (isOver) return undefined;
      if (reader.error !== undefined) throw reader.error;
      const bytes = await begun.next();
      if (bytes === undefined) return ended();
      const chunks = chunksIn(reader.push(bytes));
      if (!reader.isDone) return chunks;
      // Everything is said. The caller need not wait for the connection, which is used again once it is read out.
      readText(begun).catch(() => {
        // Nothing that was said is lost.
      });
      return [...chunks, ...ended()];
    },
    cancel: (reason) => begun.cancel(reason),
  };
}

/** A whole answer, from whatever form the upstream gave it. Throws what it broke off with, and `bad_response`. */
async function readWhole(begun: BegunAnswer, context: RouteContext, request: JsonObject): Promise<ChatCompletion> {
  const reader = chatBodyReader({
    asked: "whole",
    contentType: begun.headers.get("content-type"),
    request: () => request,
    createdSeconds: nowSeconds(context),
  });
  for (let bytes = await begun.next(); bytes !== undefined; bytes = await begun.next()) reader.push(bytes);
  const { end, answer } = reader.end();
  if (end.error !== undefined) throw end.error;
  if (answer === undefined) throw new ZephError("bad_response", { detail: "the answer holds no choices" });
  return answer;
}

function wholeAsChunks(begun: BegunAnswer, context: RouteContext, request: JsonObject): ChunkReader {
  let isOver = false;
  return {
    async next() {
      if (isOver) return undefined;
      isOver = true;
      return [asChunk(await readWhole(begun, context, request))];
    },
    cancel() {
      // Reading it ends by itself: the caller's leaving ends the exchange too.
    },
  };
}

type Pieces = ReturnType<ReturnType<typeof chatStreamReader>["push"]>;

function chunksIn(pieces: Pieces): readonly ChatChunk[] {
  return pieces.flatMap((piece) => (piece.type === "chunk" ? [piece.chunk] : []));
}

function nowSeconds({ state }: RouteContext): number {
  return Math.floor(state.clock.nowMs() / 1000);
}

/** A refusal in the words of the API that was asked, wherever in the gateway it arose. */
export function dialectRefusal(
  { exchange, request }: Pick<RouteContext, "exchange" | "request">,
  route: Route["kind"],
  error: ZephError,
  headers: Readonly<Record<string, string>> = {},
): Answer {
  const { requestId } = exchange.record;
  const plain = errorAnswer(error, { param: fieldIn(error), headers: { ...headers, "content-type": JSON_TYPE } });
  switch (route) {
    case "messages":
    case "count-tokens": {
      const { status, body } = messagesRefusal(error, requestId);
      return { status, headers: plain.headers, body: JSON.stringify(body) };
    }
    case "responses":
    case "response":
    case "compact":
    case "input-tokens": {
      const { status, body } = responsesRefusal(error, { isCodex: isCodex(request.headers), param: fieldIn(error) });
      return { status, headers: plain.headers, body: JSON.stringify(body) };
    }
    default:
      return plain;
  }
}

const JSON_TYPE = "application/json";

/** The field an error is about: details of refused fields begin with its path. */
function fieldIn({ code, detail = "" }: ZephError): string | undefined {
  if (code !== "invalid_request" && code !== "unsupported_capability") return undefined;
  return /^((?:[a-z][\w-]*)(?:[\w.[\]]*)): /.exec(detail)?.[1];
}
