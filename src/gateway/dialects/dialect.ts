import { asObject, type JsonObject } from "../../base/json.ts";
import { ZephError } from "../../errors.ts";
import { NETWORK_LIMITS } from "../../rules/parameters.ts";
import type { ChatChunk, ChatCompletion, ChatUsage } from "../../wire/chat-shape.ts";

/** A request of another API as a chat request, with what is needed to answer in that API's own words. */
export interface Translation<Context> {
  /** Body for `/chat/completions`. The network's own rules are applied to it afterwards. */
  readonly chat: JsonObject;
  /** What the network has none of, by name. The caller is told. */
  readonly dropped: readonly string[];
  readonly context: Context;
}

/** An answer on its way out as server-sent events. Every method gives text ready to be sent, empty when there is nothing to say. */
export interface AnswerEvents {
  /** Before anything is known of the answer. */
  begin(): string;
  add(chunk: ChatChunk): string;
  /** After the last chunk. */
  end(): string;
  /** Instead of {@link end}, when the answer breaks off. */
  fail(error: ZephError): string;
  /** Keeps the connection alive while the model is silent. */
  ping(): string;
  /** The answer so far as one document: what a caller who wants no stream gets after the end. */
  document(): JsonObject;
}

/** A refusal before the answer began. */
export interface Refusal {
  readonly status: number;
  readonly body: JsonObject;
}

/** Time and ids come from outside, so that the same input gives the same output. */
export interface Stamps {
  /** Unix time in milliseconds. */
  nowMs(): number;
  /** A new random id: letters and digits. */
  newId(): string;
}

/** A whole answer as one chunk, so that both ways through a dialect are the same code. */
export function asChunk({ choices, object: _object, ...head }: ChatCompletion): ChatChunk {
  return {
    ...head,
    object: "chat.completion.chunk",
    choices: choices.map(({ message: { tool_calls: calls = [], ...words }, ...choice }) => ({
      ...choice,
      delta: { ...words, tool_calls: calls.map((call, index) => ({ ...call, index })) },
    })),
  };
}

/** A whole answer through the events of a dialect. */
export function wholeAnswer(events: AnswerEvents, completion: ChatCompletion): JsonObject {
  events.begin();
  events.add(asChunk(completion));
  events.end();
  return events.document();
}

/** One server-sent event whose name is repeated in its data, as both Responses and Messages have it. */
export function eventText(data: { readonly type: string } & JsonObject): string {
  return `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`;
}

/** `invalid_request` about one field. @param at its path in the caller's own body */
export function refused(at: string, why: string): ZephError {
  return new ZephError("invalid_request", { detail: `${at}: ${why}` });
}

/** The fields that are given: neither missing nor null. */
export function given(fields: JsonObject): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined && value !== null));
}

