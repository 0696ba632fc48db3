import { type JsonLimits, jsonFault, parseForeignJson, SMALL_ANSWER_LIMITS } from "../base/json.ts";
import { scrub } from "../base/secret.ts";
import { isZephErrorCode, ZephError, type ZephErrorCode } from "../errors.ts";

/** A JSON object while it is being put right. */
export type Json = Record<string, unknown>;

/** Why an answer ended, in OpenAI's words. */
type FinishReason = "stop" | "length" | "tool_calls" | "content_filter" | "function_call";

/** Counts are finite, whole and not negative; one that was not told is absent. */
export interface ChatUsage {
  prompt_tokens?: number;
  completion_tokens?: number;
  total_tokens?: number;
  [field: string]: unknown;
}

interface ChatToolCall {
  id: string;
  type: "function";
  function: { name: string; arguments: string };
  [field: string]: unknown;
}

/** A piece of a tool call. `id`, `type` and the name come with the first piece only; arguments are texts that join to JSON. */
export interface ChatToolCallDelta {
  index: number;
  id?: string;
  type?: "function";
  function: { name?: string; arguments: string };
  [field: string]: unknown;
}

export interface ChatDelta {
  role?: "assistant" | null;
  content?: string | null;
  reasoning_content?: string | null;
  /** Set where thinking stood in the content, in tags: some models need it back that way. */
  thinking_in_tags?: true;
  tool_calls?: ChatToolCallDelta[];
  [field: string]: unknown;
}

export interface ChatChunkChoice {
  index: number;
  delta: ChatDelta;
  finish_reason: FinishReason | null;
  [field: string]: unknown;
}

/** OpenAI's `chat.completion.chunk`, with everything a reader relies on in place. Unknown fields are kept. */
export interface ChatChunk {
  id: string;
  object: "chat.completion.chunk";
  created: number;
  model: string;
  choices: ChatChunkChoice[];
  usage?: ChatUsage | null;
  [field: string]: unknown;
}

interface ChatMessage {
  role: "assistant";
  content: string | null;
  reasoning_content?: string | null;
  thinking_in_tags?: true;
  tool_calls?: ChatToolCall[];
  [field: string]: unknown;
}

interface ChatChoice {
  index: number;
  message: ChatMessage;
  finish_reason: FinishReason;
  [field: string]: unknown;
}

/** OpenAI's `chat.completion`, with the same promises. */
export interface ChatCompletion {
  id: string;
  object: "chat.completion";
  created: number;
  model: string;
  choices: ChatChoice[];
  usage?: ChatUsage | null;
  [field: string]: unknown;
}

/** What a reader of answers may be told about the request, and what it needs from outside. */
export interface ChatReadOptions {
  /**
   * The request: its `model` for answers that do not name theirs, its `tools` for calls that a model writes into its
   * text. Looked at only when it is needed. Left out: not known.
   */
  readonly request?: (() => Readonly<Record<string, unknown>> | undefined) | undefined;
  /** Unix seconds, for answers without `created`. Default 0. */
  readonly createdSeconds?: number | undefined;
  /** Draws an id for tool calls that came without one, and for answers. Default: random. */
  readonly newId?: (() => string) | undefined;
  /**
   * What becomes of thinking between tags in the content: `apart` (default) makes it `reasoning_content`, `kept` leaves it
   * where it is, for clients that send it back as it came. Thinking that has lost its opening tag is put apart in both.
   */
  readonly thinking?: "apart" | "kept" | undefined;
  /** Nobody waits for the first word, so text may be held until it is clear whether it is thinking. */
  readonly isPatient?: boolean | undefined;
}

