import { type Clock, systemClock } from "../base/time.ts";
import { brokerApp } from "./broker.ts";
import { builtInEngine } from "./built-in.ts";
import { type NetworkOptions, type SandboxNetwork, startNetwork } from "./classic/network.ts";
import { type DevshardNetwork, type DevshardOptions, startDevshard } from "./devshard/devshard.ts";
import { type Engine, type SandboxModel, systemRandom } from "./engine.ts";
import { type FaultControl, faultPlan } from "./faults.ts";
import {
  type BrokerOptions,
  keyReader,
  makeKeys,
  type OpenRecord,
  type RequestRecord,
  type SandboxKeys,
} from "./keys.ts";
import { fetchHandler, listen } from "./server.ts";

export interface SandboxOptions {
  /** Default 0: any free port. */
  readonly port?: number;
  /** Default 127.0.0.1. */
  readonly hostname?: string;
  /** What gives the answers. Default: the built-in engine. */
  readonly engine?: Engine;
  /** Pace of the built-in engine. Default 0: no waiting at all. */
  readonly tokensPerSecond?: number;
  readonly broker?: BrokerOptions;
  /** Also starts a network of nodes that verify signed requests; `true` for the defaults. Default: none. */
  readonly network?: true | Omit<NetworkOptions, "engine" | "clock" | "random">;
  /** Also starts devshard hosts and their chain, as the network is today; `true` for the defaults. Default: none. */
  readonly devshard?: true | Omit<DevshardOptions, "engine" | "clock" | "random">;
  readonly clock?: Clock;
  /** Chance for keys and ids, 0 <= value < 1. Default: the system's source. */
  readonly random?: () => number;
}

/** The fake broker, running. */
export interface SandboxBroker {
  /** Ends in `/v1`. */
  readonly baseURL: string;
  /** One throwaway key of each kind. */
  readonly keys: SandboxKeys;
  readonly models: readonly SandboxModel[];
  /** The latest 10 000 requests, in order of arrival. Holds no key, and no body unless `recordBodies` was set. */
  readonly requests: readonly RequestRecord[];
  readonly faults: FaultControl;
}

export interface Sandbox {
  readonly broker: SandboxBroker;
  /** Present when asked for with `network`. */
  readonly network?: SandboxNetwork;
  /** Present when asked for with `devshard`. */
  readonly devshard?: DevshardNetwork;
  /** Closes every connection and gives the port back. May be called more than once. */
  stop(): Promise<void>;
}

/** A sandbox that was asked for a devshard, and has one. */
export type SandboxWithDevshard = Sandbox & { readonly devshard: DevshardNetwork };

/** A sandbox that was asked for a network, and has one. */
export type SandboxWithNetwork = Sandbox & { readonly network: SandboxNetwork };

/**
 * Starts a fake broker on this computer, over real HTTP: keys in every state, models, chat as JSON and as a stream,
 * embeddings, prices, and faults on demand; with `network` also Gonka nodes that verify every signature, with `devshard`
 * hosts and a chain that verify every diff. It needs no internet and no account.
 *
 * @throws ZephError `usage` when the port is taken
 * @example
 * ```ts
 * const sandbox = await startSandbox();
 * const { baseURL, keys } = sandbox.broker;
 * const reply = await fetch(`${baseURL}/models`, { headers: { authorization: `Bearer ${keys.good}` } });
 * await sandbox.stop();
 * ```
 */
export async function startSandbox(
  options: SandboxOptions & { readonly network: NonNullable<SandboxOptions["network"]> },
): Promise<SandboxWithNetwork>;
export async function startSandbox(
  options: SandboxOptions & { readonly devshard: NonNullable<SandboxOptions["devshard"]> },
): Promise<SandboxWithDevshard>;
export async function startSandbox(options?: SandboxOptions): Promise<Sandbox>;
export async function startSandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  const { clock = systemClock, random = systemRandom, broker = {} } = options;
  const engine = options.engine ?? builtInEngine({ clock, tokensPerSecond: options.tokensPerSecond ?? 0 });
  const models = await engine.models();
  const keys = makeKeys(random, broker.keys);
  const requests: OpenRecord[] = [];
  const faults = faultPlan();
  const app = brokerApp({ engine, options: broker, keys, readKey: keyReader(keys), faults, requests, clock, random });
  const listener = await listen(
    fetchHandler((request, bindings) => app.fetch(request, bindings)),
    options,
  );
  const network = await networkOf(options, { engine, clock, random });
  const devshard = await devshardOf(options, { engine, clock, random });
  return {
    broker: { baseURL: `${listener.origin}/v1`, keys, models, requests, faults },
    ...(network === undefined ? {} : { network }),
    ...(devshard === undefined ? {} : { devshard }),
    async stop() {
      await Promise.all([listener.close(), network?.stop(), devshard?.stop()]);
    },
  };
}

function networkOf(
  { network }: SandboxOptions,
  shared: Pick<NetworkOptions, "engine" | "clock" | "random">,
): Promise<SandboxNetwork> | undefined {
  if (network === undefined) return undefined;
  return startNetwork({ ...shared, ...(network === true ? {} : network) });
}

function devshardOf(
  { devshard }: SandboxOptions,
  shared: Pick<DevshardOptions, "engine" | "clock" | "random">,
): Promise<DevshardNetwork> | undefined {
  if (devshard === undefined) return undefined;
  return startDevshard({ ...shared, ...(devshard === true ? {} : devshard) });
}
