import { Secret } from "../base/secret.ts";
import { looksLikeToken } from "../brokers/registry.ts";
import type { GonkaProvider } from "../config/providers.ts";
import { GONKA_ADDRESS, GONKA_PRIVATE_KEY } from "../config/secrets.ts";
import { ZephError } from "../errors.ts";
import { chainClient } from "../network/chain.ts";
import { discoverEndpoints } from "../network/discovery.ts";
import { nodeClient, nodeRoot } from "../network/node.ts";
import { gonkaFetch, listModels } from "../transport/gonka-fetch.ts";
import { formatGnk, isClassicInferenceRetired, type NodeVersions, parseIdentity } from "../wire/documents.ts";
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
import { publishKeyArgs } from "./inferenced.ts";
import { type NativeKey, obtainPrivateKey } from "./native-key.ts";
import { askOr, type BranchOutcome, type Choice, faultOf, type InitSession, ifTold, KEY_HERE } from "./session.ts";
import { chooseModel, confirmDefault, passesTest, sendTestMessage, storeSecrets } from "./steps.ts";

/** Requests that are signed, or paid from escrows: network, key, address, nodes, account, model, one real message. */
export async function nativeBranch(
  session: InitSession,
  { pasted }: { readonly pasted?: Secret | undefined } = {},
): Promise<BranchOutcome> {
  const { request, facts, world, tell, ask } = session;
  const name = request.name ?? "gonka";
  const existing = facts.config?.providers.find((provider) => provider.name === name);
  if (existing !== undefined && existing.type !== "gonka") {
    // A record of another kind would be lost, not changed.
    const detail = `the name "${name}" is used for another kind of provider in your config`;
    throw new ZephError("usage", { detail, hint: "Choose another with --name." });
  }
  const network = await chooseNetwork(session, existing);
  if (network === "gateway") return { kind: "gateway" };
  const { source, anyNode, prefix, retired } = network;
  const native = await obtainPrivateKey(session, prefix, pasted);
  if ("gateway" in native) return { kind: "gateway", pasted: native.gateway };
  const { signer } = native;
  // Before anything is stored: a script whose key may do nothing here leaves nothing behind.
  const mayOpen = retired !== undefined && (await mayOpenEscrows(session, { anyNode, retired }, signer.address));
  const secrets = new Map([
    [existing?.privateKeyNames.canonical ?? GONKA_PRIVATE_KEY, native.key],
    [GONKA_ADDRESS, new Secret(signer.address)],
  ]);
  await storeSecrets(session, { entries: secrets, replacement: "typed" });

  const nodes = retired === undefined ? await chooseNodes(session, network) : [];
  await checkAccount(session, native, network);
  const previous = existing?.model;
  const ofEscrows = "Your account may open escrows. Pay for chats from an escrow of your own?";
  const wantsEscrow = mayOpen && (ask === undefined || (await ask.confirm({ message: ofEscrows, initial: true })));
  let model: string | undefined;
  let reply: Awaited<ReturnType<typeof passesTest>>;
  if (retired === undefined) {
    const { fetch, clock, random, signal } = world;
    const gonka = gonkaFetch({ kind: "native", signer, endpoints: nodes, fetch, random });
    const chosen = await chooseModel(session, {
      models: await readModels(session, () => listModels(gonka, signal)),
      previous,
    });
    const send = () => sendTestMessage(gonka, { model: chosen, clock, signal });
    reply = await passesTest(session, { model: chosen, send, keyIsReplaceable: false });
    model = chosen;
  } else if (wantsEscrow) {
    model = await chooseModel(session, {
      models: await readModels(session, () => nodeClient(anyNode, world).models()),
      previous,
    });
    tell.info("Nothing was paid. To begin: `zeph devshard check`, then `zeph devshard open`.");
  }
  const canChat = retired === undefined || wantsEscrow;
  const answers = {
    path: "native",
    name,
    model,
    chainPrefix: prefix,
    // Without `/v1`: the form that other Gonka programs read from GONKA_SOURCE_URL.
    sourceUrl: source && nodeRoot(source),
    // A record that cannot chat must not become the one that chats.
    makeDefault: canChat ? await confirmDefault(session, name) : (request.makeDefault ?? false),
    access: wantsEscrow ? "devshard" : undefined,
    nodes: nodes.map((node) => ({ url: node.baseURL, address: node.address, name: endpointLabel(node) })),
  } as const;
  return {
    kind: "ready",
    answers,
    secrets,
    address: signer.address,
    reply: reply === "another-key" ? undefined : reply,
  };
}

