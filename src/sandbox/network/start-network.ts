import { type Clock, systemClock } from "../../internal/clock.ts";
import { builtInEngine } from "../built-in-engine.ts";
import type { Engine } from "../engine.ts";
import { systemRandom } from "../random-text.ts";
import type { AccountOptions, SandboxAccount } from "./chain/accounts.ts";
import { type ChainStandIn, chainStandIn } from "./chain/chain.ts";
import { accountKey, addressOfPublicKey } from "./crypto/account-key.ts";
import type { SigningPhase } from "./crypto/signing-input.ts";
import { type SandboxNode, startNode } from "./network-node.ts";
import { ReplayMemory } from "./request/replay-memory.ts";
import type { NetworkState } from "./server/node-setting.ts";
import { type RecordedRequest, RequestLog } from "./server/request-log.ts";

export interface NetworkOptions {
  /** What answers the prompts. Default the built-in engine. */
  readonly engine?: Engine;
  /** Number of transfer agents. Default 3. */
  readonly nodes?: number;
  /** Default `gonka-sandbox-1`. */
  readonly chainId?: string;
  /** Address prefix. Default `gonka`. */
  readonly prefix?: string;
  /** Signing input the nodes expect. Default 3. */
  readonly phase?: SigningPhase;
  /** Software version of the nodes; from 0.2.14 on they answer 410. Default 0.2.13. */
  readonly version?: string;
  /** Default `restored`. */
  readonly shape?: NetworkState["shape"];
  /** Default `list`. */
  readonly modelsShape?: NetworkState["modelsShape"];
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
  /** Every request, in order of arrival. */
  readonly requests: readonly RecordedRequest[];
  /** What no client may do, one sentence each: key material, node-to-node headers, signed GETs, reused signatures. */
  readonly violations: readonly string[];
  createAccount(options?: AccountOptions): SandboxAccount;
  /** Closes all nodes and connections. */
  stop(): Promise<void>;
}

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
  const engine = options.engine ?? builtInEngine({ clock });
  const prefix = options.prefix ?? "gonka";
  const chain = chainStandIn({ chainId: options.chainId ?? "gonka-sandbox-1", prefix, clock });
  const log = new RequestLog(chain.accounts);
  const stopping = new AbortController();
  const state: NetworkState = {
    version: options.version ?? "0.2.13",
    shape: options.shape ?? "restored",
    modelsShape: options.modelsShape ?? "list",
  };
  const addresses = Array.from({ length: options.nodes ?? 3 }, () =>
    addressOfPublicKey(accountKey().publicKey, prefix),
  );
  const nodes: SandboxNode[] = [];
  for (const [index, address] of addresses.entries()) {
    const node = await startNode(
      (origin) => ({
        name: `node-${index + 1}`,
        address,
        origin,
        otherAddresses: () => addresses.filter((other) => other !== address),
        chain,
        state,
        engine,
        phase: options.phase ?? 3,
        replay: new ReplayMemory(),
        log,
        clock,
        random: options.random ?? systemRandom,
      }),
      { stopped: stopping.signal },
    );
    nodes.push(node);
  }
  return {
    nodes,
    sourceUrl: nodes[0]?.origin ?? "",
    chain,
    state,
    requests: log.requests,
    violations: log.violations,
    createAccount: (account) => chain.accounts.create(account),
    async stop() {
      stopping.abort(new Error("the sandbox network was stopped"));
      await Promise.all(nodes.map((node) => node.goDown()));
    },
  };
}