export function asText(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

export function asList(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** A whole number of tokens, 0 when there is none. */
export function tokenCount(value: unknown): number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : 0;
}

const SEAL = "zeph.";

/**
 * Text in the opaque form that callers store and send back (`encrypted_content`, `signature`). It keeps nothing secret:
 * the text is the caller's own, and stands beside it in most answers.
 */
export function seal(text: string): string {
  return `${SEAL}${Buffer.from(text).toString("base64url")}`;
}

/** The text in a seal of ours; undefined for those of others. */
export function unseal(sealed: unknown): string | undefined {
  if (typeof sealed !== "string" || !sealed.startsWith(SEAL)) return undefined;
  return Buffer.from(sealed.slice(SEAL.length), "base64url").toString("utf8");
}

/** Header of an answer whose number of tokens is {@link estimateTokens}. */
export const ESTIMATE_HEADERS = { "x-zeph-token-count": "estimate" } as const;

/** What wraps one message in most chat templates. */
const TOKENS_PER_MESSAGE = 4;

/** A picture of ordinary size; models differ widely. */
const TOKENS_PER_MEDIA = 1000;

/**
 * About how many tokens a chat request is. An estimate, made without the model's tokenizer: within a quarter or so for
 * prose and code in any script.
 */
export function estimateTokens({ messages, tools, response_format: format }: JsonObject): number {
  let tokens = 3;
  for (const each of asList(messages)) {
    const message = asObject(each) ?? {};
    tokens += TOKENS_PER_MESSAGE + contentTokens(message.content) + contentTokens(message.reasoning_content);
    if (message.tool_calls !== undefined) tokens += textTokens(JSON.stringify(message.tool_calls));
  }
  if (tools !== undefined) tokens += textTokens(JSON.stringify(tools));
  if (format !== undefined) tokens += textTokens(JSON.stringify(format));
  return tokens;
}

function contentTokens(content: unknown): number {
  if (typeof content === "string") return textTokens(content);
  let tokens = 0;
  for (const part of asList(content)) {
    const text = asText(asObject(part)?.text);
    tokens += text === undefined ? TOKENS_PER_MEDIA : textTokens(text);
  }
  return tokens;
}

/** Words of Latin letters are a token for up to six letters, numbers one for three digits, other signs and scripts denser. */
export function textTokens(text: string): number {
  let tokens = 0;
  for (const [run] of text.matchAll(/[A-Za-z]+|[0-9]+|\s+|[\u0080-\u2fff]+|[\u3000-\u{10ffff}]|[!-/:-@[-\x60{-~]+/gu)) {
    const first = run.charCodeAt(0);
    if ((first >= 65 && first <= 90) || (first >= 97 && first <= 122)) tokens += Math.ceil(run.length / 6);
    else if (first >= 48 && first <= 57) tokens += Math.ceil(run.length / 3);
    else if (/\s/.test(run)) tokens += run.length === 1 ? 0 : 1;
    else if (first >= 0x80 && first < 0x3000) tokens += Math.ceil(run.length / 3);
    else tokens += first < 0x80 ? 0.35 + 0.3 * run.length : 1;
  }
  return Math.ceil(tokens);
}

/** A piece of the answer that has a beginning and an end: thoughts, text, a refusal in words, or one tool call. */
export interface Part {
  readonly kind: "reasoning" | "text" | "refusal" | "call";
  /** Of the call; empty for other kinds. */
  readonly callId: string;
  /** Of the called function; empty for other kinds. */
  readonly name: string;
  /** All of it so far: words, or the arguments of the call. */
  readonly text: string;
}

/** Writes parts strictly one after the other. Each method gives the events to send. */
interface PartWriter {
  open(part: Part): string;
  grow(part: Part, piece: string): string;
  close(part: Part): string;
}

/** What chunks say besides the parts. */
export interface Ending {
  readonly finishReason: "stop" | "length" | "tool_calls" | "content_filter";
  /** The stop sequence that was met, where the server named it. */
  readonly stopSequence: string | undefined;
  readonly usage: ChatUsage | undefined;
  readonly model: string | undefined;
}

type CallPiece = NonNullable<ChatChunk["choices"][number]["delta"]["tool_calls"]>[number];

interface OpenPart {
  kind: Part["kind"];
  callIndex: number;
  callId: string;
  name: string;
  text: string;
  pending: string;
  isOpen: boolean;
}

/**
 * Brings the deltas of a chat stream into parts that follow one another. The first part that is not over is written while
 * it grows; later ones wait. A call is over when its arguments are complete JSON and something else has begun, so calls
 * that arrive in turns come out whole. Blank text between other parts, which many models write, is left out.
 */
export function orderedParts(writer: PartWriter) {
  const queue: OpenPart[] = [];
  let written = 0;
  let calls = 0;
  let finishReason: string | undefined;
  let stopReason: unknown;
  let usage: ChatUsage | undefined;
  let model: string | undefined;

  function say(kind: Exclude<Part["kind"], "call">, piece: string | null | undefined): void {
    if (piece === null || piece === undefined || piece === "") return;
    const last = queue.at(-1);
    const part = last?.kind === kind ? last : begin(kind, -1);
    part.pending += piece;
  }

  function call({ index, id = "", function: target }: CallPiece): void {
    const known = queue.find((part) => part.kind === "call" && part.callIndex === index);
    const part = known ?? begin("call", index);
    if (part.callId === "") part.callId = id;
    if (!part.isOpen) part.name += target.name ?? "";
    part.pending += target.arguments;
  }

  function begin(kind: Part["kind"], callIndex: number): OpenPart {
    const part = { kind, callIndex, callId: "", name: "", text: "", pending: "", isOpen: false };
    queue.push(part);
    return part;
  }

  function flush(isEnd: boolean): string {
    let events = "";
    for (let part = queue[0]; part !== undefined; part = queue[0]) {
      const isOver = isEnd || (queue.length > 1 && isComplete(part));
      if (!part.isOpen && (isReady(part) || (isEnd && written === 0 && part.kind !== "call"))) {
        part.isOpen = true;
        written += 1;
        if (part.kind === "call") calls += 1;
        events += writer.open(part);
      }
      if (part.isOpen && isOver && part.kind === "call" && `${part.text}${part.pending}`.trim() === "") {
        part.pending = "{}";
      }
      if (part.isOpen && part.pending !== "") {
        const piece = part.pending;
        part.text += piece;
        part.pending = "";
        events += writer.grow(part, piece);
      }
      if (!isOver) break;
      if (part.isOpen) events += writer.close(part);
      queue.shift();
    }
    return events;
  }

  return {
    add(chunk: ChatChunk): string {
      model ??= chunk.model || undefined;
      usage = chunk.usage ?? usage;
      for (const choice of chunk.choices) {
        if (choice.index !== 0) continue;
        const { delta } = choice;
        say("reasoning", delta.reasoning_content);
        say("text", delta.content);
        say("refusal", asText(delta.refusal));
        for (const piece of delta.tool_calls ?? []) call(piece);
        finishReason = choice.finish_reason ?? finishReason;
        stopReason = choice.stop_reason ?? stopReason;
      }
      return flush(false);
    },
    /** Writes what still waits. */
    end: () => flush(true),
    ending(): Ending {
      return {
        finishReason: known(finishReason, calls + queue.filter(({ kind }) => kind === "call").length > 0),
        stopSequence: typeof stopReason === "string" ? stopReason : undefined,
        usage,
        model,
      };
    },
  };
}

/** Some servers say `stop` where a call ended the answer. */
function known(reason: string | undefined, hasCalls: boolean): Ending["finishReason"] {
  if (reason === "length" || reason === "content_filter") return reason;
  return hasCalls ? "tool_calls" : "stop";
}

function isReady({ kind, name, pending }: OpenPart): boolean {
  return kind === "call" ? name !== "" : kind !== "text" || pending.trim() !== "";
}

function isComplete({ kind, text, pending }: OpenPart): boolean {
  if (kind !== "call") return true;
  const whole = `${text}${pending}`.trimEnd();
  if (!whole.endsWith("}")) return false;
  try {
    JSON.parse(whole);
    return true;
  } catch {
    // More pieces of this call will come.
    return false;
  }
}

/** A tool as the Responses API names it. */
export interface NamedTool {
  /** `search` finds more tools: the caller runs it and hands the found ones in with its result. */
  readonly kind: "function" | "custom" | "search";
  readonly name: string;
  readonly namespace: string | undefined;
}

/** Which tool of the caller a function of the chat request stands for. */
export type ToolNames = ReadonlyMap<string, NamedTool>;

/**
 * The name of a tool in a chat request, which knows no namespaces: `space__name`. The same tool has the same name in
 * every request, because the calls of earlier turns are named as well. Names beyond the network's bound are cut, with a
 * checksum of the whole at the end.
 */
export function chatToolName(name: string, namespace: string | undefined): string {
  if (namespace === undefined || namespace === "") return name;
  const whole = `${namespace}${namespace.endsWith("__") ? "" : "__"}${name}`.replace(/[^\w-]/g, "_");
  const { maxToolNameBytes } = NETWORK_LIMITS;
  return whole.length <= maxToolNameBytes ? whole : `${whole.slice(0, maxToolNameBytes - 9)}_${checksum(whole)}`;
}

/** FNV-1a, 32 bits, as eight hexadecimal digits. */
function checksum(text: string): string {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(text)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash.toString(16).padStart(8, "0");
}

/** The search for tools has no name of its own in the Responses API. */
export const TOOL_SEARCH = "tool_search";

/** A tool that takes free text, as a function whose one argument is that text. A grammar becomes part of the description. */
export function customAsFunction(name: string, { description, format }: JsonObject): JsonObject {
  const words = [typeof description === "string" ? description : "", grammarNote(format)].filter((each) => each !== "");
  return {
    name,
    description: words.join("\n\n"),
    parameters: {
      type: "object",
      properties: { input: { type: "string", description: "The whole input of the tool, as plain text." } },
      required: ["input"],
      additionalProperties: false,
    },
  };
}

function grammarNote(format: unknown): string {
  const { type, syntax, definition } = (format ?? {}) as JsonObject;
  if (type !== "grammar" || typeof definition !== "string") return "";
  return `The input must follow this ${typeof syntax === "string" ? syntax : "formal"} grammar:\n${definition}`;
}

/** The arguments of the function for an input in free text. */
export function customArguments(input: string): string {
  return JSON.stringify({ input });
}

/** The free text in a function's arguments; a model that did not keep to the schema is taken at its word. */
export function customInput(argumentsText: string): string {
  try {
    const parsed: unknown = JSON.parse(argumentsText);
    if (typeof parsed === "string") return parsed;
    const values = typeof parsed === "object" && parsed !== null ? (parsed as JsonObject) : {};
    const only = Object.values(values).length === 1 ? Object.values(values)[0] : undefined;
    const input = values.input ?? only;
    return typeof input === "string" ? input : argumentsText;
  } catch {
    // Not JSON: the model wrote the text itself.
    return argumentsText;
  }
}

/** A part of a message's content as Chat Completions has it. */
export type ContentPart = { readonly type: string } & JsonObject;

interface ToolCall {
  readonly id: string;
  readonly name: string;
  /** JSON text. */
  readonly arguments: string;
}

interface Assistant {
  role: "assistant";
  content: string | null;
  reasoning_content?: string;
  tool_calls?: JsonObject[];
}

/**
 * Collects the messages of a chat request from APIs that cut a conversation in other places. What an assistant thinks,
 * says and calls in one go becomes one message. Results stand right behind the calls they belong to, whatever stood
 * between; pictures in a result follow as a message of the user, because results are text.
 */
export function conversation() {
  const messages: JsonObject[] = [];
  let pictures: ContentPart[] = [];

  function push(message: JsonObject): void {
    if (pictures.length > 0) {
      const shown = pictures;
      pictures = [];
      messages.push({ role: "user", content: shown });
    }
    messages.push(message);
  }

  function assistant(): Assistant {
    const last = messages.at(-1);
    if (last?.role === "assistant") return last as unknown as Assistant;
    const message: Assistant = { role: "assistant", content: null };
    push(message as unknown as JsonObject);
    return message;
  }

  return {
    system(text: string): void {
      if (text !== "") push({ role: "system", content: text });
    },
    user(parts: readonly ContentPart[]): void {
      if (parts.length > 0) push({ role: "user", content: plainContent(parts) });
    },
    thought(text: string): void {
      if (text === "") return;
      const message = assistant();
      message.reasoning_content = joined(message.reasoning_content, text);
    },
    said(text: string): void {
      if (text === "") return;
      const message = assistant();
      message.content = joined(message.content, text);
    },
    called({ id, name, arguments: input }: ToolCall): void {
      const message = assistant();
      message.tool_calls ??= [];
      message.tool_calls.push({ id, type: "function", function: { name, arguments: input } });
    },
    /** @param isError the tool failed; a chat has no mark for that, so the words say it */
    result(id: string, parts: readonly ContentPart[], isError = false): void {
      const text = parts
        .filter(({ type }) => type === "text")
        .map((part) => String(part.text))
        .join("\n");
      const media = parts.filter(({ type }) => type !== "text");
      const note = media.length > 0 && text === "" ? "(see the attached content below)" : text;
      const message = { role: "tool", tool_call_id: id, content: isError ? failed(note) : note };
      const at = placeOfResult(messages, id);
      if (at === messages.length) messages.push(message);
      else messages.splice(at, 0, message);
      if (media.length > 0) {
        pictures.push({ type: "text", text: `Content that the tool call ${id} returned:` }, ...media);
      }
    },
    messages(): readonly JsonObject[] {
      if (pictures.length > 0) messages.push({ role: "user", content: pictures });
      pictures = [];
      return messages;
    },
  };
}

/** One text is sent as such; everything else stays a list. */
function plainContent(parts: readonly ContentPart[]): unknown {
  const [only] = parts;
  return parts.length === 1 && only?.type === "text" ? only.text : parts;
}

function joined(before: string | null | undefined, text: string): string {
  return before === null || before === undefined ? text : `${before}\n\n${text}`;
}

function failed(text: string): string {
  if (/^\s*error\b/i.test(text)) return text;
  return text === "" ? "Error" : `Error: ${text}`;
}

/** Behind the results that the latest turn with this call already has; at the end when no turn has it. */
function placeOfResult(messages: readonly JsonObject[], id: string): number {
  for (let index = messages.length - 1; index >= 0; index -= 1) {
    const calls = messages[index]?.tool_calls as readonly JsonObject[] | undefined;
    if (calls?.some((call) => call.id === id) !== true) continue;
    let place = index + 1;
    while (messages[place]?.role === "tool") place += 1;
    return place;
  }
  return messages.length;
}