/**
 * On today's network chats are paid from escrows, which only listed accounts may open. Whether this one is listed is looked
 * up without a word. Throws `native_closed` where it is not, nobody can be asked, and a chat was wanted.
 */
async function mayOpenEscrows(
  { world, tell, ask, request }: InitSession,
  { anyNode, retired }: { readonly anyNode: string; readonly retired: string },
  address: string,
): Promise<boolean> {
  const { fetch, clock, signal } = world;
  // A node without the chain's interface: nothing can be offered, and nothing is missing that was promised.
  const params = await ifTold(chainClient(anyNode, { fetch, clock }).params(signal));
  if (params?.allowedCreators.includes(address) === true) return true;
  if (ask === undefined && request.test) {
    const why = params === undefined ? "its list of them cannot be read" : `${address} is not on its list`;
    throw new ZephError("native_closed", {
      detail: `the network runs ${retired} and takes chats only from escrows of listed accounts; ${why}`,
    });
  }
  const why = params === undefined ? "the node does not tell its list" : "this one is not listed";
  tell.info(
    `Today's network takes chats only from escrows, and only accounts that it has listed by vote may open them; ${why}. What is set up serves for address, balance and discovery. A gateway's API key works for everybody: \`zeph init\` again, and choose a gateway.`,
  );
  return false;
}

async function readModels(
  { tell }: InitSession,
  read: () => Promise<readonly Model[]>,
): Promise<readonly Model[] | undefined> {
  try {
    return await tell.work("Reading the list of models", read);
  } catch (error) {
    if (!ZephError.is(error)) throw error;
    tell.warn(`The list of models could not be read. ${error.message}`);
    return undefined;
  }
}

/** What a network was named by: a node to discover from, or its nodes one by one as `URL` or `URL,ADDRESS`. */
interface NetworkName {
  readonly named: readonly string[];
  readonly address: string;
}

interface NativeNetwork extends Pick<NetworkName, "named"> {
  /** Where its nodes are discovered, ending in `/v1`; `undefined` when they are named one by one. */
  readonly source: string | undefined;
  /** A node to ask about accounts and the chain, ending in `/v1`. */
  readonly anyNode: string;
  readonly prefix: string;
  /** The version of one that answers 410 to signed requests; chats are then paid from escrows. */
  readonly retired: string | undefined;
}

const namedNodes = (named: readonly string[]): NetworkName => ({ named, address: named[0]?.split(",")[0] ?? "" });
const discovered = (address: string): NetworkName => ({ named: [], address });

/** Which network, or the wish to take a gateway instead. */
async function chooseNetwork(
  session: InitSession,
  existing: GonkaProvider | undefined,
): Promise<NativeNetwork | "gateway"> {
  const { nodes, sourceUrl } = session.request.native;
  let next = nodes.length > 0 ? namedNodes(nodes) : sourceUrl === undefined ? undefined : discovered(sourceUrl);
  for (;;) {
    const network = await lookAt(session, next ?? (await askNetwork(session, existing)));
    if (network !== "another") return network;
    next = undefined;
  }
}

