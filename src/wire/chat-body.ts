import { scrub } from "../base/secret.ts";
import { ZephError } from "../errors.ts";
import { joinDeltas, openChoice } from "./chat-choice.ts";
import {
  type ChatChunk,
  type ChatCompletion,
  type ChatReadOptions,
  errorIn,
  isRecord,
  type Json,
  parseAnswer,
  parseJson,
  readCount,
  readFinishReason,
  refuseMany,
  tidyHead,
  tidyUsage,
} from "./chat-shape.ts";
import {
  type ChatStreamEnd,
  type ChatStreamFilter,
  type ChatStreamOptions,
  type ChatStreamReader,
  chatStreamFilter,
  chatStreamReader,
  drawId,
  MAX_NOTICES,
  modelOf,
  pageTitle,
} from "./chat-stream.ts";
import { offeredTools } from "./chat-text.ts";
import { concat, decode } from "./sse.ts";

/** What a body with a good status turned out to be, whatever its content type says. */
type BodyForm = "events" | "json" | "page" | "text";

export interface ChatBodyOptions extends ChatStreamOptions {
  /** What the request asked for. The answer is brought into this form. */
  readonly asked: "stream" | "whole";
  /** The content type that was announced. A hint only. */
  readonly contentType?: string | null | undefined;
  /** Names of fields to leave out of an answer that is put together. */
  readonly isUnwanted?: ((name: string) => boolean) | undefined;
}

interface ChatBodyEnd {
  /** The last bytes of a stream; the whole answer where that was asked for. */
  readonly bytes: Uint8Array | undefined;
  readonly end: ChatStreamEnd;
  /** The whole answer, where that was asked for and came. */
  readonly answer?: ChatCompletion | undefined;
}

/** Reads the body of a chat answer while it arrives. */
export interface ChatBodyReader {
  /** Undefined until enough has arrived to tell. */
  readonly form: BodyForm | undefined;
  /** Takes bytes; gives those that may be passed on, in the form that was asked for. Never throws. */
  push(bytes: Uint8Array): Uint8Array | undefined;
  /** The bytes have ended: in order, or broken off. */
  end(isBroken?: boolean): ChatBodyEnd;
  /** Set as soon as it is clear that the answer failed; nothing comes after it. */
  readonly error: ZephError | undefined;
  /** Whether `[DONE]` has come. */
  readonly isDone: boolean;
  readonly notices: readonly string[];
  /** The chunk or answer that told what was used. */
  readonly usageIn: Readonly<Record<string, unknown>> | undefined;
}

/** A whole answer beyond this is refused while it arrives. */
const MAX_WHOLE_BYTES = 64 * 1024 * 1024;

/** An answer of one JSON value a line; a line is a word or two. */
const MAX_LINES = 100_000;

/** Of a page or text this much is read for its words. */
const MAX_TEXT_BYTES = 64 * 1024;

/** Enough to recognise a form. */
const MAX_HEAD_BYTES = 4096;

