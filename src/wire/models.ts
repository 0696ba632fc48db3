import { optional, readAmount, readList, readObject, readText, unreadable } from "../base/json.ts";
import { ZephError } from "../errors.ts";

/** One model as an endpoint lists it. What the list does not say is undefined, never guessed. */
export interface Model {
  /** Exactly as listed; letter case counts. */
  readonly id: string;
  readonly kind: "chat" | "embedding";
  /** The list itself says that it embeds; without this, an embedding model was known by its name only. */
  readonly saysEmbedding?: boolean;
  readonly contextLengthTokens?: number;
  readonly maxOutputTokens?: number;
  readonly promptUsdPer1M?: number;
  readonly completionUsdPer1M?: number;
  /** On the native path, where the network's price list stands beside the models: for each token, read or written. */
  readonly pricePerTokenNgonka?: bigint;
  /** Can it call tools? */
  readonly tools?: boolean;
  /** Does it take images? */
  readonly images?: boolean;
  /** Fields a request may have, as far as the list names them (`supported_parameters`). */
  readonly parameters?: readonly string[];
}

/**
 * Reads `GET /v1/models` of brokers and of nodes: `{object:"list",data:[…]}`, or `{models:[…]}` of nodes before v0.2.12
 * (gonka-ai/gonka PR #614). Entries without an id are skipped. Throws `bad_response` when it is neither.
 */
export function parseModels(json: unknown): readonly Model[] {
  const body = asRecord(json);
  const list = Array.isArray(json) ? json : (body.data ?? body.models);
  if (!Array.isArray(list))
    throw new ZephError("bad_response", { detail: "the model list has neither data nor models" });
  return list.flatMap((entry: unknown) => {
    const model = parseModel(asRecord(entry));
    return model === undefined ? [] : [model];
  });
}

function parseModel(entry: Fields): Model | undefined {
  const id = asText(entry.id) ?? asText(entry.model);
  if (id === undefined) return undefined;
  const pricing = asRecord(entry.pricing);
  const provider = asRecord(entry.top_provider);
  const saysEmbedding = statesEmbedding(entry) ? true : undefined;
  return {
    id,
    kind: saysEmbedding || EMBEDDING_NAME.test(id) ? "embedding" : "chat",
    ...defined({
      saysEmbedding,
      contextLengthTokens:
        asCount(entry.context_length) ?? asCount(entry.max_model_len) ?? asCount(entry.context_window),
      maxOutputTokens:
        asCount(provider.max_completion_tokens) ?? asCount(entry.max_output_length) ?? asCount(entry.max_output_tokens),
      promptUsdPer1M: asUsdPer1M(pricing.prompt ?? pricing.input),
      completionUsdPer1M: asUsdPer1M(pricing.completion ?? pricing.output),
      tools: readTools(entry),
      images: readImages(entry),
      parameters: readParameters(entry),
    }),
  };
}

type Fields = Readonly<Record<string, unknown>>;

const EMBEDDING_NAME = /embed|(?:^|\/)bge-/i;

function statesEmbedding({ type, task, architecture }: Fields): boolean {
  return [type, task, asRecord(architecture).modality].some((said) => /embed/i.test(asText(said) ?? ""));
}

function readParameters({ supported_parameters: parameters }: Fields): readonly string[] | undefined {
  return Array.isArray(parameters) ? parameters.filter((name) => typeof name === "string") : undefined;
}

function readTools(entry: Fields): boolean | undefined {
  const { supports_tools: supports } = entry;
  const parameters = readParameters(entry);
  if (parameters !== undefined) return parameters.includes("tools");
  if (typeof supports === "boolean") return supports;
  const { tools } = asRecord(entry.capabilities);
  return typeof tools === "boolean" ? tools : undefined;
}

/** `input_modalities` of nodes and, inside `architecture`, of brokers with OpenRouter's form; else `capabilities.vision`. */
function readImages({ input_modalities: own, architecture, capabilities }: Fields): boolean | undefined {
  const listed = own ?? asRecord(architecture).input_modalities;
  if (Array.isArray(listed) && listed.length > 0) return listed.includes("image");
  const { vision } = asRecord(capabilities);
  return typeof vision === "boolean" ? vision : undefined;
}

/** Prices come per token or per million; nobody charges more than 20 USD per million through a per-token field. */
const LARGEST_USD_PER_TOKEN = 0.000_02;

/** Beyond this a price is a mistake, and a bill by it would be one too. */
const LARGEST_USD_PER_1M = 10_000;

function asUsdPer1M(value: unknown): number | undefined {
  const price = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
  if (typeof price !== "number" || !(price >= 0 && price <= LARGEST_USD_PER_1M)) return undefined;
  // Without the last digits of binary fractions: 0.99, not 0.9900000000000001.
  return price < LARGEST_USD_PER_TOKEN ? Number((price * 1_000_000).toPrecision(12)) : price;
}

