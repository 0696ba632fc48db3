import { type EmbeddingModelV3, type LanguageModelV3, NoSuchModelError, type ProviderV3 } from "@ai-sdk/provider";
import { VERSION } from "../version.ts";
import { GonkaChatLanguageModel } from "./chat-language-model.ts";
import { GonkaEmbeddingModel } from "./embedding-model.ts";
import { isEmbeddingModel, refusesImages } from "./listed-models.ts";
import type { ModelConfig } from "./model-config.ts";
import { modelFetch } from "./model-fetch.ts";
import { type ProviderAccess, providerAccess } from "./provider-access.ts";
import type { GonkaProviderSettings } from "./provider-settings.ts";

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
