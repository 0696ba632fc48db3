import { ZephError } from "../errors.ts";
import { joinDeltas, openChoice } from "./chat-choice.ts";
import {
  type ChatChunk,
  type ChatCompletion,
  type ChatReadOptions,
  errorIn,
  isRecord,
  type Json,
  readCount,
  readFinishReason,
  refuseMany,
  tidyHead,
  tidyUsage,
} from "./chat-shape.ts";
import { drawId, MAX_NOTICES, modelOf } from "./chat-stream.ts";
import { offeredTools } from "./chat-text.ts";

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
export function toChunks(answer: ChatCompletion): readonly ChatChunk[] {
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
