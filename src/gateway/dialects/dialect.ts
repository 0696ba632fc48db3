import { ZephError } from "../../errors/zeph-error.ts";
import { asObject } from "../../protocol/json/measure-json.ts";
import type { JsonObject } from "../../protocol/json/read-value.ts";
import type { ChatChunk, ChatCompletion, ChatUsage } from "../../wire/chat-shape.ts";

export { asObject, type ChatChunk, type ChatCompletion, type ChatUsage, type JsonObject };

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