export function isRecord(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** What is short cannot be costly; the rest is counted before it is parsed. */
const SHORT_CHARS = 4096;

/** What a server's JSON says; `undefined` for what is none, and for what would take longer to read than any honest answer. */
export function parseJson(text: string, limits: JsonLimits = SMALL_ANSWER_LIMITS): unknown {
  try {
    return text.length <= SHORT_CHARS ? JSON.parse(text) : parseForeignJson(text, limits);
  } catch {
    // Not JSON, a part of it, or more than anybody reads: whoever asks decides what that means.
    return undefined;
  }
}

/** As {@link parseJson}, for an answer or event: one that is beyond all measure throws `bad_response`, in its own words. */
export function parseAnswer(text: string): unknown {
  try {
    return text.length <= SHORT_CHARS ? JSON.parse(text) : parseForeignJson(text);
  } catch (cause) {
    if (!(cause instanceof RangeError)) return undefined;
    throw new ZephError("bad_response", { detail: `the answer ${jsonFault(cause)}` });
  }
}

/** Nobody asks for more answers at once (128 is OpenAI's limit of `n`), and each costs time of its own. */
const MAX_CHOICES = 256;

/** Throws `bad_response` for a number of choices, or of chunks in one event, that no request asks for. */
export function refuseMany(count: number): void {
  if (count > MAX_CHOICES)
    throw new ZephError("bad_response", { detail: `the answer holds more than ${MAX_CHOICES} choices` });
}

/**
 * Puts `id`, `object`, `created` and `model` right. True when something had to be changed that clients may fall over: a
 * wrong type, not a field that is only missing.
 */
export function tidyHead(
  answer: Json,
  object: "chat.completion" | "chat.completion.chunk",
  known: { id: string; model: string; created: number },
): boolean {
  const { id, model, created } = answer;
  let changed = isThere(answer.object) && answer.object !== object;
  answer.object = object;
  if (typeof id !== "string" || id === "") {
    answer.id = typeof id === "number" ? String(id) : known.id;
    changed ||= isThere(id) && id !== "";
  }
  if (typeof created !== "number" || !Number.isSafeInteger(created) || created < 0) {
    answer.created = readCount(created, Math.floor) ?? known.created;
    changed ||= isThere(created);
  }
  if (typeof model !== "string" || model === "") {
    answer.model = known.model;
    changed ||= isThere(model) && model !== "";
  }
  return changed;
}

function isThere(value: unknown): boolean {
  return value !== undefined && value !== null;
}

const COUNTS = ["prompt_tokens", "completion_tokens", "total_tokens"] as const;
const OTHER_NAMES: readonly (readonly [string, string])[] = [
  ["input_tokens", "prompt_tokens"],
  ["output_tokens", "completion_tokens"],
];
const DETAILS = ["prompt_tokens_details", "completion_tokens_details"] as const;

/** Puts `usage` right: what cannot be read is left out, because unknown is not 0. True when something was changed. */
export function tidyUsage(answer: Json): boolean {
  const { usage } = answer;
  if (usage === undefined || usage === null) return false;
  if (!isRecord(usage)) {
    delete answer.usage;
    return true;
  }
  let changed = false;
  for (const [other, name] of OTHER_NAMES) {
    if (usage[name] !== undefined || !isCount(usage[other])) continue;
    usage[name] = usage[other];
    changed = true;
  }
  for (const name of COUNTS) changed = tidyCount(usage, name) || changed;
  for (const name of DETAILS) {
    const details = usage[name];
    if (details === undefined || details === null) continue;
    if (!isRecord(details)) {
      delete usage[name];
      changed = true;
      continue;
    }
    for (const field of Object.keys(details)) {
      if (details[field] !== null) changed = tidyCount(details, field) || changed;
    }
  }
  const { prompt_tokens: prompt, completion_tokens: completion, total_tokens: total } = usage;
  if (typeof prompt === "number" && typeof completion === "number" && total === undefined) {
    usage.total_tokens = prompt + completion;
  }
  return changed;
}

/** Takes away a count that is none. Nothing is guessed: people pay by these numbers. */
function tidyCount(holder: Json, name: string): boolean {
  const value = holder[name];
  if (value === undefined || isCount(value)) return false;
  delete holder[name];
  return true;
}

function isCount(value: unknown): boolean {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

/** A whole number written as a number or as digits; `undefined` for everything else. */
export function readCount(value: unknown, round: (value: number) => number = Math.round): number | undefined {
  const number = typeof value === "string" && /^\d+(?:\.\d+)?$/.test(value) ? Number(value) : value;
  if (typeof number !== "number" || !Number.isFinite(number) || number < 0) return undefined;
  const count = round(number);
  return Number.isSafeInteger(count) ? count : undefined;
}

/** Words of servers for the end of an answer that are not OpenAI's. In lower case. */
const FINISH_WORDS: Readonly<Record<string, FinishReason | "error" | null>> = {
  "": null,
  null: null,
  none: null,
  end: "stop",
  end_turn: "stop",
  eos: "stop",
  eos_token: "stop",
  stop_sequence: "stop",
  complete: "stop",
  completed: "stop",
  finished: "stop",
  max_tokens: "length",
  max_length: "length",
  max_output_tokens: "length",
  model_length: "length",
  model_context_window_exceeded: "length",
  tool_use: "tool_calls",
  tool_call: "tool_calls",
  tool_calls: "tool_calls",
  tooluse: "tool_calls",
  tool: "tool_calls",
  "tool-calls": "tool_calls",
  "content-filter": "content_filter",
  content_filtered: "content_filter",
  safety: "content_filter",
  sensitive: "content_filter",
  recitation: "content_filter",
  refusal: "content_filter",
  abort: "error",
  aborted: "error",
  cancelled: "error",
  canceled: "error",
  error: "error",
  failed: "error",
  network_error: "error",
  insufficient_system_resource: "error",
};
const FINISH_REASONS: ReadonlySet<unknown> = new Set<FinishReason>([
  "stop",
  "length",
  "tool_calls",
  "content_filter",
  "function_call",
]);

function isFinishReason(value: unknown): value is FinishReason {
  return FINISH_REASONS.has(value);
}

/** A finish reason in OpenAI's words; `error` where the server says that it could not go on; `null` where it says nothing. */
export function readFinishReason(value: unknown): { reason: FinishReason | "error" | null; notice?: string } {
  if (isFinishReason(value)) return { reason: value };
  if (typeof value !== "string") return { reason: value === true ? "stop" : null };
  const word = value.trim().toLowerCase();
  const known = isFinishReason(word) ? word : FINISH_WORDS[word];
  if (known !== undefined) return { reason: known };
  return { reason: "stop", notice: `the endpoint ended the answer for a reason of its own: ${scrub(value)}` };
}

/** What stands in `content`, told apart. */
interface ReadContent {
  content: string;
  reasoning: string;
  refusal: string;
  /** Kinds of parts that are no text. */
  readonly others: string[];
}

/** Reads content that is no text: a list of parts, one part, a number. */
export function readContent(value: unknown): ReadContent {
  const found: ReadContent = { content: "", reasoning: "", refusal: "", others: [] };
  readPart(value, found, "content", 0);
  return found;
}

const REASONING_PART = /think|thought|reason/i;
const TEXT_FIELDS = ["text", "thinking", "reasoning", "reasoning_content", "content", "summary", "value"] as const;
const MAX_PART_DEPTH = 8;

function readPart(
  value: unknown,
  into: ReadContent,
  channel: "content" | "reasoning" | "refusal",
  depth: number,
): void {
  if (value === null || value === undefined || depth > MAX_PART_DEPTH) return;
  if (typeof value !== "object") {
    into[channel] += String(value);
  } else if (Array.isArray(value)) {
    for (const part of value) readPart(part, into, channel, depth + 1);
  } else if (isRecord(value)) {
    const type = typeof value.type === "string" ? value.type : "";
    if (type === "refusal" || typeof value.refusal === "string") {
      readPart(value.refusal ?? value.text, into, "refusal", depth + 1);
      return;
    }
    const field = TEXT_FIELDS.find((name) => value[name] !== undefined && value[name] !== null);
    if (field === undefined) {
      if (type !== "") into.others.push(type);
      return;
    }
    const isThought = REASONING_PART.test(type) || value.thought === true || REASONING_PART.test(field);
    readPart(value[field], into, isThought ? "reasoning" : channel, depth + 1);
  }
}

/** Names that thinking goes by, the usual one first. */
export const REASONING_NAMES = ["reasoning_content", "reasoning", "reasoning_text", "thinking", "thought"] as const;

/** Thinking in a delta or message under one of its names, in whatever form. `undefined` where there is none. */
export function readReasoning(from: Json): string | undefined {
  let isThere = false;
  for (const name of REASONING_NAMES) {
    const value = from[name];
    if (value === undefined || value === null) continue;
    if (typeof value === "boolean") continue;
    isThere = true;
    const text = typeof value === "string" ? value : joinContent(readContent(value));
    if (text !== "") return text;
  }
  const details = from.reasoning_details;
  if (Array.isArray(details) && details.length > 0) {
    const text = joinContent(readContent(details));
    if (text !== "") return text;
  }
  return isThere ? "" : undefined;
}

function joinContent({ content, reasoning }: ReadContent): string {
  return reasoning + content;
}

/** Codes of servers that mean the same inside an answer as they do as a refusal. */
const KNOWN_CODES: Readonly<Record<string, ZephErrorCode>> = {
  context_length_exceeded: "context_length",
  insufficient_quota: "insufficient_quota",
  rate_limit_exceeded: "rate_limited",
  service_unavailable: "service_unavailable",
  transfer_agent_capacity_reached: "capacity_reached",
};

/** An error of ours as the object that OpenAI-compatible servers put into a stream. {@link serverError} reads it back. */
export function toErrorObject({ code, message, detail }: ZephError): Json {
  return { type: "zeph_error", code, message, detail: detail ?? null };
}

/** What an error object inside a 200 means, with the server's own words; `fallback` where its code says nothing to us. */
export function serverError(error: unknown, fallback: "stream_error" | "upstream_error"): ZephError {
  const { type, code, detail } = isRecord(error) ? error : {};
  if (type === "zeph_error" && isZephErrorCode(code)) {
    return new ZephError(code, typeof detail === "string" ? { detail } : {});
  }
  const said = scrub(wordsOf(error, 0));
  const known =
    typeof code === "string" && Object.hasOwn(KNOWN_CODES, code.toLowerCase())
      ? KNOWN_CODES[code.toLowerCase()]
      : undefined;
  return new ZephError(known ?? fallback, said === "" ? {} : { detail: said });
}

const WORD_FIELDS = [
  "message",
  "msg",
  "detail",
  "error",
  "error_message",
  "error_msg",
  "errorMessage",
  "error_description",
  "status_msg",
  "description",
  "reason",
  "title",
] as const;

/** The words in an error of whatever form: the deepest message, otherwise a code or type. */
function wordsOf(error: unknown, depth: number): string {
  if (typeof error === "string") return error.trim();
  if (typeof error === "number") return String(error);
  if (depth > MAX_PART_DEPTH) return "";
  if (Array.isArray(error)) {
    return error
      .slice(0, 5)
      .map((each) => wordsOf(each, depth + 1))
      .filter((text) => text !== "")
      .join("; ");
  }
  if (!isRecord(error)) return "";
  for (const field of WORD_FIELDS) {
    const text = error[field] === true ? "" : wordsOf(error[field], depth + 1);
    if (text !== "") return text;
  }
  // FastAPI and others write `{"loc": […], "msg": …}`, which is read above; what is left is a name for the fault.
  for (const field of ["code", "type", "status"]) {
    const value = error[field];
    if (typeof value === "string" && value !== "") return value;
    if (typeof value === "number") return String(value);
  }
  return "";
}

/**
 * The error that a JSON value with a good status holds, if it holds one: OpenAI's object, also beside `choices`, a bare
 * text, lists, vLLM's flat object, the forms of MiniMax, FastAPI and gateways.
 */
export function errorIn(value: unknown, fallback: "stream_error" | "upstream_error"): ZephError | undefined {
  if (Array.isArray(value)) {
    for (const each of value) {
      const error = isRecord(each) ? errorIn(each, fallback) : undefined;
      if (error !== undefined) return error;
    }
    return undefined;
  }
  if (!isRecord(value)) return undefined;
  const hasChoices = Array.isArray(value.choices) && value.choices.length > 0;
  if (isTold(value.error, hasChoices)) {
    const isBare = value.error === true || typeof value.error === "number";
    return serverError(isBare ? { ...value, error: undefined } : value.error, fallback);
  }
  if (Array.isArray(value.errors) && value.errors.length > 0 && !hasChoices) return serverError(value.errors, fallback);
  const { base_resp: base } = value;
  if (isRecord(base) && base.status_code !== 0 && readCount(base.status_code) !== undefined) {
    return serverError(base, fallback);
  }
  if (hasChoices) return choiceError(value.choices, fallback);
  return isFlatError(value) ? serverError(value, fallback) : undefined;
}

function isTold(error: unknown, hasChoices: boolean): boolean {
  if (error === undefined || error === null || error === false || error === 0) return false;
  if (typeof error === "string") return error.trim() !== "";
  if (Array.isArray(error)) return error.length > 0;
  return !isRecord(error) || !hasChoices || Object.values(error).some((field) => field !== null && field !== "");
}

/** OpenRouter puts an error into the choice that it ended. */
function choiceError(choices: unknown, fallback: "stream_error" | "upstream_error"): ZephError | undefined {
  for (const choice of Array.isArray(choices) ? choices : []) {
    if (isRecord(choice) && isTold(choice.error, true)) return serverError(choice.error, fallback);
  }
  return undefined;
}

/** An error whose message stands at the top. What only says that it waits is none. */
function isFlatError(value: Json): boolean {
  if (value.object === "error" || value.type === "error" || value.success === false) return true;
  if (Array.isArray(value.choices) || isRecord(value.usage)) return false;
  if (typeof value.status === "string" && /^(?:error|fail)/i.test(value.status)) return true;
  if (typeof value.status === "string" && /^(?:queue|pend|process|run|wait|ok|progress)/i.test(value.status))
    return false;
  const words = value.message ?? value.msg ?? value.detail ?? value.error_msg ?? value.error_message;
  if (typeof words === "string" && words.trim() !== "") return true;
  return value.message === undefined && Array.isArray(value.detail) && value.detail.length > 0;
}
