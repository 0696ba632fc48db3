import type { GonkaProvider } from "../config/providers.ts";
import { CATALOGUE, ZephError } from "../errors.ts";
import {
  type Discovery,
  discoverEndpoints,
  proofAge,
  provenAt,
  readParticipants,
  readVersions,
} from "../network/discovery.ts";
import {
  type ChainFacts,
  nameNodeError,
  type ReadNodeOptions,
  readChainFacts,
  readChainStatus,
  readNode,
} from "../network/node.ts";
import { nodeSource } from "../provider/open.ts";
import type { Setup } from "../provider/setup.ts";
import type { RequestSigner } from "../signer/signer.ts";
import {
  compareVersions,
  isClassicInferenceRetired,
  isTransferAgentAllowed,
  type NetworkPricing,
  type NodeIdentity,
  type NodeVersions,
  parseIdentity,
  type Version,
} from "../wire/documents.ts";
import { type Endpoint, endpointLabel, isLoopback, normalizeBaseURL } from "../wire/endpoint.ts";
import type { Model } from "../wire/models.ts";
import type { ProofLabel } from "../wire/participants.ts";
import {
  type Check,
  type CheckResult,
  type DoctorFacts,
  failed,
  noteServerTime,
  passed,
  skipped,
  warned,
} from "./check.ts";

/** What the checks of one native provider have seen so far; each writes what a later one reads. */
export interface NativeSighting {
  /** Asks every node once only. */
  readonly setup: Setup;
  readonly config: GonkaProvider;
  /** The nodes of the config, in its order. */
  readonly nodes: readonly Endpoint[];
  readonly names: NativeCheckNames;
  signer?: RequestSigner;
  storedAddress?: string;
  /** The node that network-wide questions go to: the first that answered. */
  source?: string;
  chain?: ChainFacts;
  pricing?: NetworkPricing;
  models?: readonly Model[];
}

/** Names of the checks of a native provider. Those of the first one are Zeph's; further ones carry the provider's name. */
export function nativeCheckNames(provider: string, isFirst: boolean) {
  const named = (name: string) => (isFirst ? `gonka.${name}` : `gonka.${name}.${provider}`);
  return {
    privateKey: named("vault.private_key"),
    address: named("vault.address"),
    prefix: named("prefix"),
    signer: named("signer"),
    client: named("client"),
    network: named("network"),
    access: named("access"),
    blockTime: named("block_time"),
    discovery: named("discovery"),
    proof: named("proof"),
    account: named("account"),
    node: (index: number) => (isFirst ? `gonka.node[${index}]` : `gonka.node.${provider}[${index}]`),
    discovered: `gonka.node.${provider}`,
    model: `llm.${provider}.model`,
    price: `llm.${provider}.price`,
    smoke: `llm.${provider}.smoke`,
  };
}

type NativeCheckNames = ReturnType<typeof nativeCheckNames>;

/** How the doctor reads: the runner's deadline is the only one. */
export function readingOf({ world }: DoctorFacts, signal: AbortSignal): ReadNodeOptions {
  return { fetch: world.fetch, clock: world.clock, signal, timeoutMs: 24 * 3_600_000 };
}

export function sourceOf({ source }: NativeSighting): string {
  if (source === undefined) throw new ZephError("internal", { detail: "no node of the network was found" });
  return source;
}

/** What holds for the network as a whole: its version, who may ask, and whether its clock goes. */
export function networkChecks(sighting: NativeSighting): readonly Check[] {
  return [networkCheck(sighting), accessCheck(sighting), blockTimeCheck(sighting)];
}

/** Since 2025-12-22 the hash of the body is signed; before, the body itself was (gonka-ai/gonka v0.2.6). */
const OLDEST: Version = { major: 0, minor: 2, patch: 6 };