/** Offers the networks that config and environment name; the variables' forms are those of gonka-ai/gonka-openai. */
async function askNetwork(session: InitSession, existing: GonkaProvider | undefined): Promise<NetworkName> {
  const ask = askOr(session, "--source-url URL or --node URL");
  const { GONKA_SOURCE_URL: source = "", GONKA_ENDPOINTS: endpoints = "" } = session.world.env;
  const configured = existing?.sourceUrl ?? existing?.nodes[0]?.url ?? "";
  const nodes = endpoints.split(",").filter((pair) => pair.trim() !== "");
  const count = nodes.length === 1 ? "One node" : `${nodes.length} nodes`;
  const known: readonly Choice<NetworkName | "by hand">[] = [
    { value: discovered(configured), label: configured, hint: "from your config" },
    { value: discovered(source.trim()), label: source.trim(), hint: "from GONKA_SOURCE_URL" },
    {
      value: namedNodes(nodes.map((pair) => pair.trim().replace(";", ","))),
      label: nodes.length === 0 ? "" : count,
      hint: "from GONKA_ENDPOINTS",
    },
    { value: "by hand", label: "A private or test network", hint: "you name one of its nodes" },
    {
      value: discovered(MAIN_NETWORK.sourceUrl),
      label: "The main network",
      hint: `closed to signed requests since ${MAIN_NETWORK.closedSince}`,
    },
  ];
  const chosen = await ask.select({ message: "Which network?", choices: known.filter(({ label }) => label !== "") });
  if (chosen !== "by hand") return chosen;
  const message = "URL of one of its nodes";
  return discovered(await ask.text({ message, placeholder: "https://node.example", check: urlFault }));
}

function urlFault(text: string): string | undefined {
  return looksLikeToken(text) ? KEY_HERE : faultOf(() => normalizeBaseURL(text));
}

/** Asks the node for its version and its own address before anything is signed or any key is wanted. */
async function lookAt(
  session: InitSession,
  { named, address }: NetworkName,
): Promise<NativeNetwork | "gateway" | "another"> {
  const { world, tell, ask } = session;
  const anyNode = normalizeBaseURL(address);
  if (!(await acceptsPlainHttp(session, anyNode))) return "another";
  let versions: NodeVersions | undefined;
  try {
    versions = await tell.work("Looking at the network", () => nodeClient(anyNode, world).versions());
  } catch (error) {
    if (!ZephError.is(error) || ask === undefined) throw error;
    tell.fail(error.message);
    return "another";
  }
  const prefix = await choosePrefix(session, anyNode);
  const { apiVersion, apiVersionText } = versions ?? {};
  const found = { source: named.length > 0 ? undefined : anyNode, named, anyNode, prefix, retired: undefined };
  if (isClassicInferenceRetired(apiVersion)) {
    const retired = apiVersionText ?? "v0.2.14 or newer";
    const next = await afterRetirement(session, retired);
    return next === "go-on" ? { ...found, retired } : next;
  }
  if (apiVersion !== undefined) {
    tell.done(`The network runs ${apiVersionText} and takes signed requests.`);
  } else {
    const seen = apiVersionText === undefined ? "" : ` (it says ${apiVersionText})`;
    tell.info(`The network does not tell its version${seen}; the test message shows whether it takes signed requests.`);
  }
  return found;
}

/** Said before anything is sent that it would refuse. */
async function afterRetirement({ ask, tell }: InitSession, version: string): Promise<"gateway" | "another" | "go-on"> {
  // The key decides what is possible; where nobody can be asked it is looked up next.
  if (ask === undefined) return "go-on";
  tell.warn(
    `This network runs ${version}. From v0.2.14 on nodes answer 410 to signed requests; chats are paid from escrows, which only listed accounts may open.`,
  );
  const more = "address, balance, discovery; escrows, for accounts that may";
  return ask.select({
    message: "What now?",
    choices: [
      { value: "gateway", label: "Use a gateway instead", hint: "API key, works today" },
      { value: "another", label: "Another network" },
      { value: "go-on", label: "Go on all the same", hint: more },
    ],
  });
}

function isPlainHttp(baseURL: string): boolean {
  return baseURL.startsWith("http:") && !isLoopback(baseURL);
}

/** Prompts and answers travel readable to everybody on the way. */
async function acceptsPlainHttp({ ask, tell }: InitSession, baseURL: string): Promise<boolean> {
  if (!isPlainHttp(baseURL)) return true;
  tell.warn(`${new URL(baseURL).host} speaks plain http: everybody on the way can read and change what it says.`);
  return ask === undefined || ask.confirm({ message: "Use it all the same?" });
}

