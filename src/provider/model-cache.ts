import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { listModels } from "../client/list-models.ts";
import { zephFolders } from "../config/paths.ts";
import { writeFileAtomic } from "../internal/atomic-file.ts";
import { type Model, parseModels } from "../protocol/models.ts";
import type { OpenedProvider } from "./open-provider.ts";
import type { SetupWorld } from "./setup.ts";

/** Prices and context lengths change rarely; models come and go within weeks. */
const MAX_AGE_MS = 24 * 3_600_000;

/** Reads the live list and remembers it, for prices and context lengths of later runs. */
export async function refreshModels(
  { config, gonka }: OpenedProvider,
  world: SetupWorld,
  signal?: AbortSignal,
): Promise<readonly Model[]> {
  const models = await listModels(gonka, signal);
  const content = JSON.stringify({ readAtMs: world.clock.nowMs(), models });
  await writeFileAtomic(cachePath(config.name, gonka.baseURL, world), `${content}\n`).catch(() => {
    // A cache is a convenience: a full or read-only disk must not keep the list from being shown.
  });
  return models;
}

/** What the list said in the last 24 hours; empty when it was not read. Makes no request. */
export async function rememberedModels(
  { config, gonka }: { readonly config: { readonly name: string }; readonly gonka: { readonly baseURL: string } },
  world: SetupWorld,
): Promise<readonly Model[]> {
  try {
    const cached: unknown = JSON.parse(await readFile(cachePath(config.name, gonka.baseURL, world), "utf8"));
    if (typeof cached !== "object" || cached === null || !("readAtMs" in cached) || !("models" in cached)) return [];
    const ageMs = world.clock.nowMs() - Number(cached.readAtMs);
    return ageMs >= 0 && ageMs < MAX_AGE_MS && Array.isArray(cached.models) ? restore(cached.models) : [];
  } catch {
    // Missing, unreadable or damaged: nothing is remembered.
    return [];
  }
}

/** The file holds our own form; it goes through the same checks as a list from the network all the same. */
function restore(models: readonly unknown[]): readonly Model[] {
  return parseModels({
    data: models.map((entry) => {
      const { id, contextLengthTokens, maxOutputTokens, promptUsdPer1M, completionUsdPer1M, tools, parameters } =
        entry as Model;
      return {
        id,
        type: (entry as Model).saysEmbedding === true ? "embedding" : undefined,
        context_length: contextLengthTokens,
        max_output_length: maxOutputTokens,
        pricing: { prompt: promptUsdPer1M, completion: completionUsdPer1M },
        supports_tools: tools,
        supported_parameters: parameters,
      };
    }),
  });
}

function cachePath(name: string, baseURL: string, world: SetupWorld): string {
  const hash = createHash("sha256").update(`${name} ${baseURL}`).digest("hex").slice(0, 16);
  return join(zephFolders(world).cache, `models-${hash}.json`);
}