/** Which version answers? From 0.2.14 on signed requests are refused with 410. Whoever answers first is asked the rest. */
function networkCheck(sighting: NativeSighting): Check {
  const { config, names, nodes } = sighting;
  return {
    name: names.network,
    provider: config.name,
    async run(facts, signal) {
      const { sourceUrl } = config;
      const candidates = [
        ...(sourceUrl === undefined ? [] : [normalizeBaseURL(sourceUrl)]),
        ...nodes.map(({ baseURL }) => baseURL),
      ];
      const reading = readingOf(facts, signal);
      const { source, versions } = await firstOpen([...new Set(candidates)], async (candidate) => ({
        source: candidate,
        versions: await readVersions(candidate, reading),
      }));
      sighting.source = source;
      return judgeVersion(versions);
    },
  };
}

function judgeVersion(versions: NodeVersions | undefined) {
  const text = versions?.apiVersionText;
  if (text === undefined || versions?.apiVersion === undefined) {
    return warned(
      "the network does not tell its version; a node's own answer will show whether it takes signed requests",
    );
  }
  const data = { api_version: text, chain_version: versions.chainVersionText ?? null };
  if (isClassicInferenceRetired(versions.apiVersion)) {
    const { summary, hint } = CATALOGUE.native_closed;
    return { status: "fail", code: "native_closed", detail: `${summary}: it runs ${text}`, hint, data } as const;
  }
  if (compareVersions(versions.apiVersion, OLDEST) >= 0) return passed(`version ${text}`, { data });
  const detail = `version ${text} takes another signed text than networks since v0.2.6, which zeph does not write`;
  const hint = "Ask for a node of v0.2.6 or later.";
  return { status: "fail", code: "signature_invalid", detail, hint, data } as const;
}

interface NodeAnswer {
  readonly source: string;
  readonly versions: NodeVersions | undefined;
}

/**
 * The first that answers and still takes signed requests, as a chat puts the others aside; else the first that answers,
 * however slow or dead the others are; with the first one's error when none does.
 */
async function firstOpen(
  candidates: readonly string[],
  ask: (candidate: string) => Promise<NodeAnswer>,
): Promise<NodeAnswer> {
  const answers = candidates.map(ask);
  const open = answers.map(async (answer) => {
    const found = await answer;
    if (isClassicInferenceRetired(found.versions?.apiVersion)) throw new ZephError("native_closed");
    return found;
  });
  try {
    return await Promise.any(open).catch(() => Promise.any(answers));
  } catch (error) {
    const [first] = error instanceof AggregateError ? error.errors : [error];
    throw first ?? new ZephError("no_endpoints");
  }
}

/** May this user ask, and which nodes may answer? */
function accessCheck(sighting: NativeSighting): Check {
  const { config, names } = sighting;
  return {
    name: names.access,
    dependsOn: [names.network],
    after: [names.signer],
    provider: config.name,
    async run(facts, signal) {
      const reading = readingOf(facts, signal);
      const chain = await readChainFacts(sourceOf(sighting), reading);
      sighting.chain = chain;
      if (!chain.told) return skipped("the chain API is switched off here, so the lists cannot be read");
      const { developers, params } = chain;
      const agents = params.allowedTransferAddresses.length;
      const detail = agents === 0 ? "every node may take requests" : `${agents} node(s) may take requests`;
      const data = { transfer_agents: agents, developers: developers.allowed.length };
      const status = await readChainStatus(sourceOf(sighting), reading);
      const isRestricted =
        developers.untilBlockHeight > 0n && (status?.latestBlockHeight ?? 0n) < developers.untilBlockHeight;
      const address = sighting.signer?.address;
      if (!isRestricted || address === undefined || developers.allowed.includes(address))
        return passed(detail, { data });
      const { summary, hint } = CATALOGUE.developer_not_allowed;
      const until = `${summary}: until block ${developers.untilBlockHeight}`;
      return { status: "fail", code: "developer_not_allowed", detail: until, hint, data };
    },
  };
}

