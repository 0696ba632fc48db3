import type { GonkaFetch } from "../client/gonka-fetch.ts";
import type { Clock } from "../internal/clock.ts";
import type { Secret } from "../internal/secret.ts";
import type { ExchangeRecord } from "./exchange.ts";

export interface LocalGatewayOptions {
  /** Where requests go: a connection made by `gonkaFetch`, an opened provider's, or a chain of several. */
  readonly upstream: GonkaFetch;
  /** What callers must send as Bearer key or `x-api-key`. `none` lets everybody in: for loopback only. */
  readonly key: Secret | string | "none";
  /** Name of the provider in logs and metrics. Default `gonka`. */
  readonly providerName?: string;
  /** Host names to answer to besides this computer's loopback names, without port. `*` turns the check off. */
  readonly allowedHosts?: readonly string[];
  /** Web origins whose pages may call, such as `http://localhost:3000`. Default none: CORS is off. */
  readonly allowedOrigins?: readonly string[];
  /** Names that callers may use for models, and what they stand for. `claude-*` stands for every name that begins so. */
  readonly aliases?: Readonly<Record<string, string>>;
  /** Used when a request names no model. */
  readonly defaultModel?: string;
  /** Used when a request for embeddings names no model. */
  readonly defaultEmbeddingModel?: string;
  /** `network` (default) makes requests fit the network's published rules; `none` sends them as they are. */
  readonly cleanUp?: "network" | "none";
  /** How the upstream is reached: nodes are stricter about messages than brokers. Default `broker`. */
  readonly access?: "broker" | "native";
  /**
   * `always-stream` asks the upstream for a stream also when the caller did not, and puts the answer together: brokers
   * give up on answers whose first byte takes over 100 s. Default `as-asked`.
   */
  readonly upstreamMode?: "as-asked" | "always-stream";
  /** Silence of a stream after which a comment line is sent. Default 10 000; more than 15 000 makes clients give up. */
  readonly heartbeatMs?: number;
  /** Largest request body taken, bytes. Default 10 MiB, the network's own limit. */
  readonly maxBodyBytes?: number;
  /** Never sent on: where one of these stands in a request, `[redacted]` goes out in its place. */
  readonly secrets?: readonly Secret[];
  /** Called before anything leaves that may cost money. What it throws is the answer: `budget_reached`, as a rule. */
  readonly checkBudget?: () => Promise<void>;
  /** Called when a request has ended: for a log. The record holds no body and no secret. */
  readonly onRequest?: (record: ExchangeRecord) => void;
  readonly clock?: Clock;
}
