import type { GonkaFetch } from "../client/gonka-fetch.ts";
import { listModels } from "../client/list-models.ts";
import { ZephError } from "../errors/zeph-error.ts";
import type { Clock } from "../internal/clock.ts";

/** Throws `unsupported_capability` unless the upstream lists the model as one for embeddings. */
export type EmbeddingCheck = (model: string, signal: AbortSignal) => Promise<void>;

/** Models come and go within weeks, not within minutes. */
const REMEMBERED_MS = 300_000;

/**
 * Asks the live list before the first request for a model, so that nothing is sent, and paid for, where it cannot work.
 * An upstream that gives no list decides for itself.
 */
export function embeddingCheck(upstream: GonkaFetch, clock: Clock): EmbeddingCheck {
  let known: { readonly ids: readonly string[]; readonly readAtMs: number } | undefined;
  return async (model, signal) => {
    const isFresh = known !== undefined && clock.nowMs() - known.readAtMs < REMEMBERED_MS;
    if (isFresh && known?.ids.includes(model) === true) return;
    const ids = await embeddingIds(upstream, signal);
    if (ids === undefined) return;
    known = { ids, readAtMs: clock.nowMs() };
    if (ids.includes(model)) return;
    throw new ZephError("unsupported_capability", {
      detail: "embeddings by this model",
      hint: ids.length === 0 ? "The provider lists no embedding model." : `For embeddings it lists: ${ids.join(", ")}.`,
    });
  };
}

async function embeddingIds(upstream: GonkaFetch, signal: AbortSignal): Promise<readonly string[] | undefined> {
  try {
    return (await listModels(upstream, signal)).filter(({ kind }) => kind === "embedding").map(({ id }) => id);
  } catch (error) {
    if (ZephError.is(error)) return undefined;
    throw error;
  }
}