/** Nodes judge timestamps by the latest block, so a chain that stands still refuses correct ones. */
function blockTimeCheck(sighting: NativeSighting): Check {
  const { config, names } = sighting;
  return {
    name: names.blockTime,
    dependsOn: [names.network],
    after: [names.access],
    provider: config.name,
    async run(facts, signal) {
      const status = await readChainStatus(sourceOf(sighting), readingOf(facts, signal));
      if (status === undefined)
        return skipped("the chain RPC is switched off here, so the latest block cannot be read");
      const source = new URL(sourceOf(sighting)).host;
      noteServerTime(facts, source, status.serverDateMs);
      const nowMs = status.serverDateMs ?? facts.world.clock.nowMs();
      const ageSeconds = Math.round((nowMs - status.latestBlockTimeMs) / 1000);
      const data = { height: status.latestBlockHeight, age_s: ageSeconds, chain_id: status.chainId };
      const detail = `block ${status.latestBlockHeight} of ${status.chainId}, ${ageSeconds} s old`;
      const limit = sighting.chain?.params.timestampAdvanceSeconds ?? 30;
      if (ageSeconds > limit) {
        const { summary, hint } = CATALOGUE.chain_stalled;
        return { status: "fail", code: "chain_stalled", detail: `${summary}: ${detail}`, hint, data };
      }
      return ageSeconds > limit / 2 ? warned(`${detail}: slow blocks`, { data }) : passed(detail, { data });
    },
  };
}

const SLOW_MS = 2_000;

/** One node of the config: is it there, is it who it should be, and may it take requests? Nothing is signed or sent. */
export function nodeCheck(sighting: NativeSighting, node: Endpoint, index: number): Check {
  const { config, names } = sighting;
  return {
    name: names.node(index),
    after: [names.access],
    provider: config.name,
    oneOf: `nodes of ${config.name}`,
    async run(facts, signal) {
      const label = endpointLabel(node);
      const { identity, latencyMs, serverDateMs } = await askNode(node, config.chainPrefix, readingOf(facts, signal));
      noteServerTime(facts, label, serverDateMs);
      if (identity !== undefined && identity.address !== node.address) {
        throw new ZephError("identity_mismatch", {
          detail: `${label} says it is ${identity.address}, the config says ${node.address}`,
          hint: `Correct the address of ${label} in gonka_nodes, or run \`zeph init\` to find the nodes anew.`,
        });
      }
      const { chain } = sighting;
      if (chain !== undefined && !isTransferAgentAllowed(chain.params, node.address ?? "")) {
        const { summary, hint } = CATALOGUE.transfer_agent_not_allowed;
        return { status: "fail", code: "transfer_agent_not_allowed", detail: `${label}: ${summary}`, hint };
      }
      const versions = await readVersions(node.baseURL, readingOf(facts, signal)).catch(() => undefined);
      if (isClassicInferenceRetired(versions?.apiVersion)) {
        throw new ZephError("native_closed", { detail: `${label} runs ${versions?.apiVersionText}` });
      }
      const data = { url: node.baseURL, address: node.address ?? null, latency_ms: Math.round(latencyMs) };
      const detail = `${label}: ${Math.round(latencyMs)} ms, ${identity === undefined ? "tells no identity" : "identity fits"}`;
      if (node.baseURL.startsWith("http:") && !isLoopback(node.baseURL)) {
        return warned(`${detail}; plain http: prompts and answers travel in clear`, { data });
      }
      if (latencyMs > SLOW_MS) return warned(`${detail}; slow`, { data });
      return passed(detail, { data });
    },
  };
}

interface NodeFacts {
  /** Undefined for nodes before v0.2.6, which have no such route. */
  readonly identity: NodeIdentity | undefined;
  readonly latencyMs: number;
  readonly serverDateMs: number | undefined;
}

async function askNode({ baseURL }: Endpoint, prefix: string, reading: ReadNodeOptions): Promise<NodeFacts> {
  try {
    const { json, ...rest } = await readNode(`${baseURL}/identity`, reading);
    return { identity: parseIdentity(json, { prefix }), ...rest };
  } catch (error) {
    if (!ZephError.is(error) || error.status !== 404) throw nameNodeError(error);
  }
  try {
    return { identity: undefined, ...(await readNode(`${baseURL}/versions`, reading)) };
  } catch (error) {
    throw nameNodeError(error);
  }
}

