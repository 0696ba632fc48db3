import { hash } from "node:crypto";
import { asObject, type JsonObject, parseForeignJson } from "../base/json.ts";
import { ZephError } from "../errors.ts";
import { cleanChatSteps } from "../rules/clean.ts";
import type { BegunAnswer } from "../transport/exchange.ts";
import { chatAssembler } from "../wire/chat-body.ts";
import { chatStreamReader } from "../wire/chat-stream.ts";
import { nearest, parseModels } from "../wire/models.ts";
import { type Answer, type ByteSource, firstOf, HEARTBEAT, isByteSource, jsonAnswer } from "./answer.ts";
import { refuseTokenInput } from "./dialects/completions.ts";
import { type JsonBody, readJsonBody, readUsage, shownNames, takeTurns } from "./exchange.ts";
import type { GatewayState, LocalGatewayOptions, RouteContext } from "./state.ts";
import {
  begin,
  errorEvent,
  forward,
  isEventStream,
  isGood,
  noteUpstream,
  readText,
  requestHeaders,
  streamHeaders,
  upstreamAnswer,
  watcher,
} from "./upstream.ts";

/** POST /v1/chat/completions: body, model, the network's rules, upstream, answer; in this order. */
export async function chatRoute(context: RouteContext): Promise<Answer> {
  const { state, exchange, request } = context;
  const prepared = await prepareChat(
    await readJsonBody(request, { maxBytes: state.maxBodyBytes, reserve: exchange.reserve }),
    state.options,
    state,
  );
  record(context, prepared);
  if (prepared.stream) return streamAnswer(context, prepared);
  if (state.options.upstreamMode === "always-stream") return assembledAnswer(context, prepared.request);
  return upstreamAnswer(context, await forwardChat(context, prepared));
}

/** Asks the upstream for what was prepared. */
export function forwardChat(
  context: RouteContext,
  { text, bytes, request }: Pick<PreparedChat, "text" | "bytes" | "request">,
): Promise<BegunAnswer> {
  const asked = request.stream === true ? "stream" : "whole";
  return forward(context, "/chat/completions", { text, bytes, chat: { asked, request: () => request } });
}

function record({ exchange }: RouteContext, { model, stream, removed, changed }: PreparedChat): void {
  exchange.setModel(model);
  exchange.record.stream = stream;
  exchange.record.removed = shownNames(removed);
  exchange.record.changed = shownNames(changed);
}

/** A chat request made ready to be sent. */
export interface PreparedChat {
  /** The body; the caller's own text when nothing had to be changed. */
  readonly text: string;
  /** The text as bytes, where it is the caller's own. */
  readonly bytes: Uint8Array | undefined;
  readonly request: JsonObject;
  readonly model: string;
  readonly stream: boolean;
  readonly removed: readonly string[];
  readonly changed: readonly string[];
}

/** A longer list is judged anew each time: verdicts hold the tools they changed, and must fit into a small process. */
const MAX_REMEMBERED_TOOL_BYTES = 256 * 1024;

/**
 * Chooses the model and cleans the request up. Throws `model_missing`, `invalid_request`, `unsupported_capability`.
 */
export async function prepareChat(
  { text, value, bytes, toolBytes }: JsonBody,
  options: LocalGatewayOptions,
  { keepToolType, toolsMemory: memory }: Pick<GatewayState, "keepToolType" | "toolsMemory">,
): Promise<PreparedChat> {
  const model = chooseModel(value.model, options);
  const named = model === value.model ? value : { ...value, model };
  const isKept = toolBytes !== undefined && toolBytes.byteLength <= MAX_REMEMBERED_TOOL_BYTES;
  const tools = isKept ? { key: hash("sha256", toolBytes), memory } : undefined;
  const { request, removed, changed } =
    options.cleanUp === "none"
      ? { request: named, removed: [], changed: [] }
      : await inTurns(cleanChatSteps(named, { access: options.access ?? "broker", keepToolType, tools }), text);
  await takeTurns(text);
  return {
    text: request === value ? text : JSON.stringify(request),
    bytes: request === value ? bytes : undefined,
    request,
    model,
    stream: request.stream === true,
    removed,
    changed,
  };
}

