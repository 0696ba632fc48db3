import { systemClock } from "../../base/time.ts";
import { type ChatRequest, type EngineEvent, type EngineUsage, type ReasoningForm, thinkTagger } from "../engine.ts";
import { aborted } from "../server.ts";
import {
  CHECK_FAULTS,
  EXECUTOR_FAULTS,
  isCheckFault,
  isExecutorFault,
  modelServerText,
  type NodeFault,
} from "./faults.ts";
import {
  CHAT_PATH,
  type Exchange,
  errorAnswer,
  type IncomingCall,
  type NodeSetting,
  type Refusal,
  refusal,
} from "./node.ts";
import {
  ACCESS_CHECKS,
  bodySha256,
  type Check,
  type CheckContext,
  EXECUTOR_CHECKS,
  escrowNgonka,
  isRefusal,
  parseTypedRequest,
  signatureProblem,
  TRANSFER_CHECKS,
} from "./request.ts";

/** The classic path: parse, refuse or take the escrow, then play the executor. */
export async function serveInference(
  setting: NodeSetting,
  call: IncomingCall,
  exchange: Exchange,
  fault: NodeFault | undefined,
): Promise<void> {
  const typed = parseTypedRequest(call);
  if (isRefusal(typed)) return sendRefusal(setting, exchange, typed);
  const context: CheckContext = {
    chain: setting.chain,
    call,
    typed,
    models: await setting.engine.models(),
    replay: setting.replay,
    // Go's Header.Get does not tell an empty header from an absent one.
    transferAddress: call.header("x-transfer-address") || setting.address,
  };
  const refused = firstRefusal(context, fault);
  if (refused !== undefined) {
    if (refused.row === 10) noteForeignSignature(setting, context, exchange);
    return sendRefusal(setting, exchange, refused);
  }
  startInference(setting, context);
  const run = { setting, context, exchange, fault };
  if (fault !== undefined && isExecutorFault(fault.kind)) return failAfterCharge(run, EXECUTOR_FAULTS[fault.kind]);
  await executeInference(run);
}

function firstRefusal(context: CheckContext, fault: NodeFault | undefined): Refusal | undefined {
  const { call } = context;
  const isForwarded = Boolean(call.header("x-inference-id")) && Boolean(call.header("x-seed"));
  const checks: readonly Check[] = [...ACCESS_CHECKS, ...(isForwarded ? EXECUTOR_CHECKS : TRANSFER_CHECKS)];
  const faultRefusal = fault !== undefined && isCheckFault(fault.kind) ? CHECK_FAULTS[fault.kind] : undefined;
  for (const check of checks) {
    const refused = check.run(context) ?? (faultRefusal?.row === check.row ? faultRefusal : undefined);
    if (refused !== undefined) return refused;
  }
  return undefined;
}

/** A signature that is good for another node means that the client sent a request to the wrong place. */
function noteForeignSignature(setting: NodeSetting, context: CheckContext, exchange: Exchange): void {
  for (const address of setting.otherAddresses()) {
    if (signatureProblem(context, address) === undefined) {
      setting.log.violations.push(
        `a request signed for ${address} came to ${setting.address} (${exchange.recorded.node})`,
      );
    }
  }
}

function startInference({ chain, address }: NodeSetting, context: CheckContext): void {
  chain.ledger.start({
    inferenceId: inferenceId(context),
    account: context.call.header("x-requester-address") ?? "",
    node: address,
    model: context.typed.model,
    bodySha256: bodySha256(context.call.body),
    startedAtHeight: chain.blocks.latest().height,
    escrowNgonka: escrowNgonka(chain, context.typed),
  });
}

/** One inference on its way through a node. */
interface InferenceRun {
  readonly setting: NodeSetting;
  readonly context: CheckContext;
  readonly exchange: Exchange;
  readonly fault: NodeFault | undefined;
}

/** The Authorization string: what the chain calls the inference. */
function inferenceId({ call }: CheckContext): string {
  return call.header("authorization") ?? "";
}

function sendRefusal(setting: NodeSetting, exchange: Exchange, refused: Refusal): void {
  exchange.recorded.row = refused.row;
  // Row 15 names the node's own list of others to try.
  const text = refused.row === 15 ? `${refused.text}${setting.origin()}/v1/epochs/current/participants` : refused.text;
  exchange.send(errorAnswer(refused.status, text));
}

const MAX_SEED = 2 ** 31 - 1;
const MS_PER_SECOND = 1000;

