import { Secret } from "../base/secret.ts";
import { looksLikeToken } from "../brokers/registry.ts";
import { GONKA_ADDRESS, GONKA_PRIVATE_KEY } from "../config/secrets.ts";
import { ZephError } from "../errors.ts";
import { chainClient } from "../network/chain.ts";
import { discoverEndpoints, readVersions } from "../network/discovery.ts";
import { readAccount, readNode, readNodeModels } from "../network/node.ts";
import { gonkaFetch, listModels } from "../transport/gonka-fetch.ts";
import { formatGnk, isClassicInferenceRetired, parseChainStatus, parseIdentity } from "../wire/documents.ts";
import {
  DEFAULT_PREFIX,
  type Endpoint,
  endpointLabel,
  isLoopback,
  normalizeBaseURL,
  parseAddress,
  parsePrefix,
} from "../wire/endpoint.ts";
import type { Model } from "../wire/models.ts";
import type { BranchOutcome } from "./apply.ts";
import { publishKeyArgs } from "./inferenced.ts";
import { type NativeKey, obtainPrivateKey } from "./native-key.ts";
import { askOr, type Choice, type InitSession, KEY_HERE } from "./session.ts";
import { chooseModel, confirmDefault, passesTest, sendTestMessage, storeSecrets } from "./steps.ts";

const DEFAULT_NAME = "gonka";

/** Signed requests: network, key, address, nodes, account, model, one real message. */
export async function nativeBranch(
  session: InitSession,
  { pasted }: { readonly pasted?: Secret } = {},
): Promise<BranchOutcome> {
  refuseForeignName(session);
  const network = await chooseNetwork(session);
  if (network === "gateway") return { kind: "gateway" };
  const native = await obtainPrivateKey(session, network.prefix, pasted);
  if ("gateway" in native) return { kind: "gateway", pasted: native.gateway };
  const { address } = native.signer;
  // Before anything is stored: a script whose key may do nothing here leaves nothing behind.
  const mayOpen = network.retired !== undefined && (await mayOpenEscrows(session, network, address));
  const secrets = new Map([
    [privateKeyName(session), native.key],
    [GONKA_ADDRESS, new Secret(address)],
  ]);
  await storeSecrets(session, { entries: secrets, replacement: "typed" });

  const nodes = network.retired === undefined ? await chooseNodes(session, network) : [];
  await checkAccount(session, native, network);
  const escrow = mayOpen ? await chooseEscrow(session, network.anyNode) : undefined;
  const chat =
    network.retired === undefined
      ? await firstReply(session, native, nodes)
      : { model: escrow?.model, reply: undefined };

  const name = recordName(session);
  const answers = {
    path: "native",
    name,
    ...{ model: chat.model, chainPrefix: network.prefix, sourceUrl: sourceUrl(network) },
    // A record that cannot chat must not become the one that chats.
    makeDefault:
      network.retired !== undefined && escrow === undefined
        ? (session.request.makeDefault ?? false)
        : await confirmDefault(session, name),
    access: escrow === undefined ? undefined : "devshard",
    nodes: nodes.map((node) => ({ url: node.baseURL, address: node.address, name: endpointLabel(node) })),
  } as const;
  return {
    kind: "ready",
    answers,
    secrets,
    address,
    ...(chat.reply === undefined ? {} : { reply: chat.reply }),
  };
}

/**
 * On today's network chats are paid from escrows, which only listed accounts may open. Whether this one is listed is looked
 * up without a word. Throws `native_closed` where it is not, nobody can be asked, and a chat was wanted.
 */
async function mayOpenEscrows(session: InitSession, network: NativeNetwork, address: string): Promise<boolean> {
  const { world, tell, ask, request } = session;
  const { fetch, clock, signal } = world;
  const chain = chainClient(network.anyNode, { fetch, clock });
  const params = await chain.params(signal).catch((error: unknown) => {
    // A node without the chain's interface: nothing can be offered, and nothing is missing that was promised.
    if (ZephError.is(error)) return undefined;
    throw error;
  });
  if (params?.allowedCreators.includes(address) === true) return true;
  if (ask === undefined && request.test) {
    const why = params === undefined ? "its list of them cannot be read" : `${address} is not on its list`;
    throw new ZephError("native_closed", {
      detail: `the network runs ${network.retired} and takes chats only from escrows of listed accounts; ${why}`,
    });
  }
  const why = params === undefined ? "the node does not tell its list" : "this one is not listed";
  tell.info(
    `Today's network takes chats only from escrows, and only accounts that it has listed by vote may open them; ${why}. What is set up serves for address, balance and discovery. A gateway's API key works for everybody: \`zeph init\` again, and choose a gateway.`,
  );
  return false;
}

