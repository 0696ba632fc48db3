import {
  type MetadataExtractor,
  OpenAICompatibleChatLanguageModel,
  OpenAICompatibleEmbeddingModel,
  type ProviderErrorStructure,
} from "@ai-sdk/openai-compatible";
import type {
  EmbeddingModelV3CallOptions,
  EmbeddingModelV3Result,
  LanguageModelV3CallOptions,
  LanguageModelV3GenerateResult,
  LanguageModelV3Prompt,
  LanguageModelV3StreamPart,
  LanguageModelV3StreamResult,
  SharedV3ProviderMetadata,
  SharedV3Warning,
} from "@ai-sdk/provider";
import { z } from "zod";
import { asObject, type JsonObject } from "../base/json.ts";
import { ZephError } from "../errors.ts";
import { fitAnswerSchema, fitToolParameters, nullUnionsFor } from "../rules/schema.ts";
import type { BrokerFacts } from "../transport/connection.ts";
import { isRecord, serverError } from "../wire/chat-shape.ts";
import type { AskList } from "./access.ts";
import { tagsMarked, withTagsMarked, withThinkingInTags } from "./thinking.ts";

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

/** What all models of one provider share. */
export interface ModelConfig {
  /** The provider's name, without dots: the SDK reads it as everything before the first one. */
  readonly name: string;
  readonly url: (options: { modelId: string; path: string }) => string;
  readonly headers: () => Record<string, string | undefined>;
  readonly fetch: typeof globalThis.fetch;
  readonly includeUsage: boolean;
  /** Whether the endpoint lists the model as one without images. */
  readonly refusesImages: AskList;
  readonly costUsd: BrokerFacts["costUsd"];
}

/**
 * `providerOptions.gonka`. Everything is optional; what a model does not know it ignores. Names of the wire
 * (`min_p`) are passed on as they are, too. Bounds: gonka-ai/gonka docs/chat-api/README.md (2026-07).
 */
export interface GonkaLanguageModelOptions {
  /** Your own id for the end user, at most 512 bytes. */
  readonly user?: string;
  /** Accepted by the network and then left out: no model of it reads this today. */
  readonly reasoningEffort?: "none" | "minimal" | "low" | "medium" | "high" | "xhigh";
  /** Default true: the answer must fit the schema exactly. */
  readonly strictJsonSchema?: boolean;
  /** Switches thinking on or off where the model can (Kimi). To switch it off for good, also set the budget to 0. */
  readonly thinking?: { readonly type: "enabled" | "disabled" };
  /** Most tokens spent on thinking (Kimi). */
  readonly thinkingTokenBudget?: number;
  /** MiniMax: thinking comes apart from the answer instead of inside it. */
  readonly reasoningSplit?: boolean;
  /** 0 to 1. */
  readonly minP?: number;
  /** Above 0, at most 2. */
  readonly repetitionPenalty?: number;
  readonly minTokens?: number;
  /** At most 64 ids. */
  readonly stopTokenIds?: readonly number[];
  /** At most 64 words. */
  readonly badWords?: readonly string[];
  /** Token id to a value from -100 to 100. */
  readonly logitBias?: Readonly<Record<string, number>>;
  /** False: at most one tool call in an answer. */
  readonly parallelToolCalls?: boolean;
  readonly chatTemplateKwargs?: Readonly<Record<string, unknown>>;
  /** At most 16 entries; names of 64 and values of 512 characters. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** GonkaGate's plugins: `web`, `file-parser`, `response-healing`, `privacy-sanitization`. */
  readonly plugins?: readonly Readonly<Record<string, unknown>>[];
}

/** Options whose name differs on the wire. */
const WIRE_NAMES: Readonly<Record<string, string>> = {
  badWords: "bad_words",
  chatTemplateKwargs: "chat_template_kwargs",
  logitBias: "logit_bias",
  minP: "min_p",
  minTokens: "min_tokens",
  parallelToolCalls: "parallel_tool_calls",
  reasoningSplit: "reasoning_split",
  repetitionPenalty: "repetition_penalty",
  stopTokenIds: "stop_token_ids",
  thinkingTokenBudget: "thinking_token_budget",
};

