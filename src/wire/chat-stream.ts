import { scrub } from "../base/secret.ts";
import { ZephError } from "../errors.ts";
import { joinDeltas, type OpenChoice, type OrdinaryEvent, openChoice, ordinaryEvent } from "./chat-choice.ts";
import {
  type ChatChunk,
  type ChatChunkChoice,
  type ChatReadOptions,
  errorIn,
  isRecord,
  type Json,
  parseAnswer,
  parseJson,
  readCount,
  readFinishReason,
  refuseMany,
  serverError,
  tidyHead,
  tidyUsage,
} from "./chat-shape.ts";
import { offeredTools } from "./chat-text.ts";
import { concat, type SseEvent, type SseReader, sseReader } from "./sse.ts";

export interface ChatStreamOptions extends ChatReadOptions {
  /**
   * Whether only `[DONE]` ends an answer (default), as brokers and nodes promise. Otherwise a finish reason and usage are
   * enough: some servers of others send no `[DONE]`.
   */
  readonly needsDone?: boolean | undefined;
}

/** How a stream ended. */
export type ChatStreamEnd =
  | { readonly state: "complete" | "finishedWithoutDone"; readonly error?: undefined }
  | { readonly state: "cut" | "error"; readonly error: ZephError };

/** What a stream brings, piece by piece. `raw` are bytes that may be passed on as they came; absent where they may not. */
export type ChatPiece =
  | { readonly type: "chunk"; readonly chunk: ChatChunk; readonly isUnchanged: boolean; readonly raw?: Uint8Array }
  | { readonly type: "done"; readonly isUnchanged: boolean; readonly raw?: Uint8Array };

export interface ChatStreamReader {
  /** Takes bytes as they arrive, cut anywhere. Never throws. */
  push(bytes: Uint8Array): readonly ChatPiece[];
  /** The bytes have ended: in order, or broken off. */
  end(isBroken?: boolean): { readonly pieces: readonly ChatPiece[]; readonly end: ChatStreamEnd };
  /** Set as soon as the stream is known to have failed; nothing comes after it. */
  readonly error: ZephError | undefined;
  /** Whether `[DONE]` has come: everything was said, whatever happens to the connection. */
  readonly isDone: boolean;
  /** What a person should know about the answer, in words. */
  readonly notices: readonly string[];
}

/** One stream of chat chunks, put right: see {@link ChatChunk} for what a reader may rely on. */
export function chatStreamReader(options: ChatStreamOptions = {}): ChatStreamReader {
  let pieces: ChatPiece[] = [];
  const core = chatStream(options, {
    wantsChunks: true,
    pass(buffer, start, end, chunk) {
      const raw = buffer.subarray(start, end);
      if (chunk !== undefined) pieces.push({ type: "chunk", chunk, isUnchanged: true, raw });
    },
    write: (chunk) => pieces.push({ type: "chunk", chunk, isUnchanged: false }),
    done: (raw) => pieces.push({ type: "done", isUnchanged: raw !== undefined, ...(raw === undefined ? {} : { raw }) }),
  });
  function taken(): readonly ChatPiece[] {
    const given = pieces;
    pieces = [];
    return given;
  }
  return {
    push(bytes) {
      core.push(bytes);
      return taken();
    },
    end(isBroken) {
      const end = core.end(isBroken);
      return { pieces: taken(), end };
    },
    get error() {
      return core.error;
    },
    get isDone() {
      return core.isDone;
    },
    notices: core.notices,
  };
}

export interface ChatStreamFilter extends Omit<ChatStreamReader, "push" | "end"> {
  /** Bytes to pass on: the very bytes that came where nothing had to change. Whole events only; often none. */
  push(bytes: Uint8Array): Uint8Array | undefined;
  end(isBroken?: boolean): { readonly bytes: Uint8Array | undefined; readonly end: ChatStreamEnd };
  /** The last chunk that told what the answer costs. */
  readonly usageChunk: ChatChunk | undefined;
}