/** Offered to whoever may. `undefined`: not wanted. */
async function chooseEscrow(session: InitSession, node: string): Promise<{ readonly model: string } | undefined> {
  const { world, tell, ask, facts } = session;
  const message = "Your account may open escrows. Pay for chats from an escrow of your own?";
  if (ask !== undefined && !(await ask.confirm({ message, initial: true }))) return undefined;
  const models = await readModels(session, () => readNodeModels(node, world));
  const existing = facts.config?.providers.find((provider) => provider.name === recordName(session));
  const previous = existing?.type === "gonka" ? existing.model : undefined;
  const model = await chooseModel(session, { models, previous });
  tell.info("Nothing was paid. To begin: `zeph devshard check`, then `zeph devshard open`.");
  return { model };
}

async function firstReply(session: InitSession, { signer }: NativeKey, nodes: readonly CompleteNode[]) {
  const { world, tell, facts } = session;
  const { fetch, clock, random, signal } = world;
  const existing = facts.config?.providers.find((provider) => provider.name === recordName(session));
  const recorded = existing?.type === "gonka" ? existing : undefined;
  const gonka = gonkaFetch({ kind: "native", signer, endpoints: nodes, fetch, random });
  const models = await tell.work("Reading the list of models", () =>
    readModels(session, () => listModels(gonka, signal)),
  );
  const model = await chooseModel(session, { models, previous: recorded?.model });
  const send = () => sendTestMessage(gonka, { model, clock, signal });
  const reply = await passesTest(session, { model, send, keyIsReplaceable: false });
  return { model, reply: reply === "another-key" ? undefined : reply };
}

async function readModels(
  { tell }: InitSession,
  read: () => Promise<readonly Model[]>,
): Promise<readonly Model[] | undefined> {
  try {
    return await read();
  } catch (error) {
    if (!ZephError.is(error)) throw error;
    tell.warn(`The list of models could not be read. ${error.message}`);
    return undefined;
  }
}

/** A record of another kind would be lost, not changed. */
function refuseForeignName({ facts, request }: InitSession): void {
  const name = request.name ?? DEFAULT_NAME;
  const existing = facts.config?.providers.find((provider) => provider.name === name);
  if (existing === undefined || existing.type === "gonka") return;
  throw new ZephError("usage", {
    detail: `the name "${name}" is used for another kind of provider in your config`,
    hint: "Choose another with --name.",
  });
}

function recordName({ request }: InitSession): string {
  return request.name ?? DEFAULT_NAME;
}

/** A record may say that its key has another name. */
function privateKeyName(session: InitSession): string {
  const existing = session.facts.config?.providers.find((provider) => provider.name === recordName(session));
  return existing?.type === "gonka" ? existing.privateKeyNames.canonical : GONKA_PRIVATE_KEY;
}

/** Without `/v1`: the form that other Gonka programs read from GONKA_SOURCE_URL. */
function sourceUrl({ source }: NativeNetwork): string | undefined {
  return source?.slice(0, -"/v1".length);
}

/** A network to sign requests for. */
interface NativeNetwork {
  /** Where its nodes are discovered, ending in `/v1`; `undefined` when they are named one by one. */
  readonly source: string | undefined;
  /** The nodes that were named, as `URL` or `URL,ADDRESS`. */
  readonly named: readonly string[];
  /** A node to ask about accounts and the chain, ending in `/v1`. */
  readonly anyNode: string;
  readonly prefix: string;
  /** The version of one that answers 410 to signed requests; chats are then paid from escrows. */
  readonly retired: string | undefined;
}

/** What a network was named by: a node to discover from, or its nodes one by one. */
type NetworkName = Pick<NativeNetwork, "named"> & { readonly address: string };

