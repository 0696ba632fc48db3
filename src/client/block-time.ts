import type { Clock } from "../internal/clock.ts";
import { parseChainStatus } from "../protocol/chain-status.ts";
import type { Endpoint } from "../protocol/endpoint.ts";
import type { FetchFunction } from "../transport/fetch-function.ts";
import { readNode } from "./read-node.ts";

/** A request waits for the answer; nodes that have one give it at once. */
const STATUS_TIMEOUT_MS = 3_000;

/**
 * Reads the time of a node's latest block, milliseconds since 1970, from `GET /chain-rpc/status`: what the node compares
 * timestamps with. Undefined when its chain RPC is switched off.
 */
export function blockTime(
  fetch: FetchFunction,
  clock: Clock,
): (endpoint: Endpoint, signal: AbortSignal) => Promise<number | undefined> {
  return async ({ baseURL }, signal) => {
    try {
      const url = `${baseURL.slice(0, -"/v1".length)}/chain-rpc/status`;
      const { json } = await readNode(url, { fetch, clock, signal, timeoutMs: STATUS_TIMEOUT_MS });
      return parseChainStatus(json).latestBlockTimeMs;
    } catch (thrown) {
      if (signal.aborted) throw thrown;
      // The refusal itself is the error then.
      return undefined;
    }
  };
}
