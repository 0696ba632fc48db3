import type { BrokerFacts } from "../client/broker-facts.ts";
import type { AskList } from "./listed-models.ts";

/** What all models of one provider share. */
export interface ModelConfig {
  /** The provider's name, without dots: the SDK reads it as everything before the first one. */
  readonly name: string;
  readonly url: (options: { modelId: string; path: string }) => string;
  readonly headers: () => Record<string, string | undefined>;
  readonly fetch: typeof globalThis.fetch;
  readonly includeUsage: boolean;
  /** Whether the endpoint lists the model as one without images. */
  readonly refusesImages: AskList;
  readonly costUsd: BrokerFacts["costUsd"];
}