/** The executor's part, after the escrow was taken: asks the engine, and ends the inference in the ledger. */
async function executeInference(run: InferenceRun): Promise<void> {
  const { setting, context, exchange } = run;
  const request = executorRequest(context.call, Math.floor(setting.random() * MAX_SEED));
  const tooLong = contextProblem(context, request);
  if (tooLong !== undefined) return failAfterCharge(run, tooLong);
  try {
    const events = setting.engine.complete(request.chat, exchange.signal);
    const frame = answerFrame(run, request);
    if (request.stream) await executeStream(run, frame, events);
    else await executeWhole(run, frame, events);
  } catch (error) {
    if (exchange.signal.aborted) return;
    const text = modelServerText(500, error instanceof Error ? error.message : "engine failed");
    if (exchange.recorded.status === undefined) return sendRefusal(setting, exchange, refusal(22, 500, text));
    await writeTextLine(exchange, text);
  }
}

/** Rows 17 to 24: the escrow is taken, and the answer is a refusal. */
function failAfterCharge({ setting, context, exchange }: InferenceRun, failed: Refusal): void {
  // The model server saw a request it refuses: the inference is closed at the price of one token.
  const isClosed = failed.row === 22 && failed.status !== 500;
  if (isClosed || failed.row === 24) setting.chain.ledger.finish(inferenceId(context), cost(setting, 1));
  if (failed.row !== 24) {
    sendRefusal(setting, exchange, failed);
    return;
  }
  exchange.recorded.row = failed.row;
  const body = `${failed.text}${inferenceId(context)}\n`;
  exchange.send({ status: failed.status, contentType: "text/plain; charset=utf-8", body });
}

function answerFrame({ setting, context }: InferenceRun, request: ExecutorRequest): AnswerFrame {
  const { model } = context.typed;
  return {
    path: context.call.path,
    id: inferenceId(context),
    model,
    createdSeconds: Math.floor(setting.chain.blocks.nowMs() / MS_PER_SECOND),
    promptText: request.promptText,
    reasoning: context.models.find(({ id }) => id === model)?.reasoning,
  };
}

async function executeStream(
  { setting, exchange, fault }: InferenceRun,
  frame: AnswerFrame,
  events: AsyncIterable<EngineEvent>,
): Promise<void> {
  let usage: EngineUsage | undefined;
  async function* watched(): AsyncIterable<EngineEvent> {
    for await (const event of events) {
      if (event.type === "finish") usage = event.usage;
      yield event;
    }
  }
  await writeStream(exchange, answerChunks(frame, watched()), fault);
  if (usage !== undefined) setting.chain.ledger.finish(frame.id, usageCost(setting, usage));
}

async function executeWhole(
  { setting, exchange, fault }: InferenceRun,
  frame: AnswerFrame,
  events: AsyncIterable<EngineEvent>,
): Promise<void> {
  const { body, usage } = await wholeAnswer(frame, events);
  setting.chain.ledger.finish(frame.id, usageCost(setting, usage));
  const bytes = Buffer.from(goStringify(body));
  const contentType = ["Content-Type", "application/json"] as const;
  // Two Content-Length lines would be refused by HTTP itself, so only the type is ever copied twice.
  const copied = fault?.kind === "duplicate-headers" ? [contentType] : [];
  exchange.begin(200, [contentType, ...copied, ["Content-Length", String(bytes.length)]]);
  if (fault?.kind === "cut" || fault?.kind === "stall") {
    await exchange.write(bytes.subarray(0, Math.floor(bytes.length / 2)));
    if (fault.kind === "stall") await aborted(exchange.signal);
    return exchange.drop();
  }
  await exchange.write(bytes);
  exchange.end();
}

/** Row 22 as the model server says it when prompt and answer do not fit. A token is counted as 4 bytes. */
function contextProblem({ models, typed }: CheckContext, request: ExecutorRequest): Refusal | undefined {
  const limit = models.find((model) => model.id === typed.model)?.contextLengthTokens ?? Number.POSITIVE_INFINITY;
  const promptTokens = Math.ceil(Buffer.byteLength(request.promptText) / 4);
  const asked = typed.maxTokens === 0 ? 0 : request.maxTokens;
  if (promptTokens + asked <= limit) return undefined;
  const message =
    `This model's maximum context length is ${limit} tokens. However, you requested ${promptTokens + asked} tokens ` +
    `(${promptTokens} in the messages, ${asked} in the completion). Please reduce the length of the messages or completion.`;
  return refusal(22, 400, modelServerText(400, message));
}