/** Recognises what comes (events, JSON, a web page, text) and brings it into the form that was asked for. */
export function chatBodyReader(options: ChatBodyOptions): ChatBodyReader {
  const { asked, contentType } = options;
  const isAnnounced = /^\s*text\/event-stream\b/i.test(contentType ?? "");
  let form: BodyForm | undefined;
  let filter: ChatStreamFilter | undefined;
  let reader: ChatStreamReader | undefined;
  const assembler = chatAssembler(options.isUnwanted);
  let held: Uint8Array[] = [];
  let heldBytes = 0;
  let totalBytes = 0;
  let error: ZephError | undefined;
  let usageIn: Readonly<Record<string, unknown>> | undefined;
  let notices: readonly string[] = [];

  function hold(bytes: Uint8Array): void {
    heldBytes += bytes.length;
    held.push(bytes);
  }
  function taken(): Uint8Array {
    const all = held.length === 1 && held[0] !== undefined ? held[0] : concat(held);
    held = [];
    heldBytes = 0;
    return all;
  }

  function pushEvents(bytes: Uint8Array): Uint8Array | undefined {
    if (asked === "stream") {
      filter ??= chatStreamFilter(options);
      return filter.push(bytes);
    }
    reader ??= chatStreamReader({ ...options, isPatient: true });
    collect(reader.push(bytes));
    return undefined;
  }
  function collect(pieces: ReturnType<ChatStreamReader["push"]>): void {
    for (const piece of pieces) {
      if (piece.type !== "chunk") continue;
      assembler.add(piece.chunk);
      if (isRecord(piece.chunk.usage)) usageIn = piece.chunk;
    }
  }

  function failed(thrown: unknown): ChatBodyEnd {
    error = ZephError.is(thrown) ? thrown : new ZephError("internal", { cause: thrown });
    return { bytes: undefined, end: { state: "error", error } };
  }

  function endEvents(isBroken = false): ChatBodyEnd {
    if (asked === "stream") {
      filter ??= chatStreamFilter(options);
      const { bytes, end } = filter.end(isBroken);
      error ??= end.error;
      return { bytes, end };
    }
    reader ??= chatStreamReader({ ...options, isPatient: true });
    const { pieces, end } = reader.end(isBroken);
    collect(pieces);
    notices = reader.notices;
    if (end.error !== undefined) {
      error ??= end.error;
      return { bytes: undefined, end };
    }
    const answer = assembler.finish();
    return { bytes: encoder.encode(JSON.stringify(answer)), end, answer };
  }

  function endJson(): ChatBodyEnd {
    const body = taken();
    const text = textOf(body);
    const doneAt = doneBehind(text);
    const whole = parseAnswer(text) ?? (doneAt === -1 ? undefined : parseAnswer(text.slice(0, doneAt)));
    if (whole === undefined) return endJsonLines(body, text);
    const { answer, isUnchanged, notices: told } = readChatAnswer(whole, options);
    notices = told;
    usageIn = answer;
    if (answer === undefined && asked === "stream") {
      throw new ZephError("bad_response", { detail: "the answer holds no choices" });
    }
    if (asked === "whole" || answer === undefined) {
      const isAsCame = isUnchanged && doneAt === -1 && body[0] !== MARK;
      return { bytes: isAsCame ? body : encoder.encode(JSON.stringify(answer)), end: COMPLETE, answer };
    }
    const events = toChunks(answer).map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`);
    return { bytes: encoder.encode(`${events.join("")}data: [DONE]\n\n`), end: COMPLETE };
  }

  /** Several JSON values, one a line, or events behind JSON: the lines are events without their prefix. */
  function endJsonLines(body: Uint8Array, text: string): ChatBodyEnd {
    const lines = text.split(/\r\n|\n|\r/).filter((line) => line.trim() !== "");
    if (lines.length > MAX_LINES) throw new ZephError("response_too_large", { detail: `more than ${MAX_LINES} lines` });
    if (lines.length < 2 || !lines.some((line) => isRecord(parseJson(line.replace(/^data:/, ""))))) {
      throw new ZephError("bad_response", {
        detail: isAnnounced ? "an event of the stream is not JSON" : "the answer is not valid JSON",
      });
    }
    form = "events";
    const events = lines.map((line) => (FIELD.test(line) ? `${line}\n\n` : `data: ${line}\n\n`));
    const bytes = pushEvents(body.length === 0 ? body : encoder.encode(events.join("")));
    const ended = endEvents();
    if (bytes === undefined) return ended;
    return { ...ended, bytes: ended.bytes === undefined ? bytes : concat([bytes, ended.bytes]) };
  }

  function endWords(): ChatBodyEnd {
    const text = textOf(taken());
    if (text.trim() === "") {
      if (isAnnounced) return endEvents();
      throw new ZephError("bad_response", { detail: "the answer was empty" });
    }
    if (form === "page") throw new ZephError("bad_response", { detail: scrub(pageTitle(text)) });
    throw new ZephError(isAnnounced ? "stream_error" : "bad_response", { detail: scrub(text) });
  }

  return {
    get form() {
      return form;
    },
    push(bytes) {
      if (error !== undefined || bytes.length === 0) return undefined;
      totalBytes += bytes.length;
      if (form === "events") {
        if (asked === "whole" && totalBytes > MAX_WHOLE_BYTES) error = new ZephError("response_too_large");
        return error === undefined ? pushEvents(bytes) : undefined;
      }
      if ((form === "page" || form === "text") && heldBytes > MAX_TEXT_BYTES) return undefined;
      if (totalBytes > MAX_WHOLE_BYTES) {
        error = new ZephError("response_too_large");
        held = [];
        return undefined;
      }
      // Blank lines keep a connection alive while the answer is made; nothing depends on them.
      if (heldBytes === 0 && bytes.every(isBlank)) return undefined;
      hold(bytes);
      if (form !== undefined) return undefined;
      form = recognise(held, heldBytes, isAnnounced);
      return form === "events" ? pushEvents(taken()) : undefined;
    },
    end(isBroken = false) {
      try {
        if (error !== undefined) return { bytes: undefined, end: { state: "error", error } };
        if (form === "events") return endEvents(isBroken);
        if (isBroken) {
          error = new ZephError("stream_cut", { detail: "the connection was closed in the middle of the answer" });
          return { bytes: undefined, end: { state: "cut", error } };
        }
        if (form === "json") return endJson();
        if (form === undefined && heldBytes > 0 && FIELD.test(textOf(concat(held)).trimStart())) {
          form = "events";
          const bytes = pushEvents(taken());
          const ended = endEvents();
          return { ...ended, bytes: ended.bytes ?? bytes };
        }
        return endWords();
      } catch (thrown) {
        return failed(thrown);
      }
    },
    get error() {
      return error ?? filter?.error ?? reader?.error;
    },
    get isDone() {
      return filter?.isDone === true || reader?.isDone === true;
    },
    get notices() {
      return filter?.notices ?? reader?.notices ?? notices;
    },
    get usageIn() {
      return filter?.usageChunk ?? usageIn;
    },
  };
}

const encoder = new TextEncoder();
const COMPLETE: ChatStreamEnd = { state: "complete" };
function isBlank(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

/** First byte of a byte order mark. */
const MARK = 0xef;

/** The end mark of a stream behind a whole answer. */
const DONE_BEHIND = /\s*(?:data:\s*)?"?\[DONE\]"?\s*$/i;
const MAX_MARK_CHARS = 64;

/** Where it begins; -1 where there is none. Looks at the end only: whole answers are long. */
function doneBehind(text: string): number {
  const from = Math.max(0, text.length - MAX_MARK_CHARS);
  const at = text.slice(from).search(DONE_BEHIND);
  return at === -1 ? -1 : from + at;
}

const FIELD = /^(?:(?:data|event|id|retry)[ \t]*(?::|$)|:)/;
const FIELDS = ["data:", "event:", "id:", "retry:"];

/** What begins like this; undefined while more is needed. */
function recognise(held: readonly Uint8Array[], heldBytes: number, isAnnounced: boolean): BodyForm | undefined {
  const [first] = held;
  const bytes = held.length === 1 && first !== undefined ? first : concat(held);
  const begin = textOf(bytes.subarray(0, MAX_HEAD_BYTES)).trimStart();
  if (begin === "" || begin === "\ufffd") return heldBytes > MAX_HEAD_BYTES && isAnnounced ? "events" : undefined;
  if (FIELD.test(begin)) return "events";
  if (/^[[{]/.test(begin)) return "json";
  if (begin.startsWith("<")) return "page";
  if (FIELDS.some((field) => field.startsWith(begin))) return undefined;
  return isAnnounced || /\n(?:data|event):/.test(begin) ? "events" : "text";
}

function textOf(bytes: Uint8Array): string {
  const text = decode(bytes);
  return text.startsWith("\ufeff") ? text.slice(1) : text;
}

/** A whole answer, put right. */
interface ReadAnswer {
  /** Undefined for JSON that holds no answer. */
  readonly answer: ChatCompletion | undefined;
  /** Whether the JSON it was read from may be passed on as it came. */
  readonly isUnchanged: boolean;
  readonly notices: readonly string[];
}

/**
 * Reads a whole answer (parsed JSON; it is changed in place). Throws `upstream_error`, or what the server named, for an
 * error with a good status; `bad_response` for what is no JSON object.
 */
export function readChatAnswer(given: unknown, options: ChatReadOptions = {}): ReadAnswer {
  const value = Array.isArray(given) && given.length === 1 ? given[0] : given;
  const error = errorIn(given, "upstream_error");
  if (error !== undefined) throw error;
  if (!isRecord(value)) throw new ZephError("bad_response", { detail: "the answer is not a JSON object" });
  if (!Array.isArray(value.choices) && isRecord(value.message)) {
    value.choices = [{ index: 0, message: value.message, finish_reason: value.done_reason }];
    delete value.message;
  }
  // Something else than an answer, which says nothing of an error: nobody's to judge here.
  if (!Array.isArray(value.choices) || !value.choices.some(isRecord)) {
    return { answer: undefined, isUnchanged: true, notices: [] };
  }
  refuseMany(value.choices.length);
  const notices: string[] = [];
  const newId = options.newId ?? drawId;
  const tools = offeredTools(options.request);
  const known = {
    id: `chatcmpl-${typeof value.id === "string" && value.id !== "" ? "" : newId()}`,
    model: typeof value.model === "string" && value.model !== "" ? value.model : modelOf(options),
    created: readCount(options.createdSeconds) ?? 0,
  };
  let isUnchanged = value === given && !tidyHead(value, "chat.completion", known);
  if (value !== given) tidyHead(value, "chat.completion", known);
  if (tidyUsage(value)) isUnchanged = false;
  const list: readonly unknown[] = value.choices;
  const choices = list.filter(isRecord);
  if (choices.length !== list.length) {
    value.choices = choices;
    isUnchanged = false;
  }
  for (const [position, choice] of choices.entries()) {
    const isSound = readChoice(choice, position, {
      newId,
      tools,
      thinking: options.thinking,
      isPatient: true,
      notice: (text) => notices.includes(text) || notices.length >= MAX_NOTICES || notices.push(text),
    });
    if (!isSound) isUnchanged = false;
  }
  return { answer: value as unknown as ChatCompletion, isUnchanged, notices };
}

/** Puts one choice right, in place. True when there was nothing to do. */
function readChoice(choice: Json, position: number, options: Parameters<typeof openChoice>[0]): boolean {
  const open = openChoice(options);
  let isSound = true;
  if (choice.index === undefined || readCount(choice.index) !== choice.index) {
    choice.index = readCount(choice.index) ?? position;
    isSound = false;
  }
  if (!isRecord(choice.message)) {
    const { delta, text } = choice;
    choice.message = isRecord(delta) ? delta : { content: typeof text === "string" ? text : null };
    delete choice.delta;
    delete choice.text;
    isSound = false;
  }
  const { reason, notice } = readFinishReason(choice.finish_reason);
  if (notice !== undefined) options.notice(notice);
  if (reason === "error") {
    throw new ZephError("upstream_error", { detail: "the endpoint gave up in the middle of the answer" });
  }
  const { tool_calls: given, ...words } = choice.message as Json;
  const message: Json = words;
  if (open.tidy(message)) isSound = false;
  const calls: Json = { tool_calls: withIndexes(given) };
  open.tidy(calls);
  const rest = open.rest(reason === "length");
  const { tool_calls: pieces, ...joined } = joinDeltas(joinDeltas(message, calls), rest ?? {});
  if (joined.content !== message.content || joined.reasoning_content !== message.reasoning_content) isSound = false;
  if (joined.role !== "assistant") {
    joined.role = "assistant";
    isSound = false;
  }
  if (typeof joined.content !== "string" && joined.content !== null) {
    joined.content = null;
    isSound = false;
  }
  const whole = joinCalls(pieces);
  if (!isSameCalls(given, whole)) isSound = false;
  const meant = open.meantReason(reason ?? "stop");
  if (meant !== choice.finish_reason) isSound = false;
  choice.finish_reason = meant;
  const hasCalls = whole.length > 0 || (Array.isArray(given) && isSameCalls(given, whole));
  choice.message = { ...joined, ...(hasCalls ? { tool_calls: whole } : {}) };
  return isSound;
}

/** Calls of a whole answer stand for themselves: each is one, whatever its id or index. */
function withIndexes(given: unknown): unknown {
  const list = Array.isArray(given) ? given : isRecord(given) ? [given] : [];
  return list.filter(isRecord).map((call, index) => ({ ...call, index }));
}

/** Pieces of calls, joined by their index. */
function joinCalls(pieces: unknown): Json[] {
  const calls = new Map<unknown, Json & { function: { name: string; arguments: string } }>();
  for (const piece of Array.isArray(pieces) ? pieces : []) {
    if (!isRecord(piece)) continue;
    const { index, id, type, function: target, ...others } = piece;
    const { name, arguments: text, ...more } = isRecord(target) ? target : {};
    const call = calls.get(index) ?? { id, type, function: { name: "", arguments: "" } };
    calls.set(index, Object.assign(call, others));
    if (typeof name === "string" && call.function.name === "") call.function.name = name;
    if (typeof text === "string") call.function.arguments += text;
    Object.assign(call.function, more);
  }
  return [...calls].sort(([a], [b]) => Number(a) - Number(b)).map(([, call]) => call);
}

function isSameCalls(given: unknown, calls: readonly Json[]): boolean {
  if (given === undefined || given === null) return calls.length === 0;
  if (!Array.isArray(given) || given.length !== calls.length) return false;
  return calls.every((call, at) => {
    const before: unknown = given[at];
    if (!isRecord(before) || !isRecord(before.function) || !isRecord(call.function)) return false;
    return (
      before.id === call.id &&
      before.type === call.type &&
      before.function.name === call.function.name &&
      before.function.arguments === call.function.arguments
    );
  });
}

/** Puts a whole answer together from its chunks. */
interface ChatAssembler {
  add(chunk: ChatChunk): void;
  /** Throws `bad_response` when there was no answer in the stream. */
  finish(): ChatCompletion;
}

/** @param isUnwanted names of fields that the caller did not ask for */
export function chatAssembler(isUnwanted: (name: string) => boolean = () => false): ChatAssembler {
  const head: Json = {};
  const choices = new Map<number, { delta: Json; fields: Json; calls: unknown[]; finish: unknown }>();
  return {
    add(chunk) {
      for (const [name, value] of Object.entries(chunk)) {
        if (name === "choices" || name === "__proto__" || value === null || isUnwanted(name)) continue;
        // The first chunk names the answer; usage and what brokers add come with a later one.
        if (head[name] === undefined || (name !== "id" && name !== "created")) head[name] = value;
      }
      for (const { index, delta, finish_reason: finish, ...fields } of chunk.choices) {
        const open = choices.get(index) ?? { delta: {}, fields: {}, calls: [], finish: null };
        choices.set(index, open);
        const { tool_calls: calls, role: _role, ...words } = delta;
        open.calls.push(...(calls ?? []));
        mergeInto(open.delta, words, isUnwanted);
        mergeInto(open.fields, fields, isUnwanted);
        open.finish = finish ?? open.finish;
      }
    },
    finish() {
      if (choices.size === 0) throw new ZephError("bad_response", { detail: "the stream held no answer" });
      const finished = [...choices]
        .sort(([a], [b]) => a - b)
        .map(([index, { delta, fields, calls, finish }]) => {
          const { content, ...others } = delta;
          const whole = joinCalls(calls);
          const isCall = whole.length > 0 || others.function_call !== undefined;
          const hasOthers = Object.values(others).some((value) => typeof value === "string" && value !== "");
          return {
            index,
            message: {
              role: "assistant",
              // Null where something else was said, as in answers that were not streamed.
              content: content || (isCall || hasOthers || content === undefined ? null : ""),
              ...others,
              ...(whole.length === 0 ? {} : { tool_calls: whole }),
            },
            ...fields,
            // An answer that does not say why it ended may have been cut; no other word of OpenAI's says that.
            finish_reason: finish ?? "length",
          };
        });
      return { ...head, object: "chat.completion", choices: finished } as unknown as ChatCompletion;
    },
  };
}

/** Texts and lists grow, objects grow by their fields, everything else is replaced by what comes later. */
function mergeInto(target: Json, source: Json, isUnwanted: (name: string) => boolean): void {
  for (const [name, value] of Object.entries(source)) {
    if (value === null || value === undefined || name === "__proto__" || isUnwanted(name)) continue;
    const before = target[name];
    if (typeof value === "string" && typeof before === "string") target[name] = before + value;
    else if (Array.isArray(value)) target[name] = [...(Array.isArray(before) ? before : []), ...value];
    else if (isRecord(value)) {
      const merged = isRecord(before) ? before : {};
      mergeInto(merged, value, isUnwanted);
      target[name] = merged;
    } else target[name] = value;
  }
}

/** A whole answer as the chunks of a stream: the words, then why it ended and what it used. */
function toChunks(answer: ChatCompletion): readonly ChatChunk[] {
  const { choices, usage, ...head } = answer;
  const shared = { ...head, object: "chat.completion.chunk" as const };
  const words = choices.map(({ message, finish_reason: _finish, ...choice }) => {
    const { tool_calls: calls, ...delta } = message;
    const pieces = calls?.map((call, index) => ({ index, ...call }));
    return {
      ...choice,
      delta: { ...delta, ...(pieces === undefined ? {} : { tool_calls: pieces }) },
      finish_reason: null,
    };
  });
  const ends = choices.map(({ index, finish_reason }) => ({ index, delta: {}, finish_reason }));
  return [
    { ...shared, choices: words },
    { ...shared, choices: ends, ...(usage === undefined ? {} : { usage }) },
  ];
}
