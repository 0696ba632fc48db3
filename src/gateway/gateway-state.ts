import { randomBytes } from "node:crypto";
import { brokerForBaseURL } from "../brokers/registry.ts";
import { type Clock, systemClock } from "../internal/clock.ts";
import { NETWORK_LIMITS } from "../protocol/network-parameters.ts";
import { type SecretMask, secretMask } from "../provider/without-secrets.ts";
import { responseMemory } from "./dialects/response-memory.ts";
import type { ResponsesOptions } from "./dialects/responses.ts";
import { type EmbeddingCheck, embeddingCheck } from "./embedding-models.ts";
import type { Exchange, ExchangeRecord } from "./exchange.ts";
import type { GatewayRequest } from "./gateway-request.ts";
import { type HostCheck, hostCheck } from "./guard/host-check.ts";
import { type KeyCheck, keyCheck } from "./guard/key-check.ts";
import { type OriginCheck, originCheck } from "./guard/origin-check.ts";
import type { LocalGatewayOptions } from "./local-gateway-options.ts";
import { type GatewayMetrics, gatewayMetrics } from "./metrics/gateway-metrics.ts";

/** What all requests of one gateway share. */
export interface GatewayState {
  readonly options: LocalGatewayOptions;
  readonly clock: Clock;
  readonly heartbeatMs: number;
  readonly maxBodyBytes: number;
  readonly checkKey: KeyCheck;
  readonly checkHost: HostCheck;
  readonly origins: OriginCheck;
  readonly checkEmbeddings: EmbeddingCheck;
  /** Kinds of tools besides functions that the broker serves before the network sees the request. */
  readonly keepToolType: (type: string) => boolean;
  /** What the other APIs share: kept responses, time and ids, tools of the broker. */
  readonly dialects: ResponsesOptions;
  /** Takes the user's own secrets out of what is sent. */
  readonly mask: SecretMask;
  readonly metrics: GatewayMetrics;
  readonly onEnd: (record: ExchangeRecord) => void;
  readonly held: { bytes: number };
  draining: boolean;
  inFlight: number;
}

/** What a route needs: the shared state, and the one request. */
export interface RouteContext {
  readonly state: GatewayState;
  readonly exchange: Exchange;
  readonly request: GatewayRequest;
}

const DEFAULT_HEARTBEAT_MS = 10_000;

export function gatewayState(options: LocalGatewayOptions): GatewayState {
  const metrics = gatewayMetrics(options.providerName ?? "gonka", configuredModels(options));
  const clock = options.clock ?? systemClock;
  const keepToolType = toolTypesOf(options.upstream.baseURL);
  const state: GatewayState = {
    options,
    clock,
    heartbeatMs: options.heartbeatMs ?? DEFAULT_HEARTBEAT_MS,
    maxBodyBytes: options.maxBodyBytes ?? NETWORK_LIMITS.maxBodyBytes,
    checkKey: keyCheck(options.key),
    checkHost: hostCheck(options.allowedHosts),
    origins: originCheck(options.allowedOrigins),
    checkEmbeddings: embeddingCheck(options.upstream, clock),
    keepToolType,
    dialects: {
      memory: responseMemory(),
      stamps: { nowMs: () => clock.nowMs(), newId: () => randomBytes(18).toString("hex") },
      keepsToolType: keepToolType,
    },
    mask: secretMask(options.secrets ?? []),
    metrics,
    onEnd(record) {
      state.inFlight -= 1;
      metrics.ended(record);
      options.onRequest?.(record);
    },
    held: { bytes: 0 },
    draining: false,
    inFlight: 0,
  };
  return state;
}

function configuredModels({
  defaultModel,
  defaultEmbeddingModel,
  aliases = {},
}: LocalGatewayOptions): readonly string[] {
  return [defaultModel, defaultEmbeddingModel, ...Object.values(aliases)].filter((model) => model !== undefined);
}

/** GonkaGate has tools of its own (`gonkagate:web_search` …). */
function toolTypesOf(baseURL: string): (type: string) => boolean {
  const id = brokerForBaseURL(baseURL)?.id;
  return (type) => id !== undefined && type.startsWith(`${id}:`);
}
