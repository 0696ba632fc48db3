import { ZephError } from "../errors/zeph-error.ts";
import { untilAborted } from "../internal/abort.ts";
import { type Clock, systemClock } from "../internal/clock.ts";
import type { Endpoint } from "../protocol/endpoint.ts";
import type { Discovery } from "./discover-endpoints.ts";

/** What a discovery left behind, in a form that can be kept in a file. */
export interface CachedEndpoints {
  readonly readAtMs: number;
  readonly endpoints: readonly Endpoint[];
  /** The epoch they are of, in digits, where it is known. */
  readonly epochId?: string | undefined;
}

/** Keeps the last discovery between processes. Both functions may fail silently: a cache is a convenience. */
export interface EndpointCache {
  load(): Promise<CachedEndpoints | undefined>;
  save(cached: CachedEndpoints): Promise<void>;
}

export interface EndpointSourceOptions {
  readonly discover: () => Promise<Discovery>;
  readonly cache?: EndpointCache;
  /** How long a list counts as fresh. Default 5 minutes: nodes limit these reads to 10 a minute. */
  readonly ttlMs?: number;
  readonly clock?: Clock;
  /** Told when an old list is used because the source cannot be read. */
  readonly onStale?: (ageMs: number, error: ZephError) => void;
}

const DEFAULT_TTL_MS = 5 * 60_000;
/** Epochs last about a day; an older list names nodes that may be gone. */
const MAX_STALE_MS = 24 * 3_600_000;

/**
 * A list of nodes that keeps itself fresh on use: cached, shared by requests that ask at once, and used beyond its time
 * when the source fails. Throws `native_closed` when the network has retired signed requests, `no_endpoints` when it has
 * no usable node.
 */
export function endpointSource(options: EndpointSourceOptions): (signal: AbortSignal) => Promise<readonly Endpoint[]> {
  const { clock = systemClock, ttlMs = DEFAULT_TTL_MS } = options;
  let cached: CachedEndpoints | undefined;
  let refreshing: Promise<readonly Endpoint[]> | undefined;

  /** What was found before, while it may still be used. */
  const known = () => (cached !== undefined && clock.nowMs() - cached.readAtMs <= MAX_STALE_MS ? cached : undefined);

  function useKnown({ readAtMs, endpoints, epochId }: CachedEndpoints, listed: bigint | undefined) {
    const detail = `the list is of epoch ${listed}, and epoch ${epochId} is known already`;
    options.onStale?.(clock.nowMs() - readAtMs, new ZephError("proof_invalid", { detail }));
    return endpoints;
  }

  async function refresh(): Promise<readonly Endpoint[]> {
    cached ??= await options.cache?.load();
    const fresh = freshEndpoints(cached, clock.nowMs(), ttlMs);
    if (fresh !== undefined) return fresh;
    try {
      const discovery = await options.discover();
      const endpoints = usableEndpoints(discovery);
      const newer = newerThan(discovery.epochId, known());
      if (newer !== undefined) return useKnown(newer, discovery.epochId);
      cached = { endpoints, readAtMs: clock.nowMs(), epochId: discovery.epochId?.toString() };
      await options.cache?.save(cached);
      return endpoints;
    } catch (error) {
      const ageMs = clock.nowMs() - (cached?.readAtMs ?? Number.NEGATIVE_INFINITY);
      if (!ZephError.is(error) || !error.retryable || cached === undefined || ageMs > MAX_STALE_MS) throw error;
      options.onStale?.(ageMs, error);
      return cached.endpoints;
    }
  }
  return async (signal) => {
    const fresh = freshEndpoints(cached, clock.nowMs(), ttlMs);
    if (fresh !== undefined) return fresh;
    refreshing ??= refresh().finally(() => {
      refreshing = undefined;
    });
    return untilAborted(refreshing, signal);
  };
}

/** A source that falls behind what it said itself, or is another one now, must not bring an old epoch back. */
function newerThan(epochId: bigint | undefined, known: CachedEndpoints | undefined): CachedEndpoints | undefined {
  const isOlder = epochId !== undefined && known?.epochId !== undefined && epochId < BigInt(known.epochId);
  return isOlder ? known : undefined;
}

function freshEndpoints(cached: CachedEndpoints | undefined, nowMs: number, ttlMs: number) {
  if (cached === undefined || cached.endpoints.length === 0) return undefined;
  const ageMs = nowMs - cached.readAtMs;
  // A negative age is a clock that was set back: nothing can be said about freshness then.
  return ageMs >= 0 && ageMs < ttlMs ? cached.endpoints : undefined;
}

/** The nodes of a discovery; throws where there is none to use. */
export function usableEndpoints({ endpoints, retired, apiVersionText, skipped }: Discovery): readonly Endpoint[] {
  if (retired) {
    throw new ZephError("native_closed", {
      detail: `the network runs ${apiVersionText ?? "a newer version"}; nothing was sent`,
    });
  }
  if (endpoints.length === 0) {
    const reasons = skipped.slice(0, 3).map(({ address, reason }) => `${address}: ${reason}`);
    throw new ZephError("no_endpoints", {
      detail: reasons.length === 0 ? "the network lists none" : reasons.join("; "),
    });
  }
  return endpoints;
}
