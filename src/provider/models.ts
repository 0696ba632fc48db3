import { createHash } from "node:crypto";
import { join } from "node:path";
import { readRegularText, writeFileAtomic } from "../base/files.ts";
import { asObject } from "../base/json.ts";
import { zephFolders } from "../config/files.ts";
import type { CompatibleProvider, GonkaProvider, ProviderConfig } from "../config/providers.ts";
import { nodeClient } from "../network/node.ts";
import { type GonkaFetch, listModels } from "../transport/gonka-fetch.ts";
import { type Model, parseModels } from "../wire/models.ts";
import type { SetupWorld } from "./setup.ts";

/** Larger ones were not written by us. */
const MAX_BYTES = 16 * 1024 * 1024;

/** Prices and context lengths change rarely; models come and go within weeks. */
const MAX_AGE_MS = 24 * 3_600_000;

/** A price list that does not come must not hold up the models. */
const PRICES_WAIT_MS = 3_000;

/** Reads the live list (natively with the network's prices) and remembers it, for prices and context lengths of later runs. */
export async function refreshModels(
  { config, gonka }: { readonly config: CompatibleProvider | GonkaProvider; readonly gonka: GonkaFetch },
  world: SetupWorld,
  signal?: AbortSignal,
): Promise<readonly Model[]> {
  const [listed, prices] = await Promise.all([listModels(gonka, signal), networkPrices(config, world, signal)]);
  const models = listed.map((model) => withPrice(model, prices.get(model.id)));
  const content = JSON.stringify({ readAtMs: world.clock.nowMs(), models }, (_key, value: unknown) =>
    typeof value === "bigint" ? value.toString() : value,
  );
  await writeCache(listPath(config.name, gonka.baseURL, world), content);
  return models;
}

/** Prices for each token in ngonka, by model. Empty for a broker, and where the network does not tell. */
async function networkPrices(
  config: CompatibleProvider | GonkaProvider,
  { fetch, clock }: SetupWorld,
  signal: AbortSignal | undefined,
): Promise<ReadonlyMap<string, bigint | undefined>> {
  const source = config.type === "gonka" ? (config.sourceUrl ?? config.nodes[0]?.url) : undefined;
  if (source === undefined) return new Map();
  try {
    const pricing = await nodeClient(source, { fetch, clock, signal, timeoutMs: PRICES_WAIT_MS }).pricing();
    return new Map(pricing?.models.map(({ id, pricePerTokenNgonka }) => [id, pricePerTokenNgonka]));
  } catch {
    // An unknown price is shown as unknown; the list itself tells what is wrong with the network.
    return new Map();
  }
}

function withPrice(model: Model, pricePerTokenNgonka: bigint | undefined): Model {
  return pricePerTokenNgonka === undefined ? model : { ...model, pricePerTokenNgonka };
}

/** What the list said in the last 24 hours; empty when it was not read. Makes no request. */
export async function rememberedModels(
  { config, gonka }: { readonly config: { readonly name: string }; readonly gonka: { readonly baseURL: string } },
  world: SetupWorld,
): Promise<readonly Model[]> {
  const { readAtMs, models } = asObject(await readCache(listPath(config.name, gonka.baseURL, world))) ?? {};
  const ageMs = world.clock.nowMs() - Number(readAtMs);
  return ageMs >= 0 && ageMs < MAX_AGE_MS && Array.isArray(models) ? restore(models.filter(isNamed)) : [];
}

/** An entry of our own form. */
type Remembered = Omit<Model, "pricePerTokenNgonka"> & { readonly pricePerTokenNgonka?: unknown };

function isNamed(entry: unknown): entry is Remembered {
  return typeof asObject(entry)?.id === "string";
}

/** The file holds our own form; it goes through the same checks as a list from the network all the same. */
function restore(models: readonly Remembered[]): readonly Model[] {
  const prices = new Map(models.map(({ id, pricePerTokenNgonka }) => [id, readAmountText(pricePerTokenNgonka)]));
  const restored = parseModels({
    data: models.map((entry) => ({
      id: entry.id,
      type: entry.saysEmbedding === true ? "embedding" : undefined,
      context_length: entry.contextLengthTokens,
      max_output_length: entry.maxOutputTokens,
      pricing: { prompt: entry.promptUsdPer1M, completion: entry.completionUsdPer1M },
      supports_tools: entry.tools,
      capabilities: { vision: entry.images },
      supported_parameters: entry.parameters,
    })),
  });
  return restored.map((model) => withPrice(model, prices.get(model.id)));
}

/** JSON has no exact integers of any size, so amounts stand in it as text. */
function readAmountText(value: unknown): bigint | undefined {
  return typeof value === "string" && /^\d{1,30}$/.test(value) ? BigInt(value) : undefined;
}

function listPath(name: string, baseURL: string, world: SetupWorld): string {
  return cachePath(world, "models", `${name} ${baseURL}`);
}

/** Where what a network told is kept: a file for each `subject`. */
export function cachePath(world: SetupWorld, kind: "models" | "nodes", subject: string): string {
  const hash = createHash("sha256").update(subject).digest("hex").slice(0, 16);
  return join(zephFolders(world).cache, `${kind}-${hash}.json`);
}

/** `undefined` where it is missing, unreadable or damaged: the network will be asked instead. */
export async function readCache(path: string): Promise<unknown> {
  try {
    return JSON.parse((await readRegularText(path, { maxBytes: MAX_BYTES })) ?? "");
  } catch {
    return undefined;
  }
}

/** A cache is a convenience: a full or read-only disk must not keep anything from going on. */
export async function writeCache(path: string, text: string): Promise<void> {
  await writeFileAtomic(path, `${text}\n`).catch(() => {});
}

/** Ids are case-sensitive and spelled differently per broker; where the list is remembered, letter case is no matter. */
export function findListed(models: readonly Model[], wanted: string): Model | undefined {
  const alike = models.filter(({ id }) => id.toLowerCase() === wanted.toLowerCase());
  return alike.find(({ id }) => id === wanted) ?? (alike.length === 1 ? alike[0] : undefined);
}

/**
 * Longest answer a chat asks for when the user names none, tokens. Half of a known window at most: a server adds the
 * prompt to it, and refuses what does not fit.
 *
 * @param known what the remembered list says of the model
 */
export function answerLimitTokens(
  config: Pick<Exclude<ProviderConfig, { type: "other" }>, "maxTokens" | "contextLength">,
  known: Pick<Model, "contextLengthTokens" | "maxOutputTokens"> | undefined,
): number {
  const windowTokens = config.contextLength ?? known?.contextLengthTokens ?? Number.POSITIVE_INFINITY;
  const roomTokens = Math.max(1, Math.floor(windowTokens / 2));
  return Math.min(config.maxTokens, known?.maxOutputTokens ?? config.maxTokens, roomTokens);
}
