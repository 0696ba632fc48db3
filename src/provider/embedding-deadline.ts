import type { GonkaFetch } from "../client/gonka-fetch.ts";
import { deadlineSignal } from "../internal/abort.ts";
import type { Clock } from "../internal/clock.ts";

/**
 * Gives requests for embeddings a deadline of their own, retries included, until the answer begins: they take a moment
 * where a chat may take minutes. Rejects with `timeout_total`.
 */
export function withEmbeddingDeadline(gonka: GonkaFetch, clock: Clock, limitMs: number): GonkaFetch {
  const ask = async (input: string | URL | Request, init: RequestInit = {}): Promise<Response> => {
    if (input instanceof Request || !new URL(input).pathname.endsWith("/embeddings")) return gonka(input, init);
    const deadline = deadlineSignal(clock, init.signal);
    deadline.arm("timeout_total", limitMs);
    try {
      return await gonka(input, { ...init, signal: deadline.signal });
    } finally {
      deadline.disarm();
    }
  };
  return Object.assign(ask, { baseURL: gonka.baseURL, endpoints: gonka.endpoints });
}