/** Does the steps of a large request's work in turns with everything else. */
async function inTurns<Result>(steps: Generator<undefined, Result>, text: string): Promise<Result> {
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
    await takeTurns(text);
  }
}

function chooseModel(given: unknown, { aliases, defaultModel }: LocalGatewayOptions): string {
  const named = typeof given === "string" && given.trim() !== "" ? given : defaultModel;
  if (named === undefined) throw new ZephError("model_missing", { detail: "the request names none" });
  return meantModel(named, aliases);
}

/** What a caller's name for a model stands for: by an alias of just this name, else by the longest `prefix*` it begins with. */
function meantModel(named: string, aliases: LocalGatewayOptions["aliases"] = {}): string {
  if (Object.hasOwn(aliases, named)) return aliases[named] ?? named;
  const prefixes = Object.keys(aliases).filter((alias) => alias.endsWith("*") && named.startsWith(alias.slice(0, -1)));
  const longest = prefixes.sort((a, b) => b.length - a.length)[0];
  return longest === undefined ? named : (aliases[longest] ?? named);
}

/**
 * A stream. The caller gets the upstream's own status when it comes within the heartbeat's interval. After that the
 * answer begins without it, with comments that keep the connection alive, and a refusal arrives as an event.
 */
async function streamAnswer(context: RouteContext, prepared: PreparedChat): Promise<Answer> {
  const { state } = context;
  const upstream = forwardChat(context, prepared);
  const first = await firstOf(upstream, state.clock, state.heartbeatMs);
  const answer =
    first === "silence"
      ? { status: 200, headers: streamHeaders(), body: lateStream(context, upstream) }
      : await upstreamAnswer(context, first);
  if (!isByteSource(answer.body)) return answer;
  return { ...answer, body: { ...answer.body, filler: { piece: HEARTBEAT, afterMs: state.heartbeatMs } } };
}

/** A stream whose upstream has not answered yet. */
function lateStream(context: RouteContext, upstream: Promise<BegunAnswer>): ByteSource {
  let begun = false;
  let hasLeft = false;
  let source: ByteSource | undefined;
  const { onEnd } = watcher(context);
  return {
    async next() {
      if (!begun) {
        begun = true;
        return HEARTBEAT;
      }
      try {
        source ??= await lateSource(context, await upstream);
      } catch (error) {
        onEnd({ outcome: hasLeft || context.request.hasLeft ? "caller-left" : "failed", error });
        source = { next: async () => undefined, cancel: () => {} };
        return errorEvent(error);
      }
      return source.next();
    },
    cancel(reason) {
      hasLeft = true;
      onEnd({ outcome: "caller-left" });
      if (source !== undefined) return source.cancel(reason);
      // A server has aborted the request by now. Without one, what comes late is sent back.
      upstream.then(
        (begun) => begun.cancel(reason),
        () => {},
      );
    },
  };
}

async function lateSource(context: RouteContext, begun: BegunAnswer): Promise<ByteSource> {
  const { body } = await upstreamAnswer(context, begun);
  if (isByteSource(body) && isEventStream(begun)) return body;
  if (isGood(begun)) throw new ZephError("bad_response", { detail: "no stream came where one was asked for" });
  context.exchange.firstByte();
  context.exchange.end("failed");
  const events = [`data: ${String(body)}\n\n`];
  return { next: async () => events.shift(), cancel: () => {} };
}

/**
 * A whole answer from an upstream that is asked to stream it. Nothing reaches the caller before the end, so a stream that
 * breaks off is an error with a status; callers need a timeout of their own that allows for a whole answer.
 */
