import { createHash } from "node:crypto";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomic } from "../internal/atomic-file.ts";
import type { Clock } from "../internal/clock.ts";
import { readRegularText } from "../internal/regular-file.ts";

/** Larger ones were not written by us. */
const MAX_BYTES = 16 * 1024 * 1024;

/** A whole answer as it is kept. */
export interface CachedAnswer {
  readonly text: string;
  readonly reasoning: string;
}

/** Answers that were paid for and may be given again. */
export interface AnswerCache {
  /** The answer to exactly this: model, history, settings. */
  get(asked: object): Promise<CachedAnswer | undefined>;
  put(asked: object, answer: CachedAnswer): Promise<void>;
}

export interface AnswerCacheOptions {
  readonly folder: string;
  /** `[llm] response_cache_ttl_secs`. */
  readonly ttlMs: number;
  readonly clock: Pick<Clock, "nowMs">;
}

/**
 * A folder with one private file per answer (0600), named by the hash of what was asked; what has expired is deleted
 * when the next answer is kept. Throws nothing: a cache that cannot be read or written is as good as empty.
 */
export function openAnswerCache({ folder, ttlMs, clock }: AnswerCacheOptions): AnswerCache {
  const pathOf = (asked: object) =>
    join(folder, `${createHash("sha256").update(JSON.stringify(asked)).digest("hex")}.json`);

  async function read(path: string): Promise<CachedAnswer | undefined> {
    try {
      const kept: unknown = JSON.parse((await readRegularText(path, { maxBytes: MAX_BYTES })) ?? "");
      if (typeof kept !== "object" || kept === null || !("savedAtMs" in kept)) return undefined;
      const ageMs = clock.nowMs() - Number(kept.savedAtMs);
      return ageMs >= 0 && ageMs < ttlMs ? toAnswer(kept) : undefined;
    } catch {
      // Missing, unreadable or damaged: the model is asked.
      return undefined;
    }
  }
  async function deleteExpired(): Promise<void> {
    const names = (await readdir(folder)).filter((name) => name.endsWith(".json"));
    for (const path of names.map((name) => join(folder, name))) {
      if ((await read(path)) === undefined) await rm(path, { force: true });
    }
  }
  return {
    get: (asked) => read(pathOf(asked)),
    async put(asked, { text, reasoning }) {
      try {
        await writeFileAtomic(pathOf(asked), `${JSON.stringify({ savedAtMs: clock.nowMs(), text, reasoning })}\n`);
        await deleteExpired();
      } catch {
        // A full or read-only disk must not take away an answer that is there.
      }
    },
  };
}

function toAnswer(kept: object): CachedAnswer | undefined {
  const { text, reasoning } = kept as Partial<Record<keyof CachedAnswer, unknown>>;
  return typeof text === "string" && typeof reasoning === "string" ? { text, reasoning } : undefined;
}