/** The same for who passes a stream on: bytes in, bytes out. */
export function chatStreamFilter(options: ChatStreamOptions = {}): ChatStreamFilter {
  let parts: Uint8Array[] = [];
  /** Bytes that follow each other in memory go out as one. */
  let run: { readonly memory: ArrayBufferLike; readonly from: number; to: number } | undefined;

  /** What was written anew and is not bytes yet. */
  let text = "";

  function endText(): void {
    if (text !== "") parts.push(encoder.encode(text));
    text = "";
  }
  function endRun(): void {
    if (run !== undefined) parts.push(new Uint8Array(run.memory, run.from, run.to - run.from));
    run = undefined;
  }
  function write(more: string): void {
    endRun();
    text += more;
  }
  function taken(): Uint8Array | undefined {
    endRun();
    endText();
    const given = parts;
    if (given.length === 0) return undefined;
    parts = [];
    return given.length === 1 ? given[0] : concat(given);
  }
  function pass(buffer: Uint8Array, start: number, end: number): void {
    const memory = buffer.buffer;
    const from = buffer.byteOffset + start;
    if (run?.memory === memory && run.to === from) {
      run.to += end - start;
      return;
    }
    endRun();
    endText();
    run = { memory, from, to: from + end - start };
  }
  const core = chatStream(options, {
    wantsChunks: false,
    pass,
    write: (chunk) => write(`data: ${JSON.stringify(chunk)}\n\n`),
    done: (raw) => (raw === undefined ? write(DONE_EVENT) : pass(raw, 0, raw.length)),
  });
  return {
    push(bytes) {
      core.push(bytes);
      return taken();
    },
    end(isBroken) {
      const end = core.end(isBroken);
      if (end.state === "finishedWithoutDone") write(DONE_EVENT);
      return { bytes: taken(), end };
    },
    get error() {
      return core.error;
    },
    get isDone() {
      return core.isDone;
    },
    get usageChunk() {
      return core.usageChunk;
    },
    notices: core.notices,
  };
}

const DONE_EVENT = "data: [DONE]\n\n";

/** Who takes what comes out. */
interface Sink {
  /** Whether chunks are wanted also where their bytes may be passed on. */
  readonly wantsChunks: boolean;
  /** An event, or what stands between events (without a chunk), that may go on as it came. */
  pass(buffer: Uint8Array, start: number, end: number, chunk: ChatChunk | undefined): void;
  write(chunk: ChatChunk): void;
  done(raw: Uint8Array | undefined): void;
}