/** Which network, or the wish to take a gateway instead. Throws `native_closed` where nobody can be asked. */
async function chooseNetwork(session: InitSession): Promise<NativeNetwork | "gateway"> {
  const { nodes, sourceUrl } = session.request.native;
  let next = nodes.length > 0 ? namedNodes(nodes) : sourceUrl === undefined ? undefined : discovered(sourceUrl);
  for (;;) {
    const network = await lookAt(session, next ?? (await askNetwork(session)));
    if (network !== "another") return network;
    next = undefined;
  }
}

function namedNodes(named: readonly string[]): NetworkName {
  return { named, address: named[0]?.split(",")[0] ?? "" };
}

function discovered(address: string): NetworkName {
  return { named: [], address };
}

const BY_HAND = Symbol("another address");

async function askNetwork(session: InitSession): Promise<NetworkName> {
  const ask = askOr(session, "--source-url URL or --node URL");
  const chosen = await ask.select<NetworkName | typeof BY_HAND>({
    message: "Which network?",
    choices: [
      ...knownNetworks(session),
      { value: BY_HAND, label: "A private or test network", hint: "you name one of its nodes" },
      {
        value: discovered(MAIN_NETWORK.sourceUrl),
        label: "The main network",
        hint: `closed to signed requests since ${MAIN_NETWORK.closedSince}`,
      },
    ],
  });
  if (chosen !== BY_HAND) return chosen;
  const message = "URL of one of its nodes";
  return discovered(await ask.text({ message, placeholder: "https://node.example", check: urlFault }));
}

/** Networks that config and environment name; the forms are those of gonka-ai/gonka-openai. */
function knownNetworks({ world, facts, request }: InitSession): readonly Choice<NetworkName>[] {
  const given = (name: string) => (world.env[name] ?? "").trim();
  const existing = facts.config?.providers.find(({ name }) => name === (request.name ?? "gonka"));
  const configured = existing?.type === "gonka" ? (existing.sourceUrl ?? existing.nodes[0]?.url ?? "") : "";
  const source = given("GONKA_SOURCE_URL");
  const nodes = given("GONKA_ENDPOINTS")
    .split(",")
    .filter((pair) => pair.trim() !== "");
  const choices: readonly (Choice<NetworkName> & { readonly isThere: boolean })[] = [
    { value: discovered(configured), label: configured, hint: "from your config", isThere: configured !== "" },
    { value: discovered(source), label: source, hint: "from GONKA_SOURCE_URL", isThere: source !== "" },
    {
      value: namedNodes(nodes.map((pair) => pair.replace(";", ","))),
      label: nodes.length === 1 ? "One node" : `${nodes.length} nodes`,
      hint: "from GONKA_ENDPOINTS",
      isThere: nodes.length > 0,
    },
  ];
  return choices.filter(({ isThere }) => isThere);
}

function urlFault(text: string): string | undefined {
  if (looksLikeToken(text)) return KEY_HERE;
  try {
    normalizeBaseURL(text);
    return undefined;
  } catch (error) {
    if (ZephError.is(error)) return error.message;
    throw error;
  }
}

/** Asks the node for its version and its own address before anything is signed or any key is wanted. */
async function lookAt(
  session: InitSession,
  { named, address }: NetworkName,
): Promise<NativeNetwork | "gateway" | "another"> {
  const { world, tell, ask } = session;
  const source = normalizeBaseURL(address);
  if (!(await acceptsPlainHttp(session, source))) return "another";
  const reading = { fetch: world.fetch, clock: world.clock, signal: world.signal };
  let versions: Awaited<ReturnType<typeof readVersions>>;
  try {
    versions = await tell.work("Looking at the network", () => readVersions(source, reading));
  } catch (error) {
    if (!ZephError.is(error) || ask === undefined) throw error;
    tell.fail(`${error.message}`);
    return "another";
  }
  const prefix = await choosePrefix(session, source);
  const retired = isClassicInferenceRetired(versions?.apiVersion)
    ? (versions?.apiVersionText ?? "v0.2.14 or newer")
    : undefined;
  const found = { source: named.length > 0 ? undefined : source, named, anyNode: source, prefix };
  if (retired === undefined) {
    if (versions?.apiVersion !== undefined) {
      tell.done(`The network runs ${versions.apiVersionText} and takes signed requests.`);
    } else {
      const seen = versions?.apiVersionText === undefined ? "" : ` (it says ${versions.apiVersionText})`;
      tell.info(
        `The network does not tell its version${seen}; the test message shows whether it takes signed requests.`,
      );
    }
    return { ...found, retired };
  }
  const next = await afterRetirement(session, retired);
  return next === "go-on" ? { ...found, retired } : next;
}

