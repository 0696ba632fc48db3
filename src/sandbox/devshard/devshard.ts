import type { IncomingMessage, ServerResponse } from "node:http";
import { type Clock, systemClock } from "../../base/time.ts";
import { builtInEngine } from "../built-in.ts";
import { type Engine, systemRandom } from "../engine.ts";
import { clientGone, type Listener, listen, readBody } from "../server.ts";
import { DevshardChain, type DevshardParams, type Payment } from "./chain.ts";
import { answerChain } from "./chain-routes.ts";
import { type DevshardKey, devshardKey } from "./crypto.ts";
import { DevshardHost, execute, type HostExchange, type HostWorld } from "./host.ts";
import { type DevshardRequest, DevshardWatch } from "./host-request.ts";

export interface DevshardOptions {
  /** What answers the prompts. Default the built-in engine. */
  readonly engine?: Engine | undefined;
  /** How an executor makes an answer of what the engine says. Default as a model server of the network does. */
  readonly execute?: typeof execute | undefined;
  /** Default 3. */
  readonly hosts?: number | undefined;
  /** Index of the host that owns each slot of new escrows. Default one slot for each host, in their order. */
  readonly slots?: readonly number[] | undefined;
  /** 64 hex digits for each host. Default made anew. */
  readonly hostKeysHex?: readonly string[] | undefined;
  /** All hosts behind one port, told apart by a prefix of the path. Default a port for each. */
  readonly isOnePort?: boolean | undefined;
  /** Port of the chain; hosts take the next ones. Default any free ports. */
  readonly port?: number | undefined;
  /** Default `gonka-sandbox-1`. */
  readonly chainId?: string | undefined;
  /** Of the network's addresses. Default `gonka`. */
  readonly prefix?: string | undefined;
  /** What differs from the defaults of the chain's parameters. */
  readonly params?: Partial<DevshardParams> | undefined;
  /** Number of the first escrow. Default 1. */
  readonly firstEscrowId?: number | undefined;
  /** How long a transaction waits for its block. Default 0: it is there at the next request. */
  readonly inclusionDelayMs?: number | undefined;
  /** Versions the hosts' program serves. Default v4 and v3. */
  readonly versions?: readonly string[] | undefined;
  /** How long hosts remember that an escrow could not be bound. Default 30 000. */
  readonly failureCacheMs?: number | undefined;
  /** What verifiers wait for, seconds; hosts use their own numbers, not the chain's. Defaults 60 and 1200. */
  readonly refusalTimeoutSeconds?: number | undefined;
  readonly executionTimeoutSeconds?: number | undefined;
  /** Basis points of finished inferences that each other host validates. Default 1000, a tenth. */
  readonly validationRate?: number | undefined;
  /** Called when a request was answered, or its connection is gone. */
  readonly onRequest?: ((request: DevshardRequest) => void) | undefined;
  /** Default the system's. */
  readonly clock?: Clock | undefined;
  /** Chance, 0 <= value < 1. Default node:crypto's. */
  readonly random?: (() => number) | undefined;
}

/** A host with its address on the network. */
export interface RunningHost {
  readonly host: DevshardHost;
  readonly faults: DevshardHost["faults"];
  readonly address: string;
  /** Its `inference_url`. */
  readonly url: string;
}

/** An account that may open escrows. */
export interface DevshardUser {
  readonly address: string;
  readonly privateKeyHex: string;
}

/** Verifying devshard hosts and their chain, over real HTTP. */
export interface DevshardNetwork {
  readonly hosts: readonly RunningHost[];
  readonly chain: DevshardChain;
  readonly chainFaults: ChainFaultSwitch;
  /** Origin of the chain's node: its public API is under `/v1`, its REST interface under `/chain-api`. */
  readonly sourceUrl: string;
  /** `sourceUrl` and `/chain-api`. */
  readonly chainUrl: string;
  readonly epoch: {
    readonly current: number;
    /** Ends an epoch; what can no longer be settled is pruned, unless told to wait. */
    next(options?: { readonly prune?: boolean }): void;
    prune(): void;
  };
  /** What every escrow ended with, in order: the chain's own account. */
  readonly payments: readonly Payment[];
  /** The latest 10 000 requests to hosts and chain, in order of arrival. */
  readonly requests: readonly DevshardRequest[];
  /** What no client may do, one sentence each: two diffs signed for one nonce, key material on the wire. */
  readonly violations: readonly string[];
  /** Makes an account with money; it may create escrows unless told otherwise. */
  createUser(options?: {
    readonly privateKeyHex?: string;
    /** Default 1000 GNK; 1 GNK is 1 000 000 000 ngonka. */
    readonly balanceNgonka?: bigint;
    readonly isAllowed?: boolean;
  }): DevshardUser;
  /** Closes all listeners and connections. */
  stop(): Promise<void>;
}

