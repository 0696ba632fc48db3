import { readVersions } from "../client/discover-endpoints.ts";
import { readNode } from "../client/read-node.ts";
import { ZephError } from "../errors/zeph-error.ts";
import { DEFAULT_PREFIX, parsePrefix } from "../protocol/address.ts";
import { isLoopback, normalizeBaseURL } from "../protocol/endpoint.ts";
import { isClassicInferenceRetired } from "../protocol/versions.ts";
import type { Choice } from "./ask.ts";
import { askOr, type InitSession } from "./init-session.ts";
import { MAIN_NETWORK } from "./main-network.ts";

/** A network to sign requests for. */
export interface NativeNetwork {
  /** Where its nodes are discovered, ending in `/v1`; `undefined` when they are named one by one. */
  readonly source: string | undefined;
  /** A node to ask about accounts and the chain, ending in `/v1`. */
  readonly anyNode: string;
  readonly prefix: string;
  /** It answers 410 to signed requests: address, balance and discovery only. */
  readonly retired: boolean;
}

/** Which network, or the wish to take a gateway instead. Throws `native_closed` where nobody can be asked. */
export async function chooseNetwork(session: InitSession): Promise<NativeNetwork | "gateway"> {
  const { native } = session.request;
  let given = native.nodes.length > 0 ? firstURL(native.nodes) : native.sourceUrl;
  for (;;) {
    const address = given ?? (await askSource(session));
    given = undefined;
    const network = await lookAt(session, address);
    if (network === "another") continue;
    return network;
  }
}

function firstURL(nodes: readonly string[]): string | undefined {
  return nodes[0]?.split(",")[0];
}

const BY_HAND = Symbol("another address");

async function askSource(session: InitSession): Promise<string> {
  const ask = askOr(session, "--source-url URL or --node URL");
  const known = knownSources(session);
  const chosen = await ask.select<string | typeof BY_HAND>({
    message: "Which network?",
    choices: [
      ...known,
      { value: BY_HAND, label: "A private or test network", hint: "you name one of its nodes" },
      {
        value: MAIN_NETWORK.sourceUrl,
        label: "The main network",
        hint: `closed to signed requests since ${MAIN_NETWORK.closedSince}`,
      },
    ],
  });
  if (chosen !== BY_HAND) return chosen;
  return ask.text({ message: "URL of one of its nodes", placeholder: "https://node.example", check: urlFault });
}

function knownSources({ world, facts, request }: InitSession): readonly Choice<string>[] {
  const variable = (world.env.GONKA_SOURCE_URL ?? "").trim();
  const existing = facts.config?.providers.find(({ name }) => name === (request.name ?? "gonka"));
  const configured = existing?.type === "gonka" ? (existing.sourceUrl ?? existing.nodes[0]?.url) : undefined;
  return [
    ...(configured === undefined ? [] : [{ value: configured, label: configured, hint: "from your config" }]),
    ...(variable === "" ? [] : [{ value: variable, label: variable, hint: "from GONKA_SOURCE_URL" }]),
  ];
}

export function urlFault(text: string): string | undefined {
  try {
    normalizeBaseURL(text);
    return undefined;
  } catch (error) {
    if (ZephError.is(error)) return error.message;
    throw error;
  }
}

/** Asks the node for its version and its own address before anything is signed or any key is wanted. */
async function lookAt(session: InitSession, address: string): Promise<NativeNetwork | "gateway" | "another"> {
  const { world, tell, ask, request } = session;
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
  const found = { source: request.native.nodes.length > 0 ? undefined : source, anyNode: source, prefix };
  if (!retired) {
    tell.done(
      `The network runs ${versions?.apiVersionText ?? "a version it does not tell"} and takes signed requests.`,
    );
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
      { value: "go-on", label: "Go on all the same", hint: "for address, balance and discovery only" },
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