function asCount(value: unknown): number | undefined {
  const count = typeof value === "string" && /^\d+$/.test(value) ? Number(value) : value;
  return typeof count === "number" && Number.isSafeInteger(count) && count > 0 ? count : undefined;
}

function asText(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

function asRecord(value: unknown): Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : {};
}

type Defined<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

function defined<T extends Fields>(fields: T): Defined<T> {
  const kept: Defined<T> = {};
  for (const key of keysOf(fields)) if (fields[key] !== undefined) Object.assign(kept, { [key]: fields[key] });
  return kept;
}

function keysOf<T extends Fields>(fields: T): (keyof T)[] {
  return Object.keys(fields);
}

/** What a typed model name means against a live list. */
type ModelMatch =
  | { readonly kind: "exact"; readonly id: string }
  /** Letter case differs, or only the part after the last slash was typed. */
  | { readonly kind: "loose"; readonly id: string }
  | { readonly kind: "none"; readonly nearest: readonly string[] };

/** Finds a model by its exact id, then without letter case, then by its short name; else names the nearest three. */
export function matchModel(typed: string, ids: readonly string[]): ModelMatch {
  if (ids.includes(typed)) return { kind: "exact", id: typed };
  const wanted = typed.toLowerCase();
  const sameLetters = ids.filter((id) => id.toLowerCase() === wanted);
  const sameShortName = ids.filter((id) => shortName(id) === shortName(typed));
  const candidate = sameLetters[0] ?? (sameShortName.length === 1 ? sameShortName[0] : undefined);
  return candidate === undefined ? { kind: "none", nearest: nearest(typed, ids, 3) } : { kind: "loose", id: candidate };
}

/** The `count` most similar words, most similar first. Used for models, commands and providers. */
export function nearest(word: string, words: readonly string[], count: number): readonly string[] {
  const wanted = word.toLowerCase();
  return words
    .map((each) => ({
      each,
      distance: Math.min(editDistance(wanted, each.toLowerCase()), editDistance(wanted, shortName(each))),
    }))
    .sort((a, b) => a.distance - b.distance || a.each.localeCompare(b.each))
    .slice(0, count)
    .map(({ each }) => each);
}

function shortName(id: string): string {
  return id.toLowerCase().slice(id.lastIndexOf("/") + 1);
}

/** Levenshtein distance, one row at a time. Inputs are bounded so that a hostile list cannot cost much. */
function editDistance(a: string, b: string): number {
  const left = a.slice(0, 128);
  const right = b.slice(0, 128);
  let previous = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let i = 1; i <= left.length; i += 1) {
    const current = [i];
    for (let j = 1; j <= right.length; j += 1) {
      const substitution = (previous[j - 1] ?? 0) + (left[i - 1] === right[j - 1] ? 0 : 1);
      current.push(Math.min((previous[j] ?? 0) + 1, (current[j - 1] ?? 0) + 1, substitution));
    }
    previous = current;
  }
  return previous[right.length] ?? 0;
}

/** A model as a node of the network lists it. */
export interface NodeModel {
  readonly id: string;
  readonly name: string | undefined;
  readonly contextLengthTokens: number | undefined;
  readonly maxOutputTokens: number | undefined;
  /** Empty where the node does not tell. */
  readonly inputModalities: readonly string[];
  readonly outputModalities: readonly string[];
  readonly unitsOfComputePerToken: bigint | undefined;
}

/**
 * Reads `GET /v1/models` of a node, as `{data:[…]}` (v0.2.12 on) or `{models:[…]}` (before), and
 * `GET /v1/governance/models`. A missing list counts as empty. Throws `bad_response`.
 */
export function parseNodeModels(value: unknown): readonly NodeModel[] {
  const root = readObject(value, "models response");
  if (!("data" in root) && !("models" in root)) throw unreadable("models response", "has neither data nor models");
  const place = "data" in root ? "data" : "models";
  return optional(root[place], place, (list, at) => readList(list, at, readModel)) ?? [];
}

function readModel(value: unknown, place: string): NodeModel {
  const model = readObject(value, place);
  const texts = (field: string) =>
    optional(model[field], `${place}.${field}`, (list, at) => readList(list, at, readText)) ?? [];
  const tokens = (field: string) => {
    const count = optional(model[field], `${place}.${field}`, readAmount);
    return count === undefined || count === 0n ? undefined : Number(count);
  };
  return {
    id: readText(model.id, `${place}.id`),
    name: optional(model.name, `${place}.name`, readText),
    contextLengthTokens: tokens("context_length"),
    maxOutputTokens: tokens("max_output_length"),
    inputModalities: texts("input_modalities"),
    outputModalities: texts("output_modalities"),
    unitsOfComputePerToken: optional(
      model.units_of_compute_per_token,
      `${place}.units_of_compute_per_token`,
      readAmount,
    ),
  };
}