/** Said before anything is sent that it would refuse. */
async function afterRetirement({ ask, tell }: InitSession, version: string): Promise<"gateway" | "another" | "go-on"> {
  // The key decides what is possible; where nobody can be asked it is looked up next.
  if (ask === undefined) return "go-on";
  tell.warn(
    `This network runs ${version}. From v0.2.14 on nodes answer 410 to signed requests; chats are paid from escrows, which only listed accounts may open.`,
  );
  return ask.select({
    message: "What now?",
    choices: [
      { value: "gateway", label: "Use a gateway instead", hint: "API key, works today" },
      { value: "another", label: "Another network" },
      {
        value: "go-on",
        label: "Go on all the same",
        hint: "address, balance, discovery; escrows, for accounts that may",
      },
    ],
  });
}

/** Prompts and answers travel readable to everybody on the way. */
async function acceptsPlainHttp({ ask, tell }: InitSession, baseURL: string): Promise<boolean> {
  if (!baseURL.startsWith("http:") || isLoopback(baseURL)) return true;
  const words = `${new URL(baseURL).host} speaks plain http: everybody on the way can read and change what it says.`;
  tell.warn(words);
  return ask === undefined || ask.confirm({ message: "Use it all the same?" });
}

/** The network's own nodes tell the prefix; it is asked about only when it is not the usual one. */
async function choosePrefix({ world, request, ask }: InitSession, source: string): Promise<string> {
  if (request.native.prefix !== undefined) return parsePrefix(request.native.prefix);
  const seen = await readPrefix(world, source);
  if (seen === undefined || seen === DEFAULT_PREFIX || ask === undefined) return seen ?? DEFAULT_PREFIX;
  const isRight = await ask.confirm({
    message: `Addresses of this network begin with ${seen}1, not ${DEFAULT_PREFIX}1. Is that right?`,
    initial: true,
  });
  return isRight ? seen : ask.text({ message: "Address prefix", initial: DEFAULT_PREFIX, check: prefixFault });
}

function prefixFault(text: string): string | undefined {
  try {
    parsePrefix(text);
    return undefined;
  } catch (error) {
    if (ZephError.is(error)) return error.message;
    throw error;
  }
}

async function readPrefix(world: InitSession["world"], source: string): Promise<string | undefined> {
  try {
    const { json } = await readNode(`${source}/identity`, world);
    const text = JSON.stringify(json) ?? "";
    return /"address":"([a-z][a-z02-9]{0,50})1[02-9ac-hj-np-z]{38}"/.exec(text)?.[1];
  } catch (error) {
    // Older nodes have no such route; the usual prefix is then assumed, and wrong ones are noticed with the address.
    if (ZephError.is(error)) return undefined;
    throw error;
  }
}

/** A node that can be written into a config: signed requests name its address. */
type CompleteNode = Endpoint & { readonly address: string };

/** The nodes to use: named by flags, discovered, or entered by hand. Throws `no_endpoints`, `identity_mismatch`. */
async function chooseNodes(session: InitSession, network: NativeNetwork): Promise<readonly CompleteNode[]> {
  const { named } = network;
  if (named.length > 0) return Promise.all(named.map((text) => readGivenNode(session, network, text)));
  for (;;) {
    const found = network.source === undefined ? [] : await discover(session, network, network.source);
    const accepted = await withoutUnwantedHttp(session, found);
    if (accepted.length > 0) return accepted;
    if (session.ask === undefined)
      throw new ZephError("no_endpoints", { detail: "discovery found none that can be used" });
    const next = await session.ask.select({
      message: "No node was found that can be used. What now?",
      choices: [
        { value: "manual", label: "Name nodes by hand" },
        { value: "retry", label: "Look again" },
      ],
    });
    if (next === "manual") return enterNodes(session, network);
  }
}