const DEFAULT_HOSTS = 3;
const DEFAULT_BALANCE_NGONKA = 1_000_000_000_000n;

/**
 * Starts a devshard network on this computer: hosts that apply every diff strictly, each with its own key, state, mempool
 * and store, and a chain that holds escrows and verifies settlements. It was written from the protocol's description and is
 * checked against captured exchanges of real hosts; it is not upstream's code.
 *
 * @throws ZephError `usage` when a port is taken
 * @example
 * const network = await startDevshard({ hosts: 4 });
 * const user = network.createUser();
 * network.hosts[1]?.faults.set({ dead: true });
 * await network.stop();
 */
export async function startDevshard(options: DevshardOptions = {}): Promise<DevshardNetwork> {
  const clock = options.clock ?? systemClock;
  const engine = options.engine ?? builtInEngine({ clock });
  const models = (await engine.models()).filter(({ kind }) => kind === "chat").map(({ id }) => id);
  const { chainId = "gonka-sandbox-1", prefix, params, inclusionDelayMs, firstEscrowId } = options;
  const chain = new DevshardChain({ chainId, prefix, clock, models, params, inclusionDelayMs, firstEscrowId });
  const stopping = new AbortController();
  const watch = new DevshardWatch();
  const world = worldOf(options, { chain, engine, clock, watch, stopped: stopping.signal });
  const watched: Watched = { watch, clock, onRequest: options.onRequest };
  const chainFaults = new ChainFaultSwitch();
  const chainListener = await serve(
    watched,
    "chain",
    (call) => serveChain(chain, chainFaults, call),
    options.port ?? 0,
  );
  const { hosts, listeners } = await startHosts(options, world, watched);
  for (const { address, url } of hosts) chain.participants.set(address, { address, inferenceUrl: url, weight: 1 });
  chain.setSlots((options.slots ?? [...hosts.keys()]).map((index) => ownerOf(hosts, index)));
  return {
    hosts,
    chain,
    chainFaults,
    sourceUrl: chainListener.origin,
    chainUrl: `${chainListener.origin}/chain-api`,
    epoch: {
      get current() {
        return chain.epoch;
      },
      next: (how) => chain.nextEpoch(how),
      prune: () => chain.prune(),
    },
    payments: chain.payments,
    requests: watch.requests,
    violations: watch.violations,
    createUser(user) {
      const made = createUser(chain, user);
      watch.protect(made.privateKeyHex);
      return made;
    },
    async stop() {
      stopping.abort(new Error("the sandbox devshard was stopped"));
      await Promise.all([chainListener, ...listeners].map((listener) => listener.close()));
    },
  };
}

function worldOf(
  options: DevshardOptions,
  shared: Pick<HostWorld, "chain" | "engine" | "clock" | "watch" | "stopped">,
): HostWorld {
  return {
    ...shared,
    execute: options.execute ?? execute,
    random: options.random ?? systemRandom,
    versions: options.versions ?? ["v4", "v3"],
    failureCacheMs: options.failureCacheMs ?? 30_000,
    refusalTimeoutSeconds: options.refusalTimeoutSeconds ?? 60,
    executionTimeoutSeconds: options.executionTimeoutSeconds ?? 1200,
    validationRate: options.validationRate ?? 1000,
  };
}

function ownerOf(hosts: readonly RunningHost[], index: number): string {
  const owner = hosts[index];
  if (owner === undefined) throw new RangeError(`there is no host ${index}`);
  return owner.address;
}

async function startHosts(
  { hosts: count, hostKeysHex = [], isOnePort = false, port }: DevshardOptions,
  world: HostWorld,
  watched: Watched,
): Promise<{ readonly hosts: readonly RunningHost[]; readonly listeners: readonly Listener[] }> {
  const keys: DevshardKey[] = Array.from({ length: count ?? (hostKeysHex.length || DEFAULT_HOSTS) }, (_, index) =>
    devshardKey(hostKeysHex[index], world.chain.prefix),
  );
  const made = keys.map((key, index) => new DevshardHost(`host-${index + 1}`, key, world));
  const portOf = (index: number) => (port === undefined ? 0 : port + 1 + index);
  if (!isOnePort) {
    const listeners: Listener[] = [];
    for (const [index, host] of made.entries()) {
      listeners.push(await serve(watched, host.name, (call) => host.answer(call), portOf(index)));
    }
    return { hosts: made.map((host, index) => running(host, listeners[index]?.origin ?? "")), listeners };
  }
  const listener = await serve(
    watched,
    "hosts",
    async (exchange) => {
      const [, name = "", path = ""] = /^\/([^/]+)(\/.*)$/.exec(exchange.call.path) ?? [];
      const host = made.find((each) => each.name === name);
      if (host === undefined) return void exchange.outgoing.writeHead(404).end();
      await host.answer({ ...exchange, call: { ...exchange.call, path } });
    },
    portOf(0),
  );
  return { hosts: made.map((host) => running(host, `${listener.origin}/${host.name}`)), listeners: [listener] };
}

