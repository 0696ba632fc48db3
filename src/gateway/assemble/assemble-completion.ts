import { createParser } from "eventsource-parser";
import { ZephError } from "../../errors/zeph-error.ts";
import { scrub } from "../../internal/redact.ts";
import { parseForeignJson, SMALL_ANSWER_LIMITS } from "../../internal/scan-json.ts";
import { asObject, type JsonObject } from "../read-json-body.ts";
import { type AssembledChoice, assembledChoice } from "./assembled-choice.ts";
import { isUnwanted, type WantedFields } from "./unwanted-fields.ts";

/** An answer beyond this is not put together. */
const MAX_STREAM_BYTES = 64 * 1024 * 1024;

/**
 * The whole answer behind a stream, as a caller who asked for no stream expects it. Throws what the stream broke off
 * with, `stream_error` for an error inside it, `bad_response` for events that are no JSON, `response_too_large`.
 */
export async function assembleCompletion(body: ReadableStream<Uint8Array>, wanted: WantedFields): Promise<JsonObject> {
  const completion = openCompletion(wanted);
  const parser = createParser({ onEvent: ({ data }) => completion.add(data) });
  const decoder = new TextDecoder();
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.byteLength;
    if (bytes > MAX_STREAM_BYTES) throw new ZephError("response_too_large");
    parser.feed(decoder.decode(chunk, { stream: true }));
  }
  return completion.finish();
}

function openCompletion(wanted: WantedFields) {
  const head: Record<string, unknown> = {};
  const choices = new Map<number, AssembledChoice>();
  return {
    add(data: string): void {
      if (data.trim() === "[DONE]") return;
      const chunk = parseChunk(data);
      for (const [name, value] of Object.entries(chunk)) {
        if (name === "choices" || name === "__proto__" || value === null || isUnwanted(name, wanted)) continue;
        // The first chunk names the answer; usage and what brokers add come with a later one.
        if (head[name] === undefined || (name !== "id" && name !== "created")) head[name] = value;
      }
      for (const value of Array.isArray(chunk.choices) ? chunk.choices : []) {
        const choice = asObject(value) ?? {};
        const index = typeof choice.index === "number" ? choice.index : 0;
        const open = choices.get(index) ?? assembledChoice(index, wanted);
        choices.set(index, open);
        open.add(choice);
      }
    },
    finish(): JsonObject {
      if (choices.size === 0) throw new ZephError("bad_response", { detail: "the stream held no answer" });
      const finished = [...choices].sort(([a], [b]) => a - b).map(([, choice]) => choice.finish());
      return { ...head, object: "chat.completion", choices: finished };
    },
  };
}

function parseChunk(data: string): JsonObject {
  let chunk: JsonObject | undefined;
  try {
    chunk = asObject(parseForeignJson(data, SMALL_ANSWER_LIMITS));
  } catch {
    // Said in our own words below: the parser's would repeat a piece of the answer.
  }
  if (chunk === undefined)
    throw new ZephError("bad_response", { detail: "an event of the stream is not a JSON object" });
  const { error } = chunk;
  if (error === undefined || error === null) return chunk;
  const message = asObject(error)?.message ?? error;
  throw new ZephError("stream_error", {
    detail: scrub(typeof message === "string" ? message : JSON.stringify(message)),
  });
}