async function assembledAnswer(context: RouteContext, request: JsonObject): Promise<Answer> {
  const asked = { ...request, stream: true, stream_options: { include_usage: true } };
  const begun = await forwardChat(context, { text: JSON.stringify(asked), bytes: undefined, request: asked });
  if (!isGood(begun)) return upstreamAnswer(context, begun);
  const headers = noteUpstream(context, begun.headers);
  const completion = await assemble(begun, request);
  context.exchange.record.usage = readUsage(completion, begun.headers);
  return jsonAnswer(completion, 200, { ...headers, "content-type": "application/json" });
}

/** Throws what the stream broke off with, and `bad_response` when there was no answer in it. */
async function assemble(begun: BegunAnswer, request: JsonObject) {
  const reader = chatStreamReader({ thinking: "kept" });
  const assembler = chatAssembler((name) => isUnwanted(name, request));
  const take = (pieces: ReturnType<typeof reader.push>) => {
    for (const piece of pieces) if (piece.type === "chunk") assembler.add(piece.chunk);
  };
  for (let bytes = await begun.next(); bytes !== undefined; bytes = await begun.next()) take(reader.push(bytes));
  const { pieces, end } = reader.end();
  take(pieces);
  if (end.error !== undefined) throw end.error;
  return assembler.finish();
}

const LOGPROBS: ReadonlySet<string> = new Set(["logprob", "logprobs", "top_logprobs"]);
const TOKEN_IDS: ReadonlySet<string> = new Set(["token_ids", "prompt_token_ids"]);

/** What the network computes for every request, and this caller did not ask for: older gateways let it through to everybody. */
function isUnwanted(name: string, { logprobs, return_token_ids: tokenIds }: JsonObject): boolean {
  if (LOGPROBS.has(name)) return logprobs !== true;
  return name === "prompt_logprobs" || (TOKEN_IDS.has(name) && tokenIds !== true);
}

const MAX_LIST_BYTES = 16 * 1024 * 1024;

/** GET /v1/models: the live list, in OpenAI's form whatever form it came in, and the aliases behind it. */
export async function modelsRoute(context: RouteContext): Promise<Answer> {
  const begun = await askForModels(context);
  if (!isGood(begun)) return upstreamAnswer(context, begun);
  const data = [...(await readEntries(begun)), ...aliasEntries(context)];
  if (isForAnthropic(context)) return jsonAnswer(anthropicList(data));
  // Codex asks with its version and wants a second list, of what it knows by itself.
  const isCodex = /[?&]client_version(?:[=&]|$)/.test(context.request.target);
  return jsonAnswer({ object: "list", data, ...(isCodex ? { models: [] } : {}) });
}

/** GET /v1/models/{id}: one entry of the same list. */
export async function modelRoute(context: RouteContext, id: string): Promise<Answer> {
  const begun = await askForModels(context);
  if (!isGood(begun)) return upstreamAnswer(context, begun);
  const entries = [...(await readEntries(begun)), ...aliasEntries(context)];
  const isThere = (wanted: string) => entries.find((entry) => entry.id === wanted);
  // What stands for a prefix is in no list, and is a model's name all the same.
  const found = isThere(id) ?? isThere(meantModel(id, context.state.options.aliases));
  if (found !== undefined)
    return jsonAnswer(isForAnthropic(context) ? anthropicModel({ ...found, id }) : { ...found, id });
  const offered = nearest(
    id.slice(0, 128),
    entries.map((entry) => String(entry.id)),
    3,
  );
  throw new ZephError("model_not_found", offered.length === 0 ? {} : { hint: `Offered now: ${offered.join(", ")}.` });
}

function askForModels({ state, request }: RouteContext): Promise<BegunAnswer> {
  const headers = requestHeaders(request.headers);
  return begin(state, request, { method: "GET", path: "/models", headers, body: undefined });
}

