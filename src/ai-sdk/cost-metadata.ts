import type { MetadataExtractor } from "@ai-sdk/openai-compatible";
import type { SharedV3ProviderMetadata } from "@ai-sdk/provider";
import type { BrokerFacts } from "../client/broker-facts.ts";

/** Reads costs out of answers and puts them under each of `keys`. An unknown cost stays absent; it is not 0. */
export interface CostMetadata extends MetadataExtractor {
  /** Adds a cost that stands in the response headers, where the body told none. */
  withHeaderCost(
    metadata: SharedV3ProviderMetadata | undefined,
    headers: Readonly<Record<string, string>> | undefined,
  ): SharedV3ProviderMetadata;
}

export function costMetadata(costUsd: BrokerFacts["costUsd"], keys: readonly string[]): CostMetadata {
  const toMetadata = (cost: number | undefined): SharedV3ProviderMetadata | undefined =>
    cost === undefined ? undefined : Object.fromEntries(keys.map((key) => [key, { costUsd: cost }]));
  return {
    extractMetadata: async ({ parsedBody }) => toMetadata(costUsd(parsedBody, undefined)),
    createStreamExtractor() {
      let cost: number | undefined;
      return {
        processChunk(chunk) {
          cost = costUsd(chunk, undefined) ?? cost;
        },
        buildMetadata: () => toMetadata(cost),
      };
    },
    withHeaderCost(metadata = {}, headers) {
      const isTold = keys.some((key) => metadata[key]?.costUsd !== undefined);
      const told = isTold || headers === undefined ? undefined : toMetadata(costUsd({}, new Headers(headers)));
      if (told === undefined) return metadata;
      const added = Object.entries(told).map(([key, value]) => [key, { ...metadata[key], ...value }] as const);
      return { ...metadata, ...Object.fromEntries(added) };
    },
  };
}
