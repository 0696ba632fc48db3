import { listModels } from "../client/list-models.ts";
import { NATIVE_BASE_URL } from "../client/native-options.ts";
import type { ProviderAccess } from "./provider-access.ts";

/** A question to the endpoint's model list. */
export type AskList = (modelId: string, signal: AbortSignal | undefined) => Promise<boolean>;

/** Is it listed as an embedding model? One that is, is remembered; others are looked for again. Throws what the list's request throws. */
export function isEmbeddingModel(access: ProviderAccess): AskList {
  const found = new Set<string>();
  return async (modelId, signal) => {
    if (found.has(modelId)) return true;
    const models = await listModels(await access.connect(), signal);
    const isListed = models.some(({ id, kind }) => id === modelId && kind === "embedding");
    if (isListed) found.add(modelId);
    return isListed;
  };
}

/**
 * Is it listed as a model without images? Asked once per model. A list that does not tell, or cannot be read, keeps
 * nothing from being sent. Native connections ask the network's list themselves, whoever sends through them.
 */
export function refusesImages(access: ProviderAccess): AskList {
  if (access.baseURL === NATIVE_BASE_URL) return async () => false;
  const known = new Map<string, boolean>();
  return async (modelId, signal) => {
    const remembered = known.get(modelId);
    if (remembered !== undefined) return remembered;
    const models = await access
      .connect()
      .then((gonka) => listModels(gonka, signal))
      .catch(() => {
        // The request itself will say what is wrong with the endpoint, in words that fit it.
        return undefined;
      });
    if (models === undefined) return false;
    const refuses = models.some(({ id, images }) => id === modelId && images === false);
    known.set(modelId, refuses);
    return refuses;
  };
}
