import { looksLikeToken } from "../brokers/contains-key.ts";
import { readVersions } from "../client/discover-endpoints.ts";
import { readNode } from "../client/read-node.ts";
import { ZephError } from "../errors/zeph-error.ts";
import { DEFAULT_PREFIX, parsePrefix } from "../protocol/address.ts";
import { isLoopback, normalizeBaseURL } from "../protocol/endpoint.ts";
import { isClassicInferenceRetired } from "../protocol/versions.ts";
import type { Choice } from "./ask.ts";
import { askOr, type InitSession } from "./init-session.ts";
import { MAIN_NETWORK } from "./main-network.ts";
import { KEY_HERE } from "./refuse-keys.ts";

/** A network to sign requests for. */
export interface NativeNetwork {
  /** Where its nodes are discovered, ending in `/v1`; `undefined` when they are named one by one. */
  readonly source: string | undefined;
  /** The nodes that were named, as `URL` or `URL,ADDRESS`. */
  readonly named: readonly string[];
  /** A node to ask about accounts and the chain, ending in `/v1`. */
  readonly anyNode: string;
  readonly prefix: string;
  /** It answers 410 to signed requests: address, balance and discovery only. */
  readonly retired: boolean;
}

/** What a network was named by: a node to discover from, or its nodes one by one. */
type NetworkName = Pick<NativeNetwork, "named"> & { readonly address: string };

/** Which network, or the wish to take a gateway instead. Throws `native_closed` where nobody can be asked. */
export async function chooseNetwork(session: InitSession): Promise<NativeNetwork | "gateway"> {
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

export function urlFault(text: string): string | undefined {
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
  const retired = isClassicInferenceRetired(versions?.apiVersion);
  const found = { source: named.length > 0 ? undefined : source, named, anyNode: source, prefix };
  if (!retired) {
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
  const next = await afterRetirement(session, versions?.apiVersionText ?? "v0.2.14 or newer");
  return next === "go-on" ? { ...found, retired } : next;
}

/** Said before anything is sent that it would refuse. */
async function afterRetirement(
  { ask, tell, request }: InitSession,
  version: string,
): Promise<"gateway" | "another" | "go-on"> {
  const words = `This network runs ${version}. From v0.2.14 on nodes answer 410 to signed requests, so no chat is possible here.`;
  if (ask === undefined) {
    if (request.test) throw new ZephError("native_closed", { detail: `the network runs ${version}; nothing was sent` });
    tell.warn(`${words} Set up for address, balance and discovery only.`);
    return "go-on";
  }
  tell.warn(words);
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
export async function acceptsPlainHttp({ ask, tell }: InitSession, baseURL: string): Promise<boolean> {
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