function chatStream(options: ChatStreamOptions, sink: Sink) {
  const newId = options.newId ?? drawId;
  const tools = offeredTools(options.request);
  const known = { id: "", model: "", created: readCount(options.createdSeconds) ?? 0 };
  const notices: string[] = [];
  const choices = new Map<number, OpenChoice>();
  let error: ZephError | undefined;
  let isDone = false;
  let bare = "";
  let usageChunk: ChatChunk | undefined;
  let ordinary: OrdinaryEvent | undefined;
  /** A chunk with a finish reason waits for what comes next: some servers go on speaking. */
  let waiting: { chunk: ChatChunk; raw: Uint8Array | undefined; notes: Uint8Array[] } | undefined;

  function notice(text: string): void {
    if (!notices.includes(text) && notices.length < MAX_NOTICES) notices.push(text);
  }

  function choiceAt(index: number): OpenChoice {
    const found = choices.get(index);
    if (found !== undefined) return found;
    refuseMany(choices.size + 1);
    const choice = openChoice({ ...options, newId, tools, notice });
    choices.set(index, choice);
    return choice;
  }

  // Events

  function onEvent(event: SseEvent): void {
    if (error !== undefined) return;
    if (isDone) {
      if (event.dataLines === 0 && event.isFinished) sink.pass(event.buffer, event.start, event.end, undefined);
      return;
    }
    if (event.bare !== "") onBare(event);
    if (event.dataLines === 0) {
      if (event.bare !== "" || !event.isFinished || event.hasLoneReturn) return;
      if (waiting === undefined) sink.pass(event.buffer, event.start, event.end, undefined);
      // Behind the chunk it followed.
      else if (waiting.notes.length < MAX_NOTES) waiting.notes.push(event.buffer.subarray(event.start, event.end));
      return;
    }
    const text = event.data();
    const data = withoutPrefix(text);
    if (DONE.test(data)) {
      onDone(event, text);
      return;
    }
    if (ERROR_EVENT.test(event.name)) {
      onErrorEvent(data);
      return;
    }
    const value = parseAnswer(data);
    const isOwn = event.name === "" || !OTHER_EVENT.test(event.name);
    if (value === undefined) {
      if (event.isFinished && isOwn) onText(data);
      return;
    }
    const raw =
      event.isFinished && !event.hasLoneReturn && data === text && event.bare === ""
        ? event.buffer.subarray(event.start, event.end)
        : undefined;
    onValue(value, raw, isOwn);
  }

  function onDone(event: SseEvent, text: string): void {
    finishChoices();
    isDone = true;
    const isExact =
      event.isFinished && event.dataLines === 1 && text === "[DONE]" && !event.hasLoneReturn && event.bare === "";
    sink.done(isExact ? event.buffer.subarray(event.start, event.end) : undefined);
  }

  /** Lines that are no SSE. JSON is taken for what it is; words count when the answer does not come to its end. */
  function onBare({ bare: text }: SseEvent): void {
    for (const part of [text, ...(text.includes("\n") ? text.split("\n") : [])]) {
      const value = /^\s*[[{]/.test(part) ? parseJson(part) : undefined;
      if (value === undefined) continue;
      onValue(value, undefined, true);
      if (part === text) return;
    }
    if (!/^\s*[[{]/.test(text)) bare ||= text;
  }

  function onErrorEvent(data: string): void {
    const value = parseJson(data);
    const told = value === undefined ? serverError(data, "stream_error") : errorIn(value, "stream_error");
    fail(told ?? serverError(value, "stream_error"));
  }

  /** Data that is no JSON. */
  function onText(data: string): void {
    const words = data.trim();
    if (words === "" || IDLE_WORDS.test(words)) return;
    const fault = "an event of the stream is not JSON";
    const said = words.startsWith("<") ? pageTitle(words) : words;
    fail(new ZephError("bad_response", { detail: /^[[{]/.test(words) ? fault : `${fault}: ${scrub(said)}` }));
  }

  function onValue(value: unknown, raw: Uint8Array | undefined, isOwn: boolean): void {
    if (Array.isArray(value)) {
      refuseMany(value.length);
      for (const each of value) if (isRecord(each)) onValue(each, undefined, isOwn);
      return;
    }
    if (typeof value === "string") {
      if (isOwn) onText(value);
      return;
    }
    if (!isRecord(value) || error !== undefined) return;
    const told = errorIn(value, "stream_error");
    const isChunk = Array.isArray(value.choices) || isRecord(value.usage);
    if (told === undefined && !isChunk && (!isOwn || typeof value.id !== "string")) return;
    onChunk(value, raw, told);
  }

  // Chunks

  function onChunk(value: Json, raw: Uint8Array | undefined, told: ZephError | undefined): void {
    let isUnchanged = raw !== undefined;
    if (typeof value.id === "string" && known.id === "") known.id = value.id;
    else if (typeof value.id === "number" && known.id === "") known.id = String(value.id);
    if (typeof value.model === "string" && value.model !== "") known.model = value.model;
    else if (known.model === "") known.model = modelOf(options);
    if (known.id === "" && (value.id === undefined || value.id === null || value.id === ""))
      known.id = `chatcmpl-${newId()}`;
    known.created = readCount(value.created, Math.floor) ?? known.created;
    if (tidyHead(value, "chat.completion.chunk", known)) isUnchanged = false;
    if (told === undefined && typeof value.error === "object" && value.error !== null) {
      // An empty object: clients would take it for an error.
      delete value.error;
      isUnchanged = false;
    }
    if (!isRecord(value.usage)) liftUsage(value);
    if (tidyUsage(value)) isUnchanged = false;
    let failure = told;
    const before: Json[] = [];
    const tidied: Json[] = [];
    let waits = false;
    let single: OpenChoice | undefined;
    const list = Array.isArray(value.choices) ? value.choices : [];
    refuseMany(list.length);
    if (list !== value.choices) isUnchanged = false;
    for (const [position, given] of list.entries()) {
      if (!isRecord(given)) {
        isUnchanged = false;
        continue;
      }
      const result = tidyChoice(given, position);
      if (result.isChanged) isUnchanged = false;
      if (result.rest !== undefined) before.push({ index: given.index, delta: result.rest, finish_reason: null });
      if (result.failure !== undefined) failure ??= result.failure;
      if (given.finish_reason !== null || result.choice.isProvisional) waits = true;
      single = list.length === 1 ? result.choice : undefined;
      tidied.push(given);
    }
    if (!isUnchanged) value.choices = tidied;
    const chunk = value as ChatChunk;
    if (isRecord(chunk.usage)) usageChunk = chunk;
    if (failure !== undefined) {
      // Words that came with the error are still words.
      const spoken = tidied.filter(hasWords).map((choice) => ({ ...choice, finish_reason: null }));
      release(wordsIn(spoken));
      if (spoken.length > 0) sink.write({ ...chunk, choices: spoken as ChatChunk["choices"] });
      fail(failure);
      return;
    }
    release(wordsIn([...before, ...tidied]));
    if (before.length > 0) {
      const { usage: _usage, ...head } = chunk;
      sink.write({ ...head, choices: before as ChatChunk["choices"] } as ChatChunk);
    }
    if (waits) waiting = { chunk, raw: isUnchanged ? raw : undefined, notes: [] };
    else if (isUnchanged && raw !== undefined) {
      if (single !== undefined && !isRecord(chunk.usage)) ordinary = ordinaryEvent(raw, chunk, single) ?? ordinary;
      sink.pass(raw, 0, raw.length, chunk);
    } else if (tidied.length > 0 || list.length === 0) sink.write(chunk);
  }

  /** Moonshot tells the usage inside the last choice. */
  function liftUsage(value: Json): void {
    for (const choice of Array.isArray(value.choices) ? value.choices : []) {
      if (isRecord(choice) && isRecord(choice.usage)) value.usage = { ...choice.usage };
    }
  }

  /** Lets the waiting chunk go. When words follow after all, its reason is not the end. */
  function release(wordsFollow: ReadonlySet<unknown>): void {
    if (waiting === undefined) return;
    const { chunk, notes } = waiting;
    let { raw } = waiting;
    waiting = undefined;
    let isEmpty = false;
    for (const choice of chunk.choices) {
      const open = choices.get(choice.index);
      if (open?.settle(choice.delta) === true) raw = undefined;
      if (choice.finish_reason === null || !wordsFollow.has(choice.index)) continue;
      choice.finish_reason = null;
      if (open !== undefined) open.isFinished = false;
      raw = undefined;
      isEmpty = true;
    }
    const saysNothing = ({ delta, finish_reason: reason }: ChatChunkChoice) => reason === null && !hasWords({ delta });
    const isNeeded = !isEmpty || !chunk.choices.every(saysNothing) || isRecord(chunk.usage);
    if (raw !== undefined) sink.pass(raw, 0, raw.length, chunk);
    else if (isNeeded) sink.write(chunk);
    for (const note of notes) sink.pass(note, 0, note.length, undefined);
  }

  interface TidiedChoice {
    readonly choice: OpenChoice;
    readonly isChanged: boolean;
    /** What must go out before the finish reason. */
    readonly rest?: Json;
    readonly failure?: ZephError;
  }

  function tidyChoice(given: Json, position: number): TidiedChoice {
    let isChanged = false;
    if (given.index === undefined || readCount(given.index) !== given.index) {
      given.index = readCount(given.index) ?? position;
      isChanged = true;
    }
    const choice = choiceAt(given.index as number);
    if (!isRecord(given.delta)) {
      const { message, text } = given;
      given.delta = isRecord(message) ? message : typeof text === "string" ? { content: text } : {};
      delete given.message;
      delete given.text;
      isChanged = true;
    }
    const delta = given.delta as Json;
    if (choice.tidy(delta)) isChanged = true;
    const { reason, notice: told } = readFinishReason(given.finish_reason);
    if (told !== undefined) notice(told);
    if (reason === null || reason === "error") {
      if (given.finish_reason !== undefined && given.finish_reason !== null) isChanged = true;
      given.finish_reason = null;
      const failure =
        reason === "error"
          ? new ZephError("stream_error", { detail: "the endpoint gave up in the middle of the answer" })
          : undefined;
      return { choice, isChanged, ...(failure && { failure }) };
    }
    const rest = choice.rest(reason === "length");
    const meant = choice.meantReason(reason);
    if (meant !== given.finish_reason) {
      given.finish_reason = meant;
      isChanged = true;
    }
    choice.isFinished = true;
    if (rest === undefined) return { choice, isChanged };
    // The words of the last delta stand in front of the rest.
    const joined = joinDeltas(delta, rest);
    given.delta = {};
    return { choice, isChanged: true, rest: joined };
  }

  /** Nothing more will come: what is held back goes out. */
  function finishChoices(): void {
    const rests: Json[] = [];
    for (const [index, choice] of choices) {
      const rest = choice.isFinished ? undefined : choice.rest(true);
      if (rest !== undefined) rests.push({ index, delta: rest, finish_reason: null });
    }
    release(NO_WORDS);
    if (rests.length > 0) sink.write(ownChunk(rests));
    const [first] = choices.values();
    if (first === undefined && usageChunk !== undefined) {
      // An answer of no words that was counted, and charged: decoders want to hear why it ended.
      sink.write(ownChunk([{ index: 0, delta: {}, finish_reason: "stop" }]));
    } else if ([...choices.values()].some(({ isFinished }) => !isFinished)) {
      notice("the endpoint did not say why the answer ended; it may be incomplete");
    }
  }

  function ownChunk(list: readonly Json[]): ChatChunk {
    if (known.model === "") known.model = modelOf(options);
    const { id, created, model } = known;
    return { id, object: "chat.completion.chunk", created, model, choices: list as unknown as ChatChunk["choices"] };
  }

  function fail(thrown: ZephError): void {
    if (error === undefined && !isDone) {
      const rests: Json[] = [];
      for (const [index, choice] of choices) {
        const rest = choice.isFinished ? undefined : choice.rest(true);
        if (rest !== undefined) rests.push({ index, delta: rest, finish_reason: null });
      }
      if (rests.length > 0) sink.write(ownChunk(rests));
    }
    error ??= thrown;
  }

  /** The quick way past events like the one before. */
  function skim(buffer: Uint8Array, start: number, limit: number): number {
    if (ordinary === undefined || error !== undefined || isDone || waiting !== undefined) return 0;
    const end = ordinary.match(buffer, start, limit);
    if (end > 0) sink.pass(buffer, start, end, sink.wantsChunks ? ordinary.chunkOf(buffer, start, end) : undefined);
    return end;
  }

  function guarded(run: () => void): void {
    try {
      run();
    } catch (thrown) {
      fail(ZephError.is(thrown) ? thrown : new ZephError("internal", { cause: thrown }));
    }
  }

  const events: SseReader = sseReader({ event: onEvent, skim });

  return {
    push(bytes: Uint8Array): void {
      if (error === undefined) guarded(() => events.push(bytes));
    },
    end(isBroken = false): ChatStreamEnd {
      if (error === undefined) guarded(() => events.end());
      if (error !== undefined) return { state: "error", error };
      const isFinished = choices.size > 0 && [...choices.values()].every((choice) => choice.isFinished);
      if (bare !== "" && !isFinished) {
        fail(serverError(bare, "stream_error"));
        return { state: "error", error: error ?? serverError(bare, "stream_error") };
      }
      if (isDone) return { state: "complete" };
      finishChoices();
      if (!isBroken && isFinished && usageChunk !== undefined && options.needsDone === false) {
        notice("the endpoint did not mark the end of its answer");
        return { state: "finishedWithoutDone" };
      }
      return { state: "cut", error: streamCut(isBroken) };
    },
    get error() {
      return error;
    },
    get isDone() {
      return isDone;
    },
    get usageChunk() {
      return usageChunk;
    },
    notices: notices as readonly string[],
  };
}

/** What is odd about one answer, as far as anybody reads it. */
export const MAX_NOTICES = 8;

/** Comments that wait with a chunk. */
const MAX_NOTES = 64;

const DONE = /^\s*"?\[DONE\]"?\s*$/i;
const ERROR_EVENT = /^(?:.*[._-])?error$/i;

/** Events that are about the connection. What they hold is no part of the answer. */
const OTHER_EVENT = /^(?:ping|pong|heartbeat|keep-?alive|status|info|metadata|queue|progress|open|connected)/i;
const IDLE_WORDS = /^(?:\[?(?:ping|pong|keep-?alive|heartbeat|processing|waiting|connected|ok|start)\]?)\W*$/i;

/** Some proxies put the prefix in front of lines that have it. */
function withoutPrefix(text: string): string {
  return text.startsWith("data:") ? text.replace(/^(?:data:\s*)+/, "") : text;
}

/** A page's title stands at its beginning. */
const MAX_TITLE_CHARS = 4096;

/** The words of a web page that are worth a line. */
export function pageTitle(page: string): string {
  const begin = page.slice(0, MAX_TITLE_CHARS);
  const title = /<title[^>]*>([\s\S]*?)<\/title>/i.exec(begin) ?? /<h1[^>]*>([\s\S]*?)<\/h1>/i.exec(begin);
  return title?.[1] === undefined || title[1].trim() === ""
    ? "a web page came instead of an answer"
    : `a web page came instead of an answer: ${title[1].trim()}`;
}

function streamCut(isBroken: boolean): ZephError {
  const detail = isBroken ? "the connection was closed" : "the stream ended without [DONE]";
  return new ZephError("stream_cut", { detail });
}

/** The model that was asked. */
export function modelOf({ request }: Pick<ChatReadOptions, "request">): string {
  const model = request?.()?.model;
  return typeof model === "string" ? model : "";
}

export function drawId(): string {
  return `call_${crypto.randomUUID().replaceAll("-", "").slice(0, 24)}`;
}

function hasWords(choice: unknown): boolean {
  const delta = isRecord(choice) ? choice.delta : undefined;
  if (!isRecord(delta)) return false;
  const { content, reasoning_content: reasoning, tool_calls: calls, refusal } = delta;
  return isText(content) || isText(reasoning) || isText(refusal) || (Array.isArray(calls) && calls.length > 0);
}

const NO_WORDS: ReadonlySet<unknown> = new Set();

/** The indexes of those choices that say something. */
function wordsIn(choices: readonly Json[]): ReadonlySet<unknown> {
  const spoken = choices.filter(hasWords);
  return spoken.length === 0 ? NO_WORDS : new Set(spoken.map(({ index }) => index));
}

function isText(value: unknown): boolean {
  return typeof value === "string" && value !== "";
}

const encoder = new TextEncoder();