function cost({ chain }: NodeSetting, tokens: number): bigint {
  return BigInt(tokens) * chain.params.pricePerTokenNgonka;
}

function usageCost(setting: NodeSetting, usage: EngineUsage): bigint {
  return cost(setting, usage.promptTokens + usage.completionTokens);
}

/** What every object of one answer has in common. */
export interface AnswerFrame {
  readonly path: IncomingCall["path"];
  /** The Authorization string of the request: the inference id on chain and the id of every object. */
  readonly id: string;
  readonly model: string;
  readonly createdSeconds: number;
  readonly promptText: string;
  /** How the model's thinking travels. Default `reasoning_content`. */
  readonly reasoning?: ReasoningForm | undefined;
}

interface ToolCall {
  readonly index: number;
  readonly id: string;
  readonly type: "function";
  readonly function: { readonly name: string; readonly arguments: string };
}

/** Collects the whole answer into one JSON object, as the executor sends it for `stream: false`. */
export async function wholeAnswer(
  frame: AnswerFrame,
  events: AsyncIterable<EngineEvent>,
): Promise<{ readonly body: unknown; readonly usage: EngineUsage }> {
  let text = "";
  let reasoning = "";
  let finishReason = "stop";
  let usage: EngineUsage = { promptTokens: 0, completionTokens: 0, cachedTokens: 0 };
  const calls = new Map<number, ToolCall>();
  for await (const event of inForm(frame.reasoning, events)) {
    if (event.type === "text") text += event.text;
    else if (event.type === "reasoning") reasoning += event.text;
    else if (event.type === "tool-call") calls.set(event.index, joinCall(calls.get(event.index), event));
    else {
      finishReason = event.reason;
      usage = event.usage;
    }
  }
  const tokens = tokenize(text);
  const shared = {
    index: 0,
    finish_reason: finishReason,
    stop_reason: null,
    logprobs: logprobsOf(tokens),
    token_ids: tokens.map(tokenId),
  };
  const message = {
    role: "assistant",
    content: calls.size > 0 && text === "" ? null : text,
    ...(reasoning === "" ? {} : { [reasoningField(frame)]: reasoning }),
    ...(calls.size === 0 ? {} : { tool_calls: [...calls.values()].map(({ index: _, ...call }) => call) }),
  };
  const choice = frame.path === CHAT_PATH ? { ...shared, message } : { ...shared, text };
  const body = {
    ...objectHead(frame, frame.path === CHAT_PATH ? "chat.completion" : "text_completion"),
    choices: [choice],
    usage: wireUsage(usage),
    prompt_token_ids: tokenize(frame.promptText).map(tokenId),
    service_tier: null,
  };
  return { body, usage };
}

/** The chunks of a streamed answer, in order; the last has no choices and holds the usage. */
export async function* answerChunks(frame: AnswerFrame, events: AsyncIterable<EngineEvent>): AsyncIterable<unknown> {
  const chat = frame.path === CHAT_PATH;
  const head = objectHead(frame, chat ? "chat.completion.chunk" : "text_completion");
  const chunk = (choice: object) => ({
    ...head,
    choices: [{ index: 0, finish_reason: null, logprobs: null, ...choice }],
  });
  const first = chat ? { delta: { role: "assistant", content: "" } } : { text: "" };
  yield { ...chunk(first), prompt_token_ids: tokenize(frame.promptText).map(tokenId) };
  for await (const event of inForm(frame.reasoning, events)) {
    if (event.type === "text") {
      const tokens = tokenize(event.text);
      const content = chat ? { delta: { content: event.text } } : { text: event.text };
      yield chunk({ ...content, logprobs: logprobsOf(tokens), token_ids: tokens.map(tokenId) });
    } else if (event.type === "reasoning") {
      if (chat) yield chunk({ delta: { [reasoningField(frame)]: event.text } });
    } else if (event.type === "tool-call") {
      if (chat) yield chunk({ delta: { tool_calls: [callDelta(event)] } });
    } else {
      yield chunk({ ...(chat ? { delta: {} } : { text: "" }), finish_reason: event.reason, stop_reason: null });
      yield { ...head, choices: [], usage: wireUsage(event.usage) };
    }
  }
}

