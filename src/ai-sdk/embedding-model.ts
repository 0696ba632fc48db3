import { OpenAICompatibleEmbeddingModel } from "@ai-sdk/openai-compatible";
import type { EmbeddingModelV3CallOptions, EmbeddingModelV3Result } from "@ai-sdk/provider";
import { ZephError } from "../errors/zeph-error.ts";
import { isRecord } from "../wire/chat-shape.ts";
import { errorStructure } from "./error-structure.ts";
import type { AskList } from "./listed-models.ts";
import type { ModelConfig } from "./model-config.ts";

/**
 * An embedding model, where the endpoint has one: its list is asked first, and nothing is sent to `/embeddings` for a
 * model it does not offer (`unsupported_capability`). Vectors come in the order of the values (`bad_response` when one is
 * missing).
 */
export class GonkaEmbeddingModel extends OpenAICompatibleEmbeddingModel {
  /** Not `#isListed`: `ai` 7 calls models of specification V3 through a proxy, which has no private names. */
  private readonly isListed: AskList;

  constructor(modelId: string, { name, url, headers, fetch }: ModelConfig, isListed: AskList) {
    super(modelId, { provider: `${name}.embedding`, url, headers, fetch, errorStructure });
    this.isListed = isListed;
  }

  override async doEmbed(options: EmbeddingModelV3CallOptions): Promise<EmbeddingModelV3Result> {
    if (!(await this.isListed(this.modelId, options.abortSignal))) {
      throw new ZephError("unsupported_capability", {
        detail: `it lists no embedding model ${this.modelId}; nothing was sent`,
      });
    }
    const result = await super.doEmbed(options);
    const embeddings = inOrder(result.embeddings, result.response?.body);
    if (embeddings.length !== options.values.length) {
      throw new ZephError("bad_response", {
        detail: `${embeddings.length} vectors for ${options.values.length} values`,
      });
    }
    return { ...result, embeddings };
  }
}

/** By the `index` of each entry; an answer without them is taken as it comes. */
function inOrder(embeddings: number[][], body: unknown): number[][] {
  const data = isRecord(body) && Array.isArray(body.data) ? body.data : [];
  const places = data.map((entry) => (isRecord(entry) && typeof entry.index === "number" ? entry.index : undefined));
  const isPermutation = new Set(places).size === embeddings.length && !places.includes(undefined);
  if (!isPermutation) return embeddings;
  return embeddings
    .map((embedding, at) => ({ embedding, place: places[at] ?? at }))
    .sort((a, b) => a.place - b.place)
    .map(({ embedding }) => embedding);
}
