import { createParser, type EventSourceMessage } from "eventsource-parser";
import { ZephError } from "../errors/zeph-error.ts";
import { readBoundedText } from "../internal/read-bounded.ts";
import type { Secret } from "../internal/secret.ts";
import { countPromptTokens, countTokens } from "./built-in/tokens.ts";
import type { ChatRequest, Engine, EngineEvent, EngineUsage, SandboxModel } from "./engine.ts";
import { asObject } from "./network-rules/as-object.ts";

export interface RemoteEngineOptions {
  /** The server's base URL, normally ending in `/v1`. */
  readonly baseURL: string;
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
  /** Sent as a Bearer key, where the server wants one. */
  readonly apiKey?: Secret;
}

const MAX_JSON_BYTES = 16 * 1024 * 1024;
const MAX_EVENT_CHARS = 1024 * 1024;
/** For servers that do not tell. */
const ASSUMED_CONTEXT_TOKENS = 32_768;
/** What the network commonly allows for one answer. */
const MAX_OUTPUT_TOKENS = 4096;

/**
 * Any OpenAI-compatible server as the sandbox's engine: real answers behind the fake broker's keys, rules and faults.
 * Prices are made up. Failures of the server reject with `unreachable`, `upstream_error` or `bad_response`.
 */
export function remoteEngine(options: RemoteEngineOptions): Engine {
  const server = remoteServer(options);
  return {
    async models() {
      const list = asObject(await server.json("/models"))?.data;
      return Array.isArray(list) ? list.map(toModel).filter((model) => model !== undefined) : [];
    },
    async *complete(request, signal) {
      const body = { ...request, stream: true, stream_options: { include_usage: true } };
      const response = await server.send("/chat/completions", body, signal);
      yield* toEvents(streamChunks(response), request);
    },
    async embed(input, model) {
      const data = asObject(await server.json("/embeddings", { model, input, encoding_format: "float" }))?.data;
      if (!Array.isArray(data)) throw new ZephError("bad_response", { detail: "the engine sent no embeddings" });
      return data.map((entry) => toVector(asObject(entry)?.embedding));
    },
  };
}

