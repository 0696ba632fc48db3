import { ZephError } from "../../errors/zeph-error.ts";
import { readErrorObject } from "../stream-error.ts";
import { completionToEvents } from "./completion-to-events.ts";
import { type JsonRecord, parseRecord } from "./json-record.ts";
import { repairCompletion } from "./repair-completion.ts";
import { repairEventStream } from "./repair-event-stream.ts";

/** What the request asked for: a stream must be answered with one. */
export type Asked = "stream" | "whole";

/**
 * An answer in the form a strict OpenAI decoder takes: mends what models and brokers of the network are known to get
 * wrong, and nothing else. Refusals are passed on as the same object. Throws `upstream_error` (or what the server named)
 * for a 200 whose body is an error object, and whatever reading the body throws.
 */
export async function repairResponse(response: Response, asked: Asked): Promise<Response> {
  if (!response.ok || response.body === null) return response;
  const contentType = response.headers.get("content-type") ?? "";
  if (contentType.includes("text/event-stream")) return withBody(response, repairEventStream(response.body));
  const text = await response.text();
  const completion = parseRecord(text);
  if (completion === undefined) return withBody(response, text);
  if (completion.error !== undefined && completion.error !== null && completion.choices === undefined) {
    throw readErrorObject(completion.error, "upstream_error");
  }
  if (asked === "stream" && Array.isArray(completion.choices)) return toEventStream(response, completion);
  return withBody(response, text.includes('"tool_calls"') ? JSON.stringify(repairCompletion(completion)) : text);
}

function toEventStream(response: Response, completion: JsonRecord): Response {
  const headers = new Headers(response.headers);
  headers.set("content-type", "text/event-stream");
  headers.delete("content-length");
  return new Response(completionToEvents(repairCompletion(completion)), { status: response.status, headers });
}

function withBody(response: Response, body: string | ReadableStream<Uint8Array>): Response {
  const headers = new Headers(response.headers);
  headers.delete("content-length");
  return new Response(body, { status: response.status, statusText: response.statusText, headers });
}

/** Cuts the cause off an error of ours: the AI SDK looks for network codes in causes, and repeats what it finds. */
export function withoutCause(error: ZephError): ZephError {
  if (error.cause === undefined) return error;
  return new ZephError(error.code, {
    hint: error.hint,
    attempts: error.attempts,
    charged: error.charged,
    ...(error.detail === undefined ? {} : { detail: error.detail }),
    ...(error.status === undefined ? {} : { status: error.status }),
    ...(error.requestId === undefined ? {} : { requestId: error.requestId }),
    ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }),
  });
}