function running(host: DevshardHost, url: string): RunningHost {
  return { host, faults: host.faults, address: host.address, url };
}

type Exchange = Parameters<DevshardHost["answer"]>[0];

/** Where no host sets a limit, the sandbox does. */
const MAX_BODY_BYTES = 64 * 1024 * 1024;

interface Watched {
  readonly watch: DevshardWatch;
  readonly clock: Clock;
  readonly onRequest: DevshardOptions["onRequest"];
}

function serve(
  { watch, clock, onRequest }: Watched,
  name: string,
  answer: (exchange: Exchange) => Promise<void> | void,
  port: number,
): Promise<Listener> {
  return listen(
    async (incoming, outgoing) => {
      const exchange = await exchangeOf(incoming, outgoing);
      const recorded = watch.record(name, exchange.call, clock.nowMs());
      outgoing.once("close", () => {
        if (outgoing.headersSent) recorded.status = outgoing.statusCode;
        recorded.elapsedMs = clock.nowMs() - recorded.atMs;
        onRequest?.(recorded);
      });
      await answer(exchange);
    },
    { port },
  );
}

async function exchangeOf(incoming: IncomingMessage, outgoing: ServerResponse): Promise<Exchange> {
  const gone = clientGone(outgoing);
  const { body } = await readBody(incoming, MAX_BODY_BYTES);
  const { pathname, searchParams } = new URL(incoming.url ?? "/", "http://host");
  const header = (name: string): string | undefined => {
    const value = incoming.headers[name];
    return Array.isArray(value) ? value[0] : value;
  };
  const call = { method: incoming.method ?? "GET", path: pathname, query: searchParams, header, body };
  return { call, outgoing, gone };
}

function createUser(chain: DevshardChain, options: Parameters<DevshardNetwork["createUser"]>[0] = {}): DevshardUser {
  const { privateKeyHex, balanceNgonka = DEFAULT_BALANCE_NGONKA, isAllowed = true } = options;
  const key = devshardKey(privateKeyHex, chain.prefix);
  if (balanceNgonka > 0n) chain.fund(key.address, balanceNgonka);
  if (isAllowed) chain.params.allowedCreators = [...chain.params.allowedCreators, key.address];
  return { address: key.address, privateKeyHex: key.privateKeyHex };
}

/** What can go wrong with a request to the chain's node. */
export type ChainFault =
  /** Closes the connection; nothing is done. */
  | "dead"
  /** Does what is asked, and closes the connection before the answer. */
  | "lose-reply"
  /** 429 and 503, as public nodes answer when they are busy. */
  | "too-many"
  | "unavailable"
  /** Answers a broadcast as if it were taken; it never gets into a block. */
  | "forget-tx";

/** The switches of the chain's node. */
class ChainFaultSwitch {
  #lasting: ChainFault | undefined;
  readonly #broadcasts: ChainFault[] = [];
  readonly #reads: ChainFault[] = [];

  /** For every request, until cleared. */
  set(fault: ChainFault | undefined): void {
    this.#lasting = fault;
  }

  /** For one broadcast each, in order. */
  nextBroadcast(...faults: readonly ChainFault[]): void {
    this.#broadcasts.push(...faults);
  }

  /** For one read each, in order. */
  nextRead(...faults: readonly ChainFault[]): void {
    this.#reads.push(...faults);
  }

  clear(): void {
    this.#lasting = undefined;
    this.#broadcasts.length = 0;
    this.#reads.length = 0;
  }

  /** For the node: the fault of a request. */
  take(isBroadcast: boolean): ChainFault | undefined {
    return (isBroadcast ? this.#broadcasts : this.#reads).shift() ?? this.#lasting;
  }
}

/** Answers one request to the chain's node. */
function serveChain(
  chain: DevshardChain,
  faults: ChainFaultSwitch,
  { call, outgoing }: Pick<HostExchange, "call" | "outgoing">,
): void {
  const fault = faults.take(call.method === "POST");
  if (fault === "dead") return void outgoing.destroy();
  if (fault === "too-many" || fault === "unavailable") {
    outgoing.writeHead(fault === "too-many" ? 429 : 503, { "Content-Type": "text/plain" }).end("try again later\n");
    return;
  }
  const { status, body } = answerChain(chain, call);
  if (fault === "forget-tx") chain.forgetNewestTx();
  if (fault === "lose-reply") return void outgoing.destroy();
  const text = Buffer.from(`${JSON.stringify(body)}\n`);
  outgoing.writeHead(status, { "Content-Type": "application/json", "Content-Length": text.length }).end(text);
}
