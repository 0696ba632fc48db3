import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { readRegularText } from "../../internal/regular-file.ts";

/** Larger ones were not written by us. */
const MAX_BYTES = 16 * 1024 * 1024;

/** Ids of all models that were listed to this user before; nothing is asked over the network. */
export async function cachedModelIds(cacheFolder: string): Promise<readonly string[]> {
  const files = await readdir(cacheFolder).catch((): string[] => []);
  const lists = files.filter((name) => /^models-[0-9a-f]+\.json$/.test(name));
  const ids = await Promise.all(lists.map((name) => readIds(join(cacheFolder, name))));
  return [...new Set(ids.flat())].sort();
}

async function readIds(path: string): Promise<readonly string[]> {
  try {
    const cached: unknown = JSON.parse((await readRegularText(path, { maxBytes: MAX_BYTES })) ?? "");
    const models = typeof cached === "object" && cached !== null ? Reflect.get(cached, "models") : undefined;
    if (!Array.isArray(models)) return [];
    return models.flatMap((model: unknown) => {
      const id = typeof model === "object" && model !== null ? Reflect.get(model, "id") : undefined;
      // Shells break lines and words at these signs; a server could put commands behind them.
      return typeof id === "string" && /^[\w./:@+-]+$/.test(id) ? [id] : [];
    });
  } catch {
    // A damaged cache completes nothing.
    return [];
  }
}