/** The request's body with the wire's names, without what the network would refuse; warnings say what was changed. */
export function toWireBody(
  body: Readonly<Record<string, unknown>>,
  warnings: SharedV3Warning[] = [],
): Record<string, unknown> {
  const { verbosity, ...rest } = body;
  if (verbosity !== undefined) {
    warnings.push({ type: "unsupported", feature: "textVerbosity", details: "The Gonka network refuses it." });
  }
  if (rest.tool_choice === "required") {
    const details = "The Gonka network reads it as auto: the model may answer without calling a tool.";
    warnings.push({ type: "compatibility", feature: "toolChoice required", details });
  }
  const fitted = withFittedSchemas(rest, warnings);
  return Object.fromEntries(Object.entries(fitted).map(([name, value]) => [WIRE_NAMES[name] ?? name, value]));
}

/**
 * The request's body with schemas the network takes: it refuses a request with any reference in one ("schema reference
 * keyword is forbidden"). Putting references in place changes nothing; a warning tells what had to be left out.
 */
function withFittedSchemas(body: JsonObject, warnings: SharedV3Warning[]): JsonObject {
  return fitAnswer(fitTools(body, warnings), warnings);
}

function fitTools(body: JsonObject, warnings: SharedV3Warning[]): JsonObject {
  if (!Array.isArray(body.tools)) return body;
  const nullUnions = nullUnionsFor(typeof body.model === "string" ? body.model : "");
  const tools = body.tools.map((tool: unknown) => {
    const definition = asObject(asObject(tool)?.function);
    if (definition?.parameters === undefined) return tool;
    const { schema, dropped } = fitToolParameters(definition.parameters, nullUnions);
    warn(`inputSchema of the tool ${definition.name}`, dropped, warnings);
    return { ...asObject(tool), function: { ...definition, parameters: schema } };
  });
  return { ...body, tools };
}

function fitAnswer(body: JsonObject, warnings: SharedV3Warning[]): JsonObject {
  const format = asObject(body.response_format);
  const wrapper = asObject(format?.json_schema);
  const given = asObject(wrapper?.schema);
  if (given === undefined) return body;
  const { schema, dropped } = fitAnswerSchema(given);
  warn("schema of the answer", dropped, warnings);
  return { ...body, response_format: { ...format, json_schema: { ...wrapper, schema } } };
}

function warn(feature: string, dropped: readonly string[], warnings: SharedV3Warning[]): void {
  if (dropped.length === 0) return;
  const details = `The Gonka network does not take all of it. Left out or shortened for the model: ${dropped.join(", ")}. What comes back is still checked against the whole schema.`;
  warnings.push({ type: "compatibility", feature, details });
}

/** Reads costs out of answers and puts them under each of `keys`. An unknown cost stays absent; it is not 0. */
interface CostMetadata extends MetadataExtractor {
  /** Adds a cost that stands in the response headers, where the body told none. */
  withHeaderCost(
    metadata: SharedV3ProviderMetadata | undefined,
    headers: Readonly<Record<string, string>> | undefined,
  ): SharedV3ProviderMetadata;
}

function costMetadata(costUsd: BrokerFacts["costUsd"], keys: readonly string[]): CostMetadata {
  const toMetadata = (cost: number | undefined): SharedV3ProviderMetadata | undefined =>
    cost === undefined ? undefined : Object.fromEntries(keys.map((key) => [key, { costUsd: cost }]));
  return {
    extractMetadata: async ({ parsedBody }) => toMetadata(costUsd(parsedBody, undefined)),
    createStreamExtractor() {
      let cost: number | undefined;
      return {
        processChunk(chunk) {
          cost = costUsd(chunk, undefined) ?? cost;
        },
        buildMetadata: () => toMetadata(cost),
      };
    },
    withHeaderCost(metadata = {}, headers) {
      const isTold = keys.some((key) => metadata[key]?.costUsd !== undefined);
      const told = isTold || headers === undefined ? undefined : toMetadata(costUsd({}, new Headers(headers)));
      if (told === undefined) return metadata;
      const added = Object.entries(told).map(([key, value]) => [key, { ...metadata[key], ...value }] as const);
      return { ...metadata, ...Object.fromEntries(added) };
    },
  };
}

/** The error forms of brokers and nodes: OpenAI's object, or a bare text. */
const errorSchema = z.looseObject({
  error: z.union([z.string(), z.looseObject({ message: z.string() })]),
});

/**
 * How the SDK reads refusals that come from a fetch which is not ours, and error objects inside streams. Only an
 * explicit `x-should-retry: true` makes the SDK repeat a request: the connection owns the retries.
 */
const errorStructure: ProviderErrorStructure<z.infer<typeof errorSchema>> = {
  errorSchema,
  errorToMessage: ({ error }) => (typeof error === "string" ? error : error.message),
  isRetryable: (response) => response.headers.get("x-should-retry") === "true",
};
