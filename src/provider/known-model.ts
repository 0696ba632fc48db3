import type { ProviderConfig } from "../config/provider.ts";
import type { Model } from "../protocol/models.ts";

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