/** The network's own nodes tell the prefix; it is asked about only when it is not the usual one. */
async function choosePrefix({ world, request, ask }: InitSession, source: string): Promise<string> {
  if (request.native.prefix !== undefined) return parsePrefix(request.native.prefix);
  // Older nodes have no such route; the usual prefix is then assumed, and wrong ones are noticed with the address.
  const identity = JSON.stringify((await ifTold(nodeClient(source, world).identity()))?.json) ?? "";
  const seen = /"address":"([a-z][a-z02-9]{0,50})1[02-9ac-hj-np-z]{38}"/.exec(identity)?.[1] ?? DEFAULT_PREFIX;
  if (seen === DEFAULT_PREFIX || ask === undefined) return seen;
  const message = `Addresses of this network begin with ${seen}1, not ${DEFAULT_PREFIX}1. Is that right?`;
  if (await ask.confirm({ message, initial: true })) return seen;
  const check = (text: string) => faultOf(() => parsePrefix(text));
  return ask.text({ message: "Address prefix", initial: DEFAULT_PREFIX, check });
}

/** A node that can be written into a config: signed requests name its address. */
type CompleteNode = Endpoint & { readonly address: string };

/** The nodes to use: named by flags, discovered, or entered by hand. Throws `no_endpoints`, `identity_mismatch`. */
async function chooseNodes(session: InitSession, network: NativeNetwork): Promise<readonly CompleteNode[]> {
  const { named, source, prefix } = network;
  if (named.length > 0) return Promise.all(named.map((text) => readGivenNode(session, prefix, text)));
  for (;;) {
    const found = source === undefined ? [] : await discover(session, prefix, source);
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
    if (next === "manual") return enterNodes(session, prefix);
  }
}

async function discover(session: InitSession, prefix: string, sourceUrl: string): Promise<readonly CompleteNode[]> {
  const { tell, world, ask } = session;
  const { fetch, clock, random, signal } = world;
  try {
    const found = await tell.work("Looking for nodes", () =>
      discoverEndpoints({ sourceUrl, prefix, fetch, clock, random, signal }),
    );
    const nodes = found.endpoints.filter((node): node is CompleteNode => node.address !== undefined);
    const lines = nodes.map(async (node) => {
      const answer = await ifTold(nodeClient(node.baseURL, world).identity());
      const latency = answer === undefined ? "no answer" : `${answer.latencyMs} ms`;
      return `${endpointLabel(node)}  ${node.address}  ${latency}`;
    });
    const head = `${nodes.length} node${nodes.length === 1 ? "" : "s"}. The list is ${found.label}.`;
    if (nodes.length > 0) tell.done([head, ...found.reasons.slice(0, 1), ...(await Promise.all(lines))].join("\n"));
    for (const { address, reason } of found.skipped.slice(0, 5)) tell.info(`Left out: ${address} ${reason}`);
    return nodes;
  } catch (error) {
    if (!ZephError.is(error) || ask === undefined || error.code === "proof_invalid") throw error;
    tell.fail(error.message);
    return [];
  }
}

/** Plain http is for this computer and for those who say yes. */
async function withoutUnwantedHttp(
  { ask, tell }: InitSession,
  nodes: readonly CompleteNode[],
): Promise<readonly CompleteNode[]> {
  const secure = nodes.filter(({ baseURL }) => !isPlainHttp(baseURL));
  const plain = nodes.length - secure.length;
  if (plain === 0) return nodes;
  tell.warn(`${plain} of ${nodes.length} nodes speak plain http: everybody on the way can read your prompts.`);
  const takesThem = ask === undefined || (await ask.confirm({ message: "Use them all the same?" }));
  return takesThem ? nodes : secure;
}