async function discover(
  session: InitSession,
  { prefix }: NativeNetwork,
  sourceUrl: string,
): Promise<readonly CompleteNode[]> {
  const { tell, world, ask } = session;
  const { fetch, clock, random, signal } = world;
  try {
    const found = await tell.work("Looking for nodes", () =>
      discoverEndpoints({ sourceUrl, prefix, fetch, clock, random, signal }),
    );
    const nodes = found.endpoints.flatMap(toComplete);
    const lines = await Promise.all(nodes.map((node) => describeNode(session, node)));
    const head = `${nodes.length} node${nodes.length === 1 ? "" : "s"}. The list is ${found.label}.`;
    if (nodes.length > 0) tell.done([head, ...found.reasons.slice(0, 1), ...lines].join("\n"));
    for (const { address, reason } of found.skipped.slice(0, 5)) tell.info(`Left out: ${address} ${reason}`);
    return nodes;
  } catch (error) {
    if (!ZephError.is(error) || ask === undefined || error.code === "proof_invalid") throw error;
    tell.fail(error.message);
    return [];
  }
}

async function describeNode({ world }: InitSession, node: CompleteNode): Promise<string> {
  const latency = await readNode(`${node.baseURL}/identity`, world).then(
    ({ latencyMs }) => `${latencyMs} ms`,
    () => "no answer",
  );
  return `${endpointLabel(node)}  ${node.address}  ${latency}`;
}

/** Plain http is for this computer and for those who say yes. */
async function withoutUnwantedHttp(
  session: InitSession,
  nodes: readonly CompleteNode[],
): Promise<readonly CompleteNode[]> {
  const isPlain = ({ baseURL }: Endpoint) => baseURL.startsWith("http:") && !isLoopback(baseURL);
  const plain = nodes.filter(isPlain);
  const [first] = plain;
  if (first === undefined) return nodes;
  const rest = nodes.filter((node) => !isPlain(node));
  session.tell.warn(
    `${plain.length} of ${nodes.length} nodes speak plain http: everybody on the way can read your prompts.`,
  );
  const takesThem = session.ask === undefined || (await session.ask.confirm({ message: "Use them all the same?" }));
  return takesThem ? nodes : rest;
}

/** `URL` or `URL,ADDRESS`; what the node says of itself must agree. */
async function readGivenNode(session: InitSession, network: NativeNetwork, text: string): Promise<CompleteNode> {
  const [url = "", given] = text.split(",").map((part) => part.trim());
  const baseURL = normalizeBaseURL(url);
  const stated = await readIdentity(session, network, baseURL);
  const address = given === undefined ? stated : parseAddress(given, { prefix: network.prefix });
  if (address === undefined) {
    throw new ZephError("missing_input", { detail: `--node ${baseURL},ADDRESS: the node does not tell its address` });
  }
  if (stated !== undefined && stated !== address) {
    throw new ZephError("identity_mismatch", { detail: `${baseURL} says ${stated}, given was ${address}` });
  }
  return { baseURL, address };
}

/** Asks for one node after the other; an empty address ends the list once there is one. */
async function enterNodes(session: InitSession, network: NativeNetwork): Promise<readonly CompleteNode[]> {
  const ask = askOr(session, "--node URL");
  const nodes: CompleteNode[] = [];
  for (;;) {
    const url = await ask.text({
      message: nodes.length === 0 ? "URL of a node" : "URL of another node (empty to go on)",
      check: (text) => (text === "" && nodes.length > 0 ? undefined : urlFault(text)),
    });
    if (url === "") return nodes;
    const baseURL = normalizeBaseURL(url);
    if (!(await acceptsPlainHttp(session, baseURL))) continue;
    const stated = await readIdentity(session, network, baseURL);
    if (stated !== undefined) session.tell.done(`${new URL(baseURL).host} says its address is ${stated}`);
    const address = stated ?? (await askAddress(session, network));
    nodes.push({ baseURL, address });
  }
}

function askAddress(session: InitSession, { prefix }: NativeNetwork): Promise<string> {
  return askOr(session, "--node URL,ADDRESS").text({
    message: "Its address (the node does not tell)",
    check: (text) => {
      try {
        parseAddress(text, { prefix });
        return undefined;
      } catch (error) {
        if (ZephError.is(error)) return error.message;
        throw error;
      }
    },
  });
}

async function readIdentity(
  { world }: InitSession,
  { prefix }: NativeNetwork,
  baseURL: string,
): Promise<string | undefined> {
  try {
    return parseIdentity((await readNode(`${baseURL}/identity`, world)).json, { prefix }).address;
  } catch (error) {
    // Down, or too old for the route: its address must then come from somewhere else.
    if (ZephError.is(error)) return undefined;
    throw error;
  }
}

