import {
  APICallError,
  type EmbeddingModelV3,
  type LanguageModelV3,
  NoSuchModelError,
  type ProviderV3,
} from "@ai-sdk/provider";
import { ZephError } from "../errors.ts";
import { errorBehind } from "../transport/exchange.ts";
import type { GonkaFetch } from "../transport/gonka-fetch.ts";
import { VERSION } from "../version.ts";
import { readChatAnswer } from "../wire/chat-body.ts";
import { type ChatReadOptions, isRecord, parseAnswer, parseJson, toErrorObject } from "../wire/chat-shape.ts";
import { chatStreamFilter } from "../wire/chat-stream.ts";
import { concat } from "../wire/sse.ts";
import {
  type GonkaProviderSettings,
  isEmbeddingModel,
  type ProviderAccess,
  providerAccess,
  refusesImages,
} from "./access.ts";
import { GonkaChatLanguageModel, GonkaEmbeddingModel, type ModelConfig } from "./models.ts";

/**
 * Id of a chat model, exactly as the endpoint lists it (`zeph models`, or `GET /v1/models`). No names are built in:
 * the network changes its models every few weeks, and brokers spell them differently.
 */
export type GonkaChatModelId = string & {};

/** A provider of the AI SDK (specification V3: `ai` 6 and 7) for the Gonka network. */
export interface GonkaProvider extends ProviderV3 {
  (modelId: GonkaChatModelId): LanguageModelV3;
  languageModel(modelId: GonkaChatModelId): LanguageModelV3;
  chatModel(modelId: GonkaChatModelId): LanguageModelV3;
  /** Works where the endpoint lists this embedding model; else `doEmbed` throws `unsupported_capability`. */
  embeddingModel(modelId: string): EmbeddingModelV3;
  /** Always throws `NoSuchModelError`: the network makes no images. */
  imageModel(modelId: string): never;
}

/**
 * Makes a provider. Without settings: GonkaGate, with the key of `GONKAGATE_API_KEY` or `GONKA_API_KEY`, read at the
 * first request. Retries, waits and failover are the connection's; the SDK's `maxRetries` adds none.
 *
 * Refusals arrive as the SDK's `APICallError` with a `ZephError` as `cause`; failures without a response as `ZephError`.
 * `toZephError` gives the `ZephError` of either. Throws `config_invalid` for an unknown broker, `wrong_url` for a bad address.
 *
 * @example
 * ```ts
 * import { generateText } from "ai";
 * import { createGonka } from "zeph/ai-sdk";
 *
 * const gonka = createGonka({ broker: "gonkagate", apiKey });
 * const { text, providerMetadata } = await generateText({ model: gonka(modelId), prompt: "Hello" });
 * console.log(text, providerMetadata?.gonka?.costUsd);
 * ```
 */
export function createGonka(settings: GonkaProviderSettings = {}): GonkaProvider {
  const access = providerAccess(settings);
  const config = modelConfig(settings, access);
  const isListed = isEmbeddingModel(access);
  const chatModel = (modelId: GonkaChatModelId) => new GonkaChatLanguageModel(modelId, config);
  return Object.assign((modelId: GonkaChatModelId) => chatModel(modelId), {
    specificationVersion: "v3" as const,
    languageModel: chatModel,
    chatModel,
    embeddingModel: (modelId: string) => new GonkaEmbeddingModel(modelId, config, isListed),
    imageModel(modelId: string): never {
      throw new NoSuchModelError({ modelId, modelType: "imageModel" });
    },
  });
}

const encoder = new TextEncoder();

/** GonkaGate with a key from the environment. Nothing is read before the first request. */
export const gonka: GonkaProvider = createGonka();

function modelConfig(settings: GonkaProviderSettings, access: ProviderAccess): ModelConfig {
  const { name = "gonka", headers, includeUsage = true } = settings;
  const sent = new Headers(headers);
  const userAgent = [sent.get("user-agent"), `zeph/${VERSION}`].filter(Boolean).join(" ");
  sent.delete("user-agent");
  return {
    name: name.replaceAll(".", "-"),
    includeUsage,
    url: ({ path }) => access.baseURL + path,
    headers: () => Object.fromEntries(sent),
    fetch: modelFetch(access.connect, userAgent),
    costUsd: access.costUsd,
    refusesImages: refusesImages(access),
  };
}

