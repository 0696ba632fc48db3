import { discoverEndpoints } from "../client/discover-endpoints.ts";
import { readNode } from "../client/read-node.ts";
import { ZephError } from "../errors/zeph-error.ts";
import { parseAddress } from "../protocol/address.ts";
import { type Endpoint, endpointLabel, isLoopback, normalizeBaseURL } from "../protocol/endpoint.ts";
import { parseIdentity } from "../protocol/identity.ts";
import { askOr, type InitSession } from "./init-session.ts";
import { acceptsPlainHttp, type NativeNetwork, urlFault } from "./native-network.ts";

/** A node that can be written into a config: signed requests name its address. */
export type CompleteNode = Endpoint & { readonly address: string };

/** The nodes to use: named by flags, discovered, or entered by hand. Throws `no_endpoints`, `identity_mismatch`. */
export async function chooseNodes(session: InitSession, network: NativeNetwork): Promise<readonly CompleteNode[]> {
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