function reasoningField(frame: AnswerFrame): string {
  return frame.reasoning === "reasoning" ? "reasoning" : "reasoning_content";
}

/** Turns thinking into tagged text for a model that sends it so. */
async function* inForm(
  form: ReasoningForm | undefined,
  events: AsyncIterable<EngineEvent>,
): AsyncIterable<EngineEvent> {
  if (form !== "think-tags") return yield* events;
  const tagger = thinkTagger();
  for await (const event of events) {
    if (event.type === "text" || event.type === "reasoning") {
      yield { type: "text", text: tagger.write(event) };
      continue;
    }
    const closing = tagger.close();
    if (closing !== "") yield { type: "text", text: closing };
    yield event;
  }
}

function objectHead(frame: AnswerFrame, object: string): object {
  return { id: frame.id, object, created: frame.createdSeconds, model: frame.model };
}

function wireUsage(usage: EngineUsage): object {
  return {
    prompt_tokens: usage.promptTokens,
    completion_tokens: usage.completionTokens,
    total_tokens: usage.promptTokens + usage.completionTokens,
    prompt_tokens_details: usage.cachedTokens > 0 ? { cached_tokens: usage.cachedTokens } : null,
  };
}

type ToolCallEvent = Extract<EngineEvent, { type: "tool-call" }>;

function joinCall(known: ToolCall | undefined, event: ToolCallEvent): ToolCall {
  return {
    index: event.index,
    id: known?.id ?? event.id ?? `call_${event.index}`,
    type: "function",
    function: {
      name: known?.function.name ?? event.name ?? "",
      arguments: (known?.function.arguments ?? "") + event.argumentsJson,
    },
  };
}

function callDelta(event: ToolCallEvent): object {
  return {
    index: event.index,
    ...(event.id === undefined ? {} : { id: event.id, type: "function" }),
    function: { ...(event.name === undefined ? {} : { name: event.name }), arguments: event.argumentsJson },
  };
}

/** What the executor makes of a body before it asks the model (shared reference 1.5). */
interface ExecutorRequest {
  readonly chat: ChatRequest;
  readonly stream: boolean;
  readonly maxTokens: number;
  readonly promptText: string;
}

const DEFAULT_MAX_TOKENS = 5_000;

/** Parses the body, forces the node's fields on it, and turns a `/v1/completions` prompt into one user message. */
export function executorRequest(call: IncomingCall, seed: number): ExecutorRequest {
  const body = JSON.parse(call.body.toString("utf8")) as Readonly<Record<string, unknown>>;
  const maxTokens = Number(body.max_tokens || body.max_completion_tokens || DEFAULT_MAX_TOKENS);
  const messages = call.path === CHAT_PATH ? body.messages : [{ role: "user", content: promptOf(body.prompt) }];
  const stream = body.stream === true;
  const chat = {
    ...body,
    messages,
    logprobs: true,
    top_logprobs: 5,
    max_tokens: maxTokens,
    max_completion_tokens: maxTokens,
    skip_special_tokens: false,
    return_token_ids: true,
    seed: body.seed ?? seed,
    ...(stream ? { stream_options: { ...asFields(body.stream_options), include_usage: true } } : {}),
  } as unknown as ChatRequest;
  return { chat, stream, maxTokens, promptText: chat.messages.map((message) => textOf(message.content)).join("\n") };
}

function promptOf(prompt: unknown): unknown {
  return Array.isArray(prompt) ? prompt[0] : prompt;
}

function asFields(value: unknown): object {
  return typeof value === "object" && value !== null ? value : {};
}

function textOf(content: unknown): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return "";
  return content.map((part) => String(part?.text ?? "")).join("");
}

const DEFAULT_EVENTS = 2;
const DEFAULT_LINE_BYTES = 1024 * 1024 + 1;
const STREAM_HEADERS: readonly (readonly [string, string])[] = [["Content-Type", "text/event-stream; charset=utf-8"]];

/**
 * Writes chunks as server-sent events, `[DONE]` at the end, and plays the stream faults. The headers go out with the
 * first chunk, so that an engine that fails before it can still be answered with an error.
 * @returns whether the stream came to its end
 */
