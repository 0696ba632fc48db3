import { OpenAICompatibleChatLanguageModel } from "@ai-sdk/openai-compatible";
import type {
  LanguageModelV3CallOptions,
  LanguageModelV3GenerateResult,
  LanguageModelV3Prompt,
  LanguageModelV3StreamPart,
  LanguageModelV3StreamResult,
} from "@ai-sdk/provider";
import { ZephError } from "../errors/zeph-error.ts";
import { isRecord, serverError } from "../wire/chat-shape.ts";
import { type CostMetadata, costMetadata } from "./cost-metadata.ts";
import { errorStructure } from "./error-structure.ts";
import { toWireBody } from "./language-model-options.ts";
import type { AskList } from "./listed-models.ts";
import type { ModelConfig } from "./model-config.ts";
import { tagsMarked, withTagsMarked, withThinkingInTags } from "./think-parts.ts";

/**
 * A chat model: the OpenAI-compatible one of the AI SDK, built directly because only so can it be told that the retries
 * are ours. Added to it: costs, thinking in tags, `topK`, the network's own options, errors in streams with a name.
 */
export class GonkaChatLanguageModel extends OpenAICompatibleChatLanguageModel {
  // Not `#name`: `ai` 7 calls models of specification V3 through a proxy, which has no private names.
  private readonly name: string;
  private readonly cost: CostMetadata;
  private readonly refusesImages: AskList;

  constructor(modelId: string, { name, includeUsage, costUsd, refusesImages, ...config }: ModelConfig) {
    const cost = costMetadata(costUsd, [...new Set(["gonka", name])]);
    super(modelId, {
      ...config,
      provider: `${name}.chat`,
      includeUsage,
      supportsStructuredOutputs: true,
      errorStructure,
      metadataExtractor: cost,
      transformRequestBody: toWireBody,
    });
    this.name = name;
    this.cost = cost;
    this.refusesImages = refusesImages;
  }

  override async doGenerate(options: LanguageModelV3CallOptions): Promise<LanguageModelV3GenerateResult> {
    const result = await super.doGenerate(await this.prepare(options));
    return {
      ...result,
      content: withTagsMarked(result.content, result.response?.body),
      providerMetadata: this.cost.withHeaderCost(result.providerMetadata, result.response?.headers),
    };
  }

  override async doStream(options: LanguageModelV3CallOptions): Promise<LanguageModelV3StreamResult> {
    const wantsRaw = options.includeRawChunks === true;
    const result = await super.doStream({ ...(await this.prepare(options)), includeRawChunks: true });
    const mark = tagsMarked();
    const finish = (part: LanguageModelV3StreamPart): LanguageModelV3StreamPart => {
      if (part.type === "error") return { type: "error", error: nameStreamError(part.error) };
      if (part.type !== "finish") return part;
      return {
        ...part,
        providerMetadata: this.cost.withHeaderCost(part.providerMetadata, result.response?.headers),
      };
    };
    const parts = new TransformStream<LanguageModelV3StreamPart, LanguageModelV3StreamPart>({
      transform(part, controller) {
        const marked = mark(part);
        if (wantsRaw || marked.type !== "raw") controller.enqueue(finish(marked));
      },
    });
    return { ...result, stream: result.stream.pipeThrough(parts) };
  }

  /** Options under `gonka` count whatever the provider is called; `topK` travels as an option because the base drops it. */
  private async prepare({
    topK,
    providerOptions,
    prompt,
    ...options
  }: LanguageModelV3CallOptions): Promise<LanguageModelV3CallOptions> {
    if (hasImage(prompt) && (await this.refusesImages(this.modelId, options.abortSignal))) {
      throw new ZephError("unsupported_capability", {
        detail: `it lists ${this.modelId} as a model that takes no images; nothing was sent`,
      });
    }
    const own = {
      ...(topK === undefined ? {} : { top_k: topK }),
      ...providerOptions?.gonka,
      ...providerOptions?.[this.name],
    };
    return {
      ...options,
      prompt: withThinkingInTags(prompt),
      ...(providerOptions === undefined && topK === undefined
        ? {}
        : { providerOptions: { ...providerOptions, [this.name]: own } }),
    };
  }
}

function hasImage(prompt: LanguageModelV3Prompt): boolean {
  return prompt.some(
    ({ role, content }) =>
      role === "user" && content.some((part) => part.type === "file" && part.mediaType.startsWith("image/")),
  );
}

/** The SDK passes error objects of a stream on as they are; programs are better served by an `Error` with a code. */
function nameStreamError(error: unknown): unknown {
  const isWireObject = typeof error === "string" || (isRecord(error) && !(error instanceof Error));
  return isWireObject ? serverError(error, "stream_error") : error;
}