function remoteServer(options: RemoteEngineOptions) {
  async function send(path: string, body?: unknown, signal?: AbortSignal): Promise<Response> {
    const init: RequestInit = {
      method: body === undefined ? "GET" : "POST",
      redirect: "manual",
      headers: {
        "content-type": "application/json",
        ...(options.apiKey === undefined ? {} : { authorization: `Bearer ${options.apiKey.reveal()}` }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
    };
    const response = await options.fetch(`${options.baseURL.replace(/\/+$/, "")}${path}`, init).catch((cause) => {
      if (signal?.aborted === true) throw signal.reason;
      throw new ZephError("unreachable", { detail: "the sandbox's engine", cause });
    });
    if (!response.ok) {
      await response.body?.cancel();
      throw new ZephError("upstream_error", {
        detail: `the sandbox's engine answered ${response.status}`,
        status: response.status,
      });
    }
    return response;
  }
  return {
    send,
    async json(path: string, body?: unknown): Promise<unknown> {
      const text = await readBoundedText((await send(path, body)).body, MAX_JSON_BYTES);
      try {
        return JSON.parse(text);
      } catch (cause) {
        throw new ZephError("bad_response", { detail: "the sandbox's engine sent no JSON", cause });
      }
    },
  };
}

function toModel(entry: unknown): SandboxModel | undefined {
  const { id, context_length, max_model_len } = asObject(entry) ?? {};
  if (typeof id !== "string") return undefined;
  const context = [context_length, max_model_len].find((value) => typeof value === "number");
  return {
    id,
    // Servers do not say which of their models embed; the name is all there is.
    kind: /embed|bge|e5-/i.test(id) ? "embedding" : "chat",
    contextLengthTokens: typeof context === "number" ? context : ASSUMED_CONTEXT_TOKENS,
    maxOutputTokens: MAX_OUTPUT_TOKENS,
    promptUsdPer1M: 0.1,
    completionUsdPer1M: 0.3,
  };
}

/** The JSON of each event of a stream, until `[DONE]`. */
async function* streamChunks(response: Response): AsyncGenerator<unknown> {
  const waiting: EventSourceMessage[] = [];
  const parser = createParser({ onEvent: (event) => waiting.push(event) });
  const decoder = new TextDecoder();
  let sinceEvent = 0;
  for await (const bytes of response.body ?? []) {
    parser.feed(decoder.decode(bytes, { stream: true }));
    sinceEvent = waiting.length > 0 ? 0 : sinceEvent + bytes.byteLength;
    if (sinceEvent > MAX_EVENT_CHARS) {
      throw new ZephError("response_too_large", { detail: "an event of the sandbox's engine" });
    }
    for (const event of waiting.splice(0)) {
      if (event.data === "[DONE]") return;
      yield parseChunk(event.data);
    }
  }
}

function parseChunk(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ZephError("bad_response", { detail: "the sandbox's engine sent an event that is no JSON", cause });
  }
}

async function* toEvents(chunks: AsyncIterable<unknown>, request: ChatRequest): AsyncGenerator<EngineEvent> {
  let reason: unknown;
  let usage: EngineUsage | undefined;
  let written = 0;
  for await (const value of chunks) {
    const chunk = asObject(value);
    if (chunk?.error !== undefined) throw new ZephError("stream_error", { detail: "the sandbox's engine failed" });
    usage = toUsage(chunk?.usage) ?? usage;
    const choice = asObject(Array.isArray(chunk?.choices) ? chunk.choices[0] : undefined);
    reason = choice?.finish_reason ?? reason;
    for (const event of deltaEvents(asObject(choice?.delta) ?? {})) {
      if (event.type === "text" || event.type === "reasoning") written += countTokens(event.text);
      yield event;
    }
  }
  yield {
    type: "finish",
    reason: reason === "length" || reason === "tool_calls" ? reason : "stop",
    usage: usage ?? { promptTokens: countPromptTokens(request), completionTokens: written, cachedTokens: 0 },
  };
}

function* deltaEvents(delta: Readonly<Record<string, unknown>>): Generator<EngineEvent> {
  const reasoning = delta.reasoning_content ?? delta.reasoning;
  if (typeof reasoning === "string" && reasoning !== "") yield { type: "reasoning", text: reasoning };
  if (typeof delta.content === "string" && delta.content !== "") yield { type: "text", text: delta.content };
  for (const entry of Array.isArray(delta.tool_calls) ? delta.tool_calls : []) {
    const call = asObject(entry) ?? {};
    const { name, arguments: argumentsJson } = asObject(call.function) ?? {};
    yield {
      type: "tool-call",
      index: typeof call.index === "number" ? call.index : 0,
      ...(typeof call.id === "string" ? { id: call.id } : {}),
      ...(typeof name === "string" ? { name } : {}),
      argumentsJson: typeof argumentsJson === "string" ? argumentsJson : "",
    };
  }
}

function toVector(value: unknown): readonly number[] {
  if (Array.isArray(value) && value.every((entry): entry is number => typeof entry === "number")) return value;
  throw new ZephError("bad_response", { detail: "the engine sent an embedding that is not a list of numbers" });
}

function toUsage(value: unknown): EngineUsage | undefined {
  const usage = asObject(value);
  if (typeof usage?.prompt_tokens !== "number" || typeof usage.completion_tokens !== "number") return undefined;
  const cached = asObject(usage.prompt_tokens_details)?.cached_tokens;
  const reasoning = asObject(usage.completion_tokens_details)?.reasoning_tokens;
  return {
    promptTokens: usage.prompt_tokens,
    completionTokens: usage.completion_tokens,
    cachedTokens: typeof cached === "number" ? cached : 0,
    ...(typeof reasoning === "number" ? { reasoningTokens: reasoning } : {}),
  };
}