async function writeStream(
  exchange: Exchange,
  chunks: AsyncIterable<unknown>,
  fault: NodeFault | undefined,
): Promise<"complete" | "broken"> {
  const lineEnd = fault?.kind === "crlf" ? "\r\n" : "\n";
  const write = (line: string) => writePieces(exchange, Buffer.from(line + lineEnd + lineEnd), fault);
  let events = 0;
  for await (const chunk of chunks) {
    if (events === 0) exchange.begin(200, repeated(STREAM_HEADERS, fault));
    if (exchange.signal.aborted) return "broken";
    if (events === (fault?.afterEvents ?? DEFAULT_EVENTS) && (await breakStream(exchange, fault))) return "broken";
    await write(`data: ${goStringify(chunk)}`);
    if (events === 0 && fault?.kind === "long-line") await write(longLine(chunk, fault));
    events += 1;
  }
  if (fault?.kind !== "no-done") await write("data: [DONE]");
  exchange.end();
  return "complete";
}

/** Headers as they arrive when they were copied twice on the way. */
function repeated(
  headers: readonly (readonly [string, string])[],
  fault: NodeFault | undefined,
): readonly (readonly [string, string])[] {
  return fault?.kind === "duplicate-headers" ? [...headers, ...headers] : headers;
}

async function breakStream(exchange: Exchange, fault: NodeFault | undefined): Promise<boolean> {
  if (fault?.kind === "cut") {
    exchange.drop();
    return true;
  }
  if (fault?.kind === "stall") {
    await aborted(exchange.signal);
    exchange.drop();
    return true;
  }
  if (fault?.kind === "text-line") {
    await writeTextLine(
      exchange,
      `Failed to process inference node response. inferenceId = ${exchange.recorded.headers.authorization ?? ""}`,
    );
    return true;
  }
  return false;
}

/** What Go's http.Error leaves in a stream that has already begun. */
async function writeTextLine(exchange: Exchange, text: string): Promise<void> {
  await exchange.write(`${text}\n`);
  exchange.end();
}

const MAX_SPLITS = 3;

async function writePieces(exchange: Exchange, bytes: Buffer, fault: NodeFault | undefined): Promise<void> {
  if (fault?.kind !== "utf8-split") return exchange.write(bytes);
  let from = 0;
  for (const at of splitPoints(bytes)) {
    await exchange.write(bytes.subarray(from, at));
    // A real moment: pieces that reach the client in one turn of its loop would be joined again.
    await systemClock.sleep(1);
    from = at;
  }
  await exchange.write(bytes.subarray(from));
}

/** Positions of continuation bytes: what stands there belongs to a character that has begun. */
function splitPoints(bytes: Buffer): readonly number[] {
  const positions = [...bytes.keys()].filter((at) => ((bytes[at] ?? 0) & 0xc0) === 0x80);
  return positions.slice(0, MAX_SPLITS);
}

function longLine(chunk: unknown, fault: NodeFault): string {
  const line = (filler: string) => `data: ${goStringify({ ...(chunk as object), prompt_text: filler })}`;
  const missing = (fault.lineBytes ?? DEFAULT_LINE_BYTES) - line("").length;
  return line("x".repeat(Math.max(missing, 0)));
}

/** Cuts text into the pieces the stand-in calls tokens: a word with the space before it. */
function tokenize(text: string): readonly string[] {
  return text.match(/\s*\S+|\s+$/g) ?? [];
}

/** A stable number for a token. */
function tokenId(token: string): number {
  let id = 7;
  for (const byte of Buffer.from(token)) id = (id * 31 + byte) % 151_643;
  return id;
}

const ALTERNATIVES = 5;

/** The `logprobs` field a node adds to every choice, asked for or not: five alternatives for each token. */
function logprobsOf(tokens: readonly string[]): { readonly content: readonly unknown[] } {
  return {
    content: tokens.map((token) => ({
      ...logprob(token, 0),
      top_logprobs: Array.from({ length: ALTERNATIVES }, (_, rank) =>
        logprob(rank === 0 ? token : `${token}${rank}`, rank),
      ),
    })),
  };
}

function logprob(token: string, rank: number): { token: string; logprob: number; bytes: number[] } {
  return { token, logprob: -0.125 * (rank + 1), bytes: [...Buffer.from(token)] };
}

/** JSON as Go marshals a map: keys sorted, `< > &` and the two line separators escaped. */
export function goStringify(value: unknown): string {
  return JSON.stringify(sortKeys(value)).replace(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

function sortKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortKeys);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).filter(([, item]) => item !== undefined);
  entries.sort(([left], [right]) => (left < right ? -1 : 1));
  return Object.fromEntries(entries.map(([key, item]) => [key, sortKeys(item)]));
}
