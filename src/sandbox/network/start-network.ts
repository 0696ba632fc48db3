import { type Clock, systemClock } from "../../internal/clock.ts";
import { builtInEngine } from "../built-in-engine.ts";
import type { Engine } from "../engine.ts";
import { systemRandom } from "../random-text.ts";
import type { AccountOptions, SandboxAccount } from "./chain/accounts.ts";
import { type ChainStandIn, chainStandIn } from "./chain/chain.ts";
import type { ParticipantInput } from "./chain/epoch-book.ts";
import { accountKey, addressOfPublicKey, signWithAccountKey } from "./crypto/account-key.ts";
import { selfSignedCertificate, type TlsMaterial } from "./crypto/self-signed.ts";
import { type SandboxNode, startNode } from "./network-node.ts";
import { ReplayMemory } from "./request/replay-memory.ts";
import type { NetworkState, NodeSetting } from "./server/node-setting.ts";
import { type RecordedRequest, RequestLog } from "./server/request-log.ts";

export interface NetworkOptions {
  /** What answers the prompts. Default the built-in engine. */
  readonly engine?: Engine;
  /** Number of transfer agents. Default 3. */
  readonly nodes?: number;
  /** Port of the first node; the others take the next ones. Default any free ports. */
  readonly port?: number;
  /** `https` uses a certificate that signs itself, given as `certificatePem`. Default `http`. */
  readonly transport?: "http" | "https";
  /** Default `gonka-sandbox-1`. */
  readonly chainId?: string;
  /** Address prefix. Default `gonka`. */
  readonly prefix?: string;
  /** Software version of the nodes; from 0.2.14 on they answer 410. Default 0.2.13. */
  readonly version?: string;
  /** Default `restored`. */
  readonly shape?: NetworkState["shape"];
  /** Default `list`. */
  readonly modelsShape?: NetworkState["modelsShape"];
  /** Power of each validator of the chain. Default 900, 600, 500. */
  readonly validatorPowers?: readonly number[];
  /** Drives block time and the `Date` header. Default the system's. */
  readonly clock?: Clock;
  /** Chance, 0 <= value < 1. Default node:crypto's. */
  readonly random?: () => number;
}

/** Several transfer agents over real HTTP that share one chain. */
export interface SandboxNetwork {
  readonly nodes: readonly SandboxNode[];
  /** Origin of the first node: where discovery starts. */
  readonly sourceUrl: string;
  readonly chain: ChainStandIn;
  /** Version and JSON shapes; changes apply to the next request. */
  readonly state: NetworkState;
  /** The certificate of all nodes, with `transport: "https"`. */
  readonly certificatePem?: string;
  /** Every request, in order of arrival. */
  readonly requests: readonly RecordedRequest[];
  /** What no client may do, one sentence each: key material, node-to-node headers, signed GETs, reused signatures. */
  readonly violations: readonly string[];
  createAccount(options?: AccountOptions): SandboxAccount;
  /** The nodes as entries of a participant list: what the running epoch was started with. */
  participants(): Promise<readonly ParticipantInput[]>;
  /** Begins an epoch with these participants. */
  startEpoch(participants: readonly ParticipantInput[]): void;
  /** Closes all nodes and connections. */
  stop(): Promise<void>;
}

const DEFAULT_NODES = 3;
const DEFAULT_POWERS: readonly number[] = [900, 600, 500];

/**
 * Starts a stand-in of the Gonka network before v0.2.14: nodes that verify every signature with node:crypto, check in
 * the order of the real node, refuse in its words, and keep a ledger of what was charged.
 *
 * @example
 * const network = await startNetwork();
 * const account = network.createAccount();
 * // sign for network.nodes[0].address with account.privateKeyHex, POST to `${network.nodes[0].baseURL}/chat/completions`
 * await network.stop();
 */
export async function startNetwork(options: NetworkOptions = {}): Promise<SandboxNetwork> {
  const clock = options.clock ?? systemClock;
  const engine = chatOnly(options.engine ?? builtInEngine({ clock }));
  const { prefix = "gonka", chainId = "gonka-sandbox-1", validatorPowers = DEFAULT_POWERS } = options;
  const chain = chainStandIn({ chainId, prefix, clock, validatorPowers });
  const log = new RequestLog(chain.accounts);
  const state: NetworkState = {
    version: options.version ?? "0.2.13",
    shape: options.shape ?? "restored",
    modelsShape: options.modelsShape ?? "list",
    delegateTa: undefined,
    identityAddress: undefined,
  };
  const { random = systemRandom } = options;
  const tls = options.transport === "https" ? selfSignedCertificate() : undefined;
  const stopping = new AbortController();
  const nodes = await startNodes({ chain, state, engine, log, clock, random }, { ...options, tls, stopping });
  const participants = async () => {
    const models = (await engine.models()).map(({ id }) => id);
    return nodes.map(({ address, origin }) => ({ address, inferenceUrl: origin, models }));
  };
  chain.epochs.start(await participants());
  return {
    nodes,
    sourceUrl: nodes[0]?.origin ?? "",
    chain,
    state,
    ...(tls === undefined ? {} : { certificatePem: tls.certificatePem }),
    requests: log.requests,
    violations: log.violations,
    createAccount: (account) => chain.accounts.create(account),
    participants,
    startEpoch: (list) => {
      chain.epochs.start(list);
    },
    async stop() {
      stopping.abort(new Error("the sandbox network was stopped"));
      await Promise.all(nodes.map((node) => node.goDown()));
    },
  };
}

/** No node of the network ever served embeddings. */
function chatOnly(engine: Engine): Engine {
  return {
    models: async () => (await engine.models()).filter(({ kind }) => kind === "chat"),
    complete: (request, signal) => engine.complete(request, signal),
  };
}

type SharedSetting = Pick<NodeSetting, "chain" | "state" | "engine" | "log" | "clock" | "random">;

async function startNodes(
  shared: SharedSetting,
  options: {
    readonly nodes?: number;
    readonly port?: number;
    readonly tls: TlsMaterial | undefined;
    readonly stopping: AbortController;
  },
): Promise<readonly SandboxNode[]> {
  const hosts = Array.from({ length: options.nodes ?? DEFAULT_NODES }, () => {
    const key = accountKey();
    return { key, address: addressOfPublicKey(key.publicKey, shared.chain.prefix) };
  });
  const nodes: SandboxNode[] = [];
  for (const [index, { key, address }] of hosts.entries()) {
    const makeSetting = (origin: () => string): NodeSetting => ({
      ...shared,
      name: `node-${index + 1}`,
      address,
      origin,
      sign: (message) => signWithAccountKey(key, message),
      otherAddresses: () => hosts.map((host) => host.address).filter((other) => other !== address),
      replay: new ReplayMemory(),
    });
    const port = options.port === undefined ? 0 : options.port + index;
    nodes.push(await startNode(makeSetting, { stopped: options.stopping.signal, port, tls: options.tls }));
  }
  return nodes;
}