/** For a provider that names only a source: which nodes would a chat find there? Each is asked who it is. */
export function discoveryCheck(sighting: NativeSighting, sourceUrl: string): Check {
  const { config, names } = sighting;
  return {
    name: names.discovery,
    provider: config.name,
    async run(facts, signal) {
      try {
        return judgeDiscovery(await discover(sighting, facts, sourceUrl, signal));
      } catch (error) {
        if (!ZephError.is(error) || !error.retryable) throw error;
        return rememberedNodes(sighting, error, signal);
      }
    },
  };
}

function discover({ config }: NativeSighting, { world }: DoctorFacts, sourceUrl: string, signal: AbortSignal) {
  const { fetch, clock, random } = world;
  const { chainPrefix: prefix, model, trust } = config;
  const wanted = model === undefined ? {} : { model };
  return discoverEndpoints({ sourceUrl, prefix, trust, fetch, clock, random, signal, ...wanted });
}

function judgeDiscovery({ endpoints, skipped, retired, apiVersionText }: Discovery): CheckResult {
  if (retired) {
    return failed(
      new ZephError("native_closed", { detail: `the network runs ${apiVersionText ?? "a newer version"}` }),
    );
  }
  const reasons = skipped.map(({ address, reason }) => `${address}: ${reason}`);
  const data = { nodes: endpoints.map(({ baseURL, address }) => ({ url: baseURL, address })), skipped: reasons };
  if (endpoints.length === 0) {
    const detail = reasons.length === 0 ? "the network lists none" : reasons.slice(0, 3).join("; ");
    return failed(new ZephError("no_endpoints", { detail }), { data });
  }
  const left = skipped.length === 0 ? "" : `; ${skipped.length} left out (${skipped[0]?.reason})`;
  return passed(`${endpoints.length} node(s) found${left}`, { data });
}

/** A chat goes on with the list of an earlier run while the source is away. */
async function rememberedNodes(
  { setup, config }: NativeSighting,
  error: ZephError,
  signal: AbortSignal,
): Promise<CheckResult> {
  const { discover: remembered } = nodeSource(setup, config);
  try {
    const nodes = (await remembered?.(signal)) ?? [];
    return warned(`${nodes.length} node(s) of an earlier list; the source cannot be read now (${error.message})`);
  } catch (again) {
    if (!ZephError.is(again)) throw again;
    return failed(error);
  }
}

/** How far the list of nodes is proven, and whether the configured nodes are on it. */
export function proofCheck(sighting: NativeSighting): Check {
  const { config, names, nodes } = sighting;
  return {
    name: names.proof,
    dependsOn: [names.network],
    provider: config.name,
    async run(facts, signal) {
      try {
        const list = await readParticipants(sourceOf(sighting), readingOf(facts, signal), config.trust);
        const active = new Set(list.participants.map(({ address }) => address));
        const strangers = nodes.filter(({ address }) => address !== undefined && !active.has(address));
        const data = {
          label: list.label,
          provenAt: provenAt(list),
          epoch: list.epochId,
          participants: active.size,
          reasons: list.reasons,
        };
        const age = proofAge(list, facts.world.clock.nowMs());
        const words = `${active.size} participants of epoch ${list.epochId}: ${LABELS[list.label]}${age}`;
        if (strangers.length > 0) {
          const named = strangers.map(({ address }) => address).join(", ");
          return warned(`${words}; not among them: ${named}`, {
            data,
            hint: "Run `zeph init` to find the nodes anew.",
          });
        }
        return list.label === "unverified" ? warned(words, { data }) : passed(words, { data });
      } catch (error) {
        if (!ZephError.is(error)) throw error;
        // Named nodes are used whatever a list says; a discovered list is not used when its proof is broken.
        return nodes.length > 0 ? { ...failed(error), status: "warn" } : failed(error);
      }
    },
  };
}

const LABELS: Readonly<Record<ProofLabel, string>> = {
  verified: "proven by a pinned hash",
  "self-consistent": "the proof holds, as far as one source can prove itself",
  unverified: "no proof; one server's word",
};
