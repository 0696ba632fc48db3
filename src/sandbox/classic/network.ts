import type { IncomingMessage, ServerResponse } from "node:http";
import { type Clock, systemClock } from "../../base/time.ts";
import type { ParticipantInput } from "../blocks.ts";
import { builtInEngine } from "../built-in.ts";
import { type AccountOptions, type ChainStandIn, chainStandIn, type SandboxAccount } from "../chain.ts";
import {
  accountKey,
  addressOfPublicKey,
  selfSignedCertificate,
  signWithAccountKey,
  type TlsMaterial,
} from "../crypto.ts";
import { type Engine, systemRandom } from "../engine.ts";
import { aborted, type Listener, listen, readBody } from "../server.ts";
import { FaultSwitch, isFrontAnswer, type NodeFault } from "./faults.ts";
import { serveInference } from "./inference.ts";
import {
  CHAT_PATH,
  COMPLETIONS_PATH,
  type Exchange,
  errorAnswer,
  exchange,
  FRONT_ANSWERS,
  gatewayAnswer,
  isRetired,
  type NetworkState,
  type NodeSetting,
  type RecordedRequest,
  ReplayMemory,
  RequestLog,
  retiredAnswer,
} from "./node.ts";
import { isReadPath, serveRead } from "./reads.ts";

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

/** One transfer agent of the sandbox network. */
export interface SandboxNode {
  /** `node-1`, `node-2`, … */
  readonly name: string;
  /** Absolute, ends in `/v1`. */
  readonly baseURL: string;
  /** The same without `/v1`: what a participant lists as its `inference_url`. */
  readonly origin: string;
  /** Bech32; what a signature for this node must name. */
  readonly address: string;
  /** What goes wrong with POST requests. */
  readonly faults: FaultSwitch;
  /** What goes wrong with GET requests. */
  readonly readFaults: FaultSwitch;
  /** Stops listening and closes every connection: clients get "connection refused". */
  goDown(): Promise<void>;
  /** Listens again, on the same port. */
  comeBack(): Promise<void>;
}

/** Starts a node on 127.0.0.1. */
async function startNode(
  makeSetting: (origin: () => string) => NodeSetting,
  options: { readonly stopped: AbortSignal; readonly port: number; readonly tls: TlsMaterial | undefined },
): Promise<SandboxNode> {
  const faults = new FaultSwitch();
  const readFaults = new FaultSwitch();
  let origin = "";
  const setting = makeSetting(() => origin);
  const handling = { setting, faults, readFaults, stopped: options.stopped };
  let listener: Listener | undefined;

  async function comeBack(): Promise<void> {
    const port = origin === "" ? options.port : Number(new URL(origin).port);
    const answer = (incoming: IncomingMessage, outgoing: ServerResponse) => handleRequest(handling, incoming, outgoing);
    listener ??= await listen(answer, { port, tls: options.tls });
    origin = listener.origin;
  }

  async function goDown(): Promise<void> {
    const closing = listener;
    listener = undefined;
    await closing?.close();
  }

  await comeBack();
  return {
    name: setting.name,
    baseURL: `${origin}/v1`,
    origin,
    address: setting.address,
    faults,
    readFaults,
    goDown,
    comeBack,
  };
}

/** Echo's BodyLimit and MaxBytesReader: 10 MiB (shared reference 1.5). */
const MAX_BODY_BYTES = 10_485_760;
const DEFAULT_DELAY_MS = 100;

interface RequestHandling {
  readonly setting: NodeSetting;
  /** For POST requests. */
  readonly faults: FaultSwitch;
  /** For GET requests. */
  readonly readFaults: FaultSwitch;
  readonly stopped: AbortSignal;
}

/** Answers one HTTP request of one node. */
async function handleRequest(
  handling: RequestHandling,
  message: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { setting, stopped } = handling;
  const { body, isTooLarge } = await readBody(message, MAX_BODY_BYTES);
  const nowMs = setting.chain.blocks.nowMs;
  const recorded = setting.log.record(setting.name, message, body, nowMs());
  const answering = exchange(recorded, response, { nowMs, stopped });
  setting.chain.ledger.expire(setting.chain.blocks.latest().height);
  const faults = recorded.method === "POST" ? handling.faults : handling.readFaults;
  const fault = faults.take(recorded.method, recorded.path);
  if (fault !== undefined) recorded.fault = fault.kind;
  if (await playFrontFault(setting, answering, fault)) return;
  if (recorded.method === "OPTIONS") return answerPreflight(answering);
  if (isTooLarge) return answering.send(errorAnswer(413, tooLargeText(message)));
  await route(setting, answering, fault);
}

async function route(setting: NodeSetting, answering: Exchange, fault: NodeFault | undefined): Promise<void> {
  const { method, path, body } = answering.recorded;
  const isClassic = path === CHAT_PATH || path === COMPLETIONS_PATH;
  if (isRetired(setting.state.version)) {
    if (isClassic && (method === "POST" || path === CHAT_PATH)) return answering.send(retiredAnswer());
    if (path === "/v1/devshard" || path.startsWith("/v1/devshard/")) {
      return answering.send(retiredAnswer("/v1/devshard is deprecated; use /devshard/{version}"));
    }
  }
  if (isClassic && method === "POST") {
    const header = (name: string) => answering.recorded.headers[name];
    return serveInference(setting, { path, header, body }, answering, fault);
  }
  if (method === "GET") return serveRead(setting, answering);
  answering.send(
    isClassic || isReadPath(path) ? errorAnswer(405, "Method Not Allowed") : errorAnswer(404, "Not Found"),
  );
}

/** @returns true when the fault was the whole answer */
async function playFrontFault(
  setting: NodeSetting,
  answering: Exchange,
  fault: NodeFault | undefined,
): Promise<boolean> {
  if (fault === undefined) return false;
  if (isFrontAnswer(fault.kind)) {
    const isGateway = fault.kind === "gateway-401";
    answering.send(isGateway ? gatewayAnswer(askedModel(answering.recorded.body)) : FRONT_ANSWERS[fault.kind]);
    return true;
  }
  switch (fault.kind) {
    case "drop":
      answering.drop();
      return true;
    case "hang":
      await aborted(answering.signal);
      answering.drop();
      return true;
    case "redirect":
      answering.begin(307, [["Location", fault.location ?? "http://127.0.0.1:9/"]]);
      answering.end();
      return true;
    case "slow":
      await setting.clock.sleep(fault.delayMs ?? DEFAULT_DELAY_MS);
      return false;
    default:
      return false;
  }
}

function askedModel(body: Buffer): string {
  return /"model"\s*:\s*"([^"]*)"/.exec(body.toString("utf8"))?.[1] ?? "";
}

/** Echo knows a declared length before reading; without one the reader hits the limit on the way. */
function tooLargeText(message: IncomingMessage): string {
  return message.headers["content-length"] === undefined ? "request body too large" : "Request Entity Too Large";
}

/** The proxy's CORS answer: X-Requester-Address and X-Timestamp are not among the headers a browser may send. */
function answerPreflight(answering: Exchange): void {
  answering.begin(204, [
    ["Access-Control-Allow-Methods", "GET, POST, OPTIONS"],
    [
      "Access-Control-Allow-Headers",
      "DNT,User-Agent,X-Requested-With,If-Modified-Since,Cache-Control,Content-Type,Range,Authorization",
    ],
  ]);
  answering.end();
}