function toComplete(endpoint: Endpoint): readonly CompleteNode[] {
  return endpoint.address === undefined ? [] : [{ ...endpoint, address: endpoint.address }];
}

/** Looks at the account, free of charge, and says what it lacks with the command that mends it. */
async function checkAccount(session: InitSession, native: NativeKey, network: NativeNetwork): Promise<void> {
  const { anyNode: node } = network;
  const { tell, ask, world } = session;
  const { address } = native.signer;
  for (;;) {
    const state = await tell
      .work("Looking at the account", () => readAccount(node, address, world))
      .catch((error: unknown) => {
        if (!ZephError.is(error)) throw error;
        return { kind: "unknown", error } as const;
      });
    if (state.kind === "ready") {
      const { balanceNgonka } = state.account;
      if (balanceNgonka > 0n) tell.done(`The account has published its key and has ${formatGnk(balanceNgonka)}.`);
      else tell.warn(`The account has no GNK. Send some to ${address}.`);
      return;
    }
    if (state.kind === "no-public-key" && network.retired !== undefined) {
      return tell.info("The account has published no key yet; its first transaction will.");
    }
    const command = state.kind === "no-public-key" ? await publishCommand(session, native, node) : undefined;
    tell.warn(wordsFor(state, address, command?.shown, node));
    if (ask === undefined || state.kind === "unknown") return;
    const next = await ask.select({
      message: "What now?",
      choices: [
        ...(command?.run === undefined ? [] : [{ value: "run", label: "Run this command now" } as const]),
        { value: "again", label: "I have done it, look again" },
        { value: "go-on", label: "Go on all the same", hint: "requests are refused until then" },
      ],
    });
    if (next === "go-on") return;
    if (next === "run") await command?.run?.();
  }
}

type Lacking =
  | { readonly kind: "no-public-key" | "not-found" }
  | { readonly kind: "unknown"; readonly error: ZephError };

function wordsFor(state: Lacking, address: string, command: string | undefined, node: string): string {
  if (state.kind === "unknown") return `The account could not be looked at. ${state.error.message}`;
  if (state.kind === "no-public-key") {
    return `The account has not published its public key, so nodes cannot check its signatures. Once:\n${command ?? ""}`;
  }
  const register = `inferenced create-client NAME --node-address ${withoutVersion(node)}`;
  return `The network does not know ${address} yet. Send some GNK to it.\nNetworks before v0.2.12 register accounts with: ${register}`;
}

async function publishCommand({ world }: InitSession, { keyring }: NativeKey, node: string) {
  const nodeUrl = withoutVersion(node);
  const chainId = await readChainId(world, nodeUrl);
  const chain = { nodeUrl, chainId: chainId ?? "CHAIN-ID" };
  const args = publishKeyArgs(keyring?.name ?? "NAME", { ...chain, keyring: keyring?.keyring });
  const run =
    keyring === undefined || chainId === undefined
      ? undefined
      : () => keyring.inferenced.publishKey(keyring.keyring, keyring.name, { nodeUrl, chainId });
  return { shown: `inferenced ${args.join(" ")}`, run };
}

/** The command's own default is wrong for every known network. Nodes often have the route switched off. */
async function readChainId(world: InitSession["world"], nodeUrl: string): Promise<string | undefined> {
  try {
    return parseChainStatus((await readNode(`${nodeUrl}/chain-rpc/status`, world)).json).chainId;
  } catch (error) {
    if (ZephError.is(error)) return undefined;
    throw error;
  }
}

function withoutVersion(baseURL: string): string {
  return baseURL.slice(0, -"/v1".length);
}

/**
 * The public network, as far as set-up speaks of it: dated facts, looked up anew before anything depends on them.
 * Source: gonka-ai/gonka-docs docs/network-updates.md and docs/developer/quickstart.md (2026-08-21).
 */
export const MAIN_NETWORK = {
  /** Since then its nodes answer 410 to signed requests (v0.2.14, block 5195700). */
  closedSince: "2026-07-23",
  /** One of the nodes its documentation names for reading. No prompt goes there unless its version allows it. */
  sourceUrl: "https://node3.gonka.ai",
  chainId: "gonka-mainnet",
  checkedOn: "2026-08-21",
} as const;