/** Nodes answer `{models:[…]}` where brokers answer `{data:[…]}`; clients such as Open WebUI know the second only. */
async function readEntries(begun: BegunAnswer): Promise<readonly JsonObject[]> {
  const list = listIn(await readText(begun, MAX_LIST_BYTES));
  if (list === undefined) throw begun.error ?? new ZephError("bad_response", { detail: "/models has no list" });
  return list.flatMap((each: unknown) => {
    const entry = asObject(each);
    const id = entry?.id ?? entry?.model;
    return typeof id === "string" ? [{ created: 0, owned_by: "gonka", ...entry, id, object: "model" }] : [];
  });
}

function listIn(text: string): readonly unknown[] | undefined {
  try {
    const body: unknown = parseForeignJson(text);
    const list = Array.isArray(body) ? body : (asObject(body)?.data ?? asObject(body)?.models);
    return Array.isArray(list) ? list : undefined;
  } catch {
    // Not JSON: the caller of this function has the words for it.
    return undefined;
  }
}

/** Anthropic's clients name the version of the API with every request, and read another form of list. */
function isForAnthropic({ request }: RouteContext): boolean {
  return request.headers.has("anthropic-version");
}

function anthropicList(entries: readonly JsonObject[]): JsonObject {
  const data = entries.map(anthropicModel);
  return { data, has_more: false, first_id: data.at(0)?.id ?? null, last_id: data.at(-1)?.id ?? null };
}

/** After the types of @anthropic-ai/sdk 1.14. */
function anthropicModel(entry: JsonObject): JsonObject {
  const { id, created } = entry;
  const createdMs = typeof created === "number" && created > 0 && created < 1e10 ? created * 1000 : 0;
  const [known] = parseModels({ data: [entry] });
  return {
    type: "model",
    id,
    display_name: id,
    created_at: new Date(createdMs).toISOString(),
    max_input_tokens: known?.contextLengthTokens ?? null,
    max_tokens: known?.maxOutputTokens ?? null,
    capabilities: null,
    lifecycle: "active",
    line: null,
    deprecated_at: null,
    retires_at: null,
  };
}

function aliasEntries({ state }: RouteContext): readonly JsonObject[] {
  const aliases = Object.entries(state.options.aliases ?? {}).filter(([alias]) => !alias.endsWith("*"));
  return aliases.map(([alias, id]) => ({
    id: alias,
    object: "model",
    created: 0,
    owned_by: "zeph",
    alias_of: id,
  }));
}

/** POST /v1/embeddings, as it came, for models that the upstream lists as made for it. */
export async function embeddingsRoute(context: RouteContext): Promise<Answer> {
  const { state, exchange, request } = context;
  const { text, value, bytes } = await readJsonBody(request, {
    maxBytes: state.maxBodyBytes,
    reserve: exchange.reserve,
  });
  refuseTokenInput(value);
  const { aliases, defaultEmbeddingModel } = state.options;
  const { model } = { ...value, model: value.model ?? defaultEmbeddingModel };
  if (typeof model !== "string") throw new ZephError("model_missing", { detail: "the request names none" });
  const meant = meantModel(model, aliases);
  exchange.setModel(meant);
  await state.checkEmbeddings(meant, request.signal);
  const body = meant === value.model ? { text, bytes } : { text: JSON.stringify({ ...value, model: meant }) };
  return upstreamAnswer(context, await forward(context, "/embeddings", body));
}

/** The process lives. Says nothing about the upstream. */
export function healthRoute(): Answer {
  return jsonAnswer({ status: "ok" });
}

/** Whether a request now has a chance: 503 while stopping, and while every endpoint cools down after failures. */
export function readyRoute({ draining, options }: GatewayState): Answer {
  if (draining) return jsonAnswer({ status: "stopping" }, 503);
  const endpoints = options.upstream.endpoints();
  const usable = endpoints.filter(({ coolsUntilMs }) => coolsUntilMs === undefined).length;
  // A pool that is filled at the first request is empty before it.
  if (endpoints.length > 0 && usable === 0) return jsonAnswer({ status: "upstream failing" }, 503);
  return jsonAnswer({ status: "ready" });
}