/**
 * The `fetch` under the models: the connection, with answers mended for the decoder, and failures that the AI SDK does
 * not repeat. A refusal is thrown as the SDK's own `APICallError` whose `cause` is the `ZephError`; what failed without
 * any response is thrown as the `ZephError` itself. The loop inside the connection has retried already.
 */
function modelFetch(connect: () => Promise<GonkaFetch>, userAgent: string): typeof globalThis.fetch {
  return async (input, init) => {
    try {
      const gonka = await connect();
      const response = await gonka(input, { ...init, headers: withUserAgent(init?.headers, userAgent) });
      const error = response.ok ? undefined : errorBehind(response);
      if (error !== undefined) throw await refusedCall(response, error, input);
      return isChat(input) ? await readable(response, init?.body) : response;
    } catch (thrown) {
      throw ZephError.is(thrown) ? withoutCause(thrown) : thrown;
    }
  };
}

/** Appends ours here, at the last step: the SDK puts its own in the place of a model's. */
function withUserAgent(given: RequestInit["headers"], userAgent: string): Headers {
  const headers = new Headers(given);
  headers.set("user-agent", [headers.get("user-agent"), userAgent].filter(Boolean).join(" "));
  return headers;
}

/** Holds no prompt: the SDK would keep the request's body in the error, and programs log errors whole. */
async function refusedCall(response: Response, error: ZephError, input: string | URL | Request): Promise<APICallError> {
  const responseBody = await response.text();
  return new APICallError({
    message: error.message,
    url: input instanceof Request ? input.url : String(input),
    requestBodyValues: {},
    statusCode: response.status,
    responseHeaders: Object.fromEntries(response.headers),
    responseBody,
    data: parseJson(responseBody),
    cause: withoutCause(error),
    isRetryable: false,
  });
}

function isChat(input: string | URL | Request): boolean {
  return /\/chat\/completions\/?(?:\?|$)/.test(input instanceof Request ? input.url : String(input));
}

/**
 * An answer for the SDK's decoder: thinking apart from the words. A whole answer is read here, where a fault in it can
 * still be thrown as it is. A stream that breaks ends with an error event, so that the text before it is not lost on its
 * way through the decoder's queues; an abort stays what it is.
 */
async function readable(response: Response, sent: RequestInit["body"]): Promise<Response> {
  if (!response.ok || response.body === null) return response;
  const { status, statusText, headers } = response;
  // The SDK writes its bodies with JSON.stringify.
  const request = () => {
    const body = typeof sent === "string" ? parseJson(sent) : undefined;
    return isRecord(body) ? body : undefined;
  };
  const isStream = headers.get("content-type")?.startsWith("text/event-stream") === true;
  const body = isStream ? endingInWords(response.body, request) : await wholeAnswer(response, request);
  return new Response(body, { status, statusText, headers });
}

type Asked = NonNullable<ChatReadOptions["request"]>;

async function wholeAnswer(response: Response, request: Asked): Promise<string> {
  const text = await response.text();
  const { answer, isUnchanged } = readChatAnswer(parseAnswer(text), { request });
  if (answer === undefined) throw new ZephError("bad_response", { detail: "the answer holds no choices" });
  return isUnchanged ? text : JSON.stringify(answer);
}

function endingInWords(body: ReadableStream<Uint8Array>, request: Asked): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  const filter = chatStreamFilter({ request });
  return new ReadableStream(
    {
      async pull(controller) {
        try {
          for (;;) {
            const { done, value } = await reader.read();
            const bytes = done ? filter.end().bytes : filter.push(value);
            if (bytes !== undefined) controller.enqueue(bytes);
            if (done) return controller.close();
            if (bytes !== undefined) return;
          }
        } catch (thrown) {
          if (!ZephError.is(thrown)) return controller.error(thrown);
          const error = encoder.encode(`data: ${JSON.stringify({ error: toErrorObject(thrown) })}\n\n`);
          controller.enqueue(concat([filter.end(true).bytes ?? new Uint8Array(), error]));
          controller.close();
        }
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}

/** Cuts the cause off an error of ours: the AI SDK looks for network codes in causes, and repeats what it finds. */
function withoutCause(error: ZephError): ZephError {
  return error.with({ cause: undefined });
}
