import type { Clock } from "../../../internal/clock.ts";
import type { Engine } from "../../engine.ts";
import type { ChainStandIn } from "../chain/chain.ts";
import type { ReplayMemory } from "../request/replay-memory.ts";
import type { RequestLog } from "./request-log.ts";

/** What the whole network agrees on and a test may change while it runs. */
export interface NetworkState {
  /** Software version of all nodes, as `/v1/versions` tells it. From 0.2.14 on the classic path answers 410. */
  version: string;
  /** Which JSON shape the epoch endpoints answer in. */
  shape: "restored" | "v0.2.15";
  /** Which JSON shape `/v1/models` answers in. */
  modelsShape: "list" | "units";
  /** `data.delegate_ta` of `/v1/identity`: URL to address. No real node was seen to send it. */
  delegateTa: Readonly<Record<string, string>> | undefined;
  /** Makes every `/v1/identity` name this address instead of the node's own. */
  identityAddress: string | undefined;
}

/** What one node knows of itself and the world. */
export interface NodeSetting {
  readonly name: string;
  readonly address: string;
  /** Scheme, host and port, no trailing slash. Known once the node listens. */
  readonly origin: () => string;
  /** Addresses of the network's other nodes. */
  readonly otherAddresses: () => readonly string[];
  /** Base64 signature with the node's own key. */
  readonly sign: (message: Uint8Array) => string;
  readonly chain: ChainStandIn;
  readonly state: NetworkState;
  readonly engine: Engine;
  readonly replay: ReplayMemory;
  readonly log: RequestLog;
  readonly clock: Clock;
  readonly random: () => number;
}

/** True from v0.2.14 on, where the classic path is gone. */
export function isRetired(version: string): boolean {
  return isAtLeast(version, 14);
}

/** Whether a version such as `v0.2.13-post1` is 0.2.`patch` or later. */
export function isAtLeast(version: string, patch: number): boolean {
  const [, major = "0", minor = "0", small = "0"] = /(\d+)\.(\d+)\.(\d+)/.exec(version) ?? [];
  const differences = [Number(major), Number(minor) - 2, Number(small) - patch];
  return (differences.find((difference) => difference !== 0) ?? 0) >= 0;
}
