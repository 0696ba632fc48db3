import { matchModel, nearest } from "../protocol/match-model.ts";
import type { Model } from "../protocol/models.ts";
import { refreshModels } from "../provider/model-cache.ts";
import { openProvider } from "../provider/open-provider.ts";
import type { CliContext } from "./context.ts";
import { setupOf } from "./setup.ts";

/** What the live list says about an id that was typed without looking at it. */
export interface ModelFinding {
  /** As the list spells it; as it was typed where the list does not know it. */
  readonly id: string;
  /** Why a chat with it would probably fail. */
  readonly warning?: string;
}

/** A look at the list must not be in the way of the command that takes it. */
const WAIT_MS = 3_000;

/**
 * Looks an id up in the provider's live list, which is free. Where the list cannot be had, for whatever reason, there is
 * nothing to say about the id: a chat will tell the reason in full.
 */
export async function lookUpModel(context: CliContext, provider: string, typed: string): Promise<ModelFinding> {
  const controller = new AbortController();
  const cancel = context.clock.schedule(WAIT_MS, () => controller.abort());
  const signal = AbortSignal.any([context.signal, controller.signal]);
  try {
    // Nobody is asked for a passphrase for the sake of a warning.
    const setup = await setupOf({ ...context, interactive: false }, { provider }, "silent");
    const models = await refreshModels(await openProvider(setup, { name: provider }), setup.world, signal);
    if (models.length === 0) return { id: typed };
    const match = matchModel(typed, idsOf(models));
    if (match.kind === "none") {
      const chatIds = idsOf(models.filter(({ kind }) => kind === "chat"));
      const warning = `${provider} does not list ${typed} now. Nearest: ${nearest(typed, chatIds, 3).join(", ")}.`;
      return { id: typed, warning };
    }
    const { id } = match;
    const isEmbedding = models.some((model) => model.id === id && model.kind === "embedding");
    return isEmbedding ? { id, warning: `${id} makes embeddings; a chat needs another model.` } : { id };
  } catch {
    // Said above: no list, no opinion.
    return { id: typed };
  } finally {
    cancel();
  }
}

const idsOf = (models: readonly Model[]) => models.map(({ id }) => id);
