import { errorBehind } from "../../client/error-response.ts";
import { ZephError } from "../../errors/zeph-error.ts";
import { type Answer, type ByteSource, jsonAnswer } from "../answer.ts";
import { compactFromWhole, compactToChat } from "../dialects/compact.ts";
import { completionEvents, completionFromWhole, completionsToChat } from "../dialects/completions.ts";
import { type AnswerEvents, type ChatCompletion, type Translation, wholeAnswer } from "../dialects/dialect.ts";
import { messagesToChat } from "../dialects/messages.ts";
import { messageEvents } from "../dialects/messages-events.ts";
import { responsesToChat } from "../dialects/responses.ts";
import { responseEvents } from "../dialects/responses-events.ts";
import { toZephError } from "../error-answer.ts";
import { firstOf } from "../first-of.ts";
import { forwardText } from "../forward-text.ts";
import type { GatewayState, RouteContext } from "../gateway-state.ts";
import { type PreparedChat, prepareChat } from "../prepare-chat.ts";
import { type JsonObject, readJsonBody } from "../read-json-body.ts";
import { shownNames } from "../shown-names.ts";
import { readUsage } from "../usage.ts";
import { type ChunkReader, readChunks, readWhole } from "./answer-chunks.ts";
import { dialectRefusal } from "./dialect-refusal.ts";
import { noteUpstream, streamHeaders } from "./upstream-answer.ts";

/** The APIs besides Chat Completions that a model can be asked in. */
export type DialectName = "responses" | "compact" | "messages" | "completions";

/** A request of another API, understood: what the model is asked, and how its answer is told. */
interface Spoken extends Pick<Translation<unknown>, "chat" | "dropped"> {
  /** Undefined where the API has no stream. */
  readonly events: (() => AnswerEvents) | undefined;
  readonly whole: (completion: ChatCompletion) => JsonObject;
}

const DIALECTS: Readonly<Record<DialectName, (body: JsonObject, state: GatewayState) => Spoken>> = {
  responses(body, { dialects }) {
    const { context, ...spoken } = responsesToChat(body, dialects);
    const events = () => responseEvents(context, dialects);
    return { ...spoken, events, whole: (completion) => wholeAnswer(events(), completion) };
  },
  compact(body, { dialects }) {
    const { context, ...spoken } = compactToChat(body, dialects);
    return { ...spoken, events: undefined, whole: (answer) => compactFromWhole(answer, context, dialects.stamps) };
  },
  messages(body, { dialects }) {
    const { context, ...spoken } = messagesToChat(body, dialects);
    const events = () => messageEvents(context, dialects.stamps);
    return { ...spoken, events, whole: (completion) => wholeAnswer(events(), completion) };
  },
  completions(body, { dialects: { stamps } }) {
    const { context, ...spoken } = completionsToChat(body);
    const whole = (completion: ChatCompletion) => completionFromWhole(completion, context, stamps);
    return { ...spoken, events: () => completionEvents(context, stamps), whole };
  },
};

/** A request of another API: body, its chat, the model, the network's rules, upstream, and the answer in that API's words. */
export async function dialectRoute(context: RouteContext, name: DialectName): Promise<Answer> {
  const { state, exchange, request } = context;
  const { value } = await readJsonBody(request, { maxBytes: state.maxBodyBytes, reserve: exchange.reserve });
  const spoken = DIALECTS[name]({ ...value, model: value.model ?? state.options.defaultModel }, state);
  const chat = { text: JSON.stringify(spoken.chat), value: spoken.chat };
  const prepared = await prepareChat(chat, state.options, state.keepToolType);
  exchange.setModel(prepared.model);
  exchange.record.stream = prepared.stream;
  exchange.record.removed = shownNames([...spoken.dropped, ...prepared.removed]);
  exchange.record.changed = shownNames(prepared.changed);
  if (prepared.stream && spoken.events !== undefined) return streamed(context, name, prepared, spoken.events());
  return whole(context, name, prepared, spoken);
}

async function whole(
  context: RouteContext,
  name: DialectName,
  prepared: PreparedChat,
  spoken: Spoken,
): Promise<Answer> {
  const asked =
    context.state.options.upstreamMode === "always-stream"
      ? JSON.stringify({ ...prepared.request, stream: true, stream_options: { include_usage: true } })
      : prepared.text;
  const response = await forwardText(context, "/chat/completions", asked);
  const headers = noteUpstream(context, response.headers);
  if (!response.ok) return dialectRefusal(context, name, await upstreamError(context, response), headers);
  const completion = await readWhole(response, context, prepared.request);
  context.exchange.record.usage = readUsage(completion, response.headers);
  return jsonAnswer(spoken.whole(completion), 200, { ...headers, "content-type": "application/json" });
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
  const upstream = forwardText(context, "/chat/completions", prepared.text);
  const first = await firstOf(upstream, clock, heartbeatMs);
  const headers = first === "silence" ? {} : noteUpstream(context, first.headers);
  if (first !== "silence" && !first.ok) {
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
  upstream: Promise<Response>,
): ByteSource {
  const { exchange } = context;
  let reader: ChunkReader | undefined;
  let state: "new" | "open" | "over" = "new";
  let hasLeft = false;

  async function open(): Promise<ChunkReader> {
    const response = await upstream;
    if (!response.ok) throw await upstreamError(context, response);
    return readChunks(response, context, request);
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
        exchange.end(hasLeft || context.request.signal.aborted ? "caller-left" : "failed");
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
        (response) => response.body?.cancel(reason),
        () => {},
      );
    },
  };
}

/** What the upstream refused with. A 401 is about the provider's key, while the caller has only the local one to look at. */
async function upstreamError({ state, exchange }: RouteContext, response: Response): Promise<ZephError> {
  const error = errorBehind(response) ?? new ZephError("upstream_error");
  exchange.record.errorCode = error.code;
  // Read to its end, so that the connection can be used again.
  await response.text().catch(() => "");
  if (error.httpStatus !== 401) return error;
  const { code, detail = "", summary, hint } = error;
  const whose = `the local key is good; it is the key of the provider "${state.options.providerName ?? "gonka"}" that was refused`;
  return new ZephError(code, { detail: detail === "" || detail === summary ? whose : `${detail} (${whose})`, hint });
}
