import { type ManualClock, manualClock } from "../../src/base/time.ts";
import type { ZephError } from "../../src/errors.ts";
import type { AccountOptions, SandboxAccount } from "../../src/sandbox/chain.ts";
import { type NetworkOptions, type SandboxNetwork, startNetwork } from "../../src/sandbox/classic/network.ts";
import type { RecordedRequest } from "../../src/sandbox/classic/node.ts";
import { RequestSigner } from "../../src/signer/signer.ts";
import type { NativeConnectionOptions } from "../../src/transport/connection.ts";
import { type GonkaFetch, gonkaFetch } from "../../src/transport/gonka-fetch.ts";
import type { TransportEvent } from "../../src/transport/policy.ts";
import { chatBody, echoEngine } from "../integration/sandbox-network-client.ts";

export type ConnectionChanges = Partial<Omit<NativeConnectionOptions, "kind"> & { readonly signer: RequestSigner }>;

/** A client of the public API and what it told while it worked. */
export interface NativeClient {
  readonly gonka: GonkaFetch;
  readonly events: readonly TransportEvent[];
  /** The error of the latest request that was given up. */
  readonly error: () => ZephError | undefined;
  /** POSTs the body of a chat; a string or bytes are sent as they are. */
  readonly chat: (body?: object | string | Uint8Array<ArrayBuffer>, init?: RequestInit) => Promise<Response>;
}

/** A network, its time, and clients of it. */
export interface NativeWorld {
  readonly network: SandboxNetwork;
  /** Time of the network, and of the clients unless they are given their own. */
  readonly clock: ManualClock;
  readonly account: SandboxAccount;
  client(changes?: ConnectionChanges, account?: SandboxAccount): NativeClient;
  newAccount(options?: AccountOptions): SandboxAccount;
  /** Inference requests that reached a node, in order. */
  posts(): readonly RecordedRequest[];
  stop(): Promise<void>;
}

/** Nodes as a connection takes them. */
export function endpointsOf(network: SandboxNetwork) {
  return network.nodes.map(({ baseURL, address, name }) => ({ baseURL, address, name }));
}

export async function startNativeWorld(options: NetworkOptions = {}): Promise<NativeWorld> {
  const clock = manualClock();
  const network = await startNetwork({ engine: echoEngine, clock, ...options });
  const account = network.createAccount();
  return {
    network,
    clock,
    account,
    client: (changes, as = account) => nativeClient(network, clock, as, changes),
    newAccount: (wanted) => network.createAccount(wanted),
    posts: () => network.requests.filter(({ method }) => method === "POST"),
    stop: () => network.stop(),
  };
}

function nativeClient(
  network: SandboxNetwork,
  clock: ManualClock,
  account: SandboxAccount,
  changes: ConnectionChanges = {},
): NativeClient {
  const events: TransportEvent[] = [];
  const gonka = gonkaFetch({
    kind: "native",
    signer: RequestSigner.fromHex(account.privateKeyHex),
    ...(changes.discover === undefined ? { endpoints: endpointsOf(network) } : {}),
    clock,
    random: () => 0.5,
    onEvent: (event) => events.push(event),
    ...changes,
  });
  return {
    gonka,
    events,
    error: () => events.flatMap((event) => (event.type === "gave-up" ? [event.error] : [])).at(-1),
    chat: (body = {}, init = {}) =>
      gonka(`${gonka.baseURL}/chat/completions`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: typeof body === "string" || body instanceof Uint8Array ? body : chatBody(body),
        ...init,
      }),
  };
}