/** `URL` or `URL,ADDRESS`; what the node says of itself must agree. */
async function readGivenNode(session: InitSession, prefix: string, text: string): Promise<CompleteNode> {
  const [url = "", given] = text.split(",").map((part) => part.trim());
  const baseURL = normalizeBaseURL(url);
  const stated = await readAddress(session, prefix, baseURL);
  const address = given === undefined ? stated : parseAddress(given, { prefix });
  if (address === undefined) {
    throw new ZephError("missing_input", { detail: `--node ${baseURL},ADDRESS: the node does not tell its address` });
  }
  if (stated !== undefined && stated !== address) {
    throw new ZephError("identity_mismatch", { detail: `${baseURL} says ${stated}, given was ${address}` });
  }
  return { baseURL, address };
}

/** Asks for one node after the other; an empty address ends the list once there is one. */
async function enterNodes(session: InitSession, prefix: string): Promise<readonly CompleteNode[]> {
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
    const stated = await readAddress(session, prefix, baseURL);
    if (stated !== undefined) session.tell.done(`${new URL(baseURL).host} says its address is ${stated}`);
    const check = (text: string) => faultOf(() => parseAddress(text, { prefix }));
    const message = "Its address (the node does not tell)";
    nodes.push({ baseURL, address: stated ?? (await ask.text({ message, check })) });
  }
}

/** `undefined` where the node is down, or too old for the route: its address must then come from somewhere else. */
function readAddress({ world }: InitSession, prefix: string, baseURL: string): Promise<string | undefined> {
  const read = nodeClient(baseURL, world).identity();
  return ifTold(read.then(({ json }) => parseIdentity(json, { prefix }).address));
}

/** Looks at the account, free of charge, and says what it lacks with the command that mends it. */
async function checkAccount(
  session: InitSession,
  { signer, keyring }: NativeKey,
  { anyNode, retired }: NativeNetwork,
): Promise<void> {
  const { tell, ask, world } = session;
  const { address } = signer;
  const nodeUrl = nodeRoot(anyNode);
  for (;;) {
    const state = await tell
      .work("Looking at the account", () => nodeClient(anyNode, world).account(address))
      .catch((error: unknown) => {
        if (!ZephError.is(error)) throw error;
        return { kind: "unknown", error } as const;
      });
    let run: (() => Promise<void>) | undefined;
    if (state.kind === "ready") {
      const { balanceNgonka } = state.account;
      if (balanceNgonka === 0n) return tell.warn(`The account has no GNK. Send some to ${address}.`);
      return tell.done(`The account has published its key and has ${formatGnk(balanceNgonka)}.`);
    }
    if (state.kind === "unknown") return tell.warn(`The account could not be looked at. ${state.error.message}`);
    if (state.kind === "not-found") {
      const register = `inferenced create-client NAME --node-address ${nodeUrl}`;
      tell.warn(
        `The network does not know ${address} yet. Send some GNK to it.\nNetworks before v0.2.12 register accounts with: ${register}`,
      );
    } else {
      if (retired !== undefined) return tell.info("The account has published no key yet; its first transaction will.");
      // The command's own default is wrong for every known network. Nodes often have the route switched off.
      const chainId = (await ifTold(nodeClient(anyNode, world).status()))?.chainId;
      const chain = { nodeUrl, chainId: chainId ?? "CHAIN-ID", keyring: keyring?.keyring };
      const command = `inferenced ${publishKeyArgs(keyring?.name ?? "NAME", chain).join(" ")}`;
      if (keyring !== undefined && chainId !== undefined)
        run = () => keyring.inferenced.publishKey(keyring.keyring, keyring.name, { nodeUrl, chainId });
      tell.warn(
        `The account has not published its public key, so nodes cannot check its signatures. Once:\n${command}`,
      );
    }
    if (ask === undefined) return;
    const next = await ask.select({
      message: "What now?",
      choices: [
        ...(run === undefined ? [] : [{ value: "run", label: "Run this command now" } as const]),
        { value: "again", label: "I have done it, look again" },
        { value: "go-on", label: "Go on all the same", hint: "requests are refused until then" },
      ],
    });
    if (next === "go-on") return;
    if (next === "run") await run?.();
  }
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
} as const;
