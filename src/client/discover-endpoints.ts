import { ZephError } from "../errors/zeph-error.ts";
import { type Clock, systemClock } from "../internal/clock.ts";
import { DEFAULT_PREFIX } from "../protocol/address.ts";
import { DEFAULT_CHAIN_PARAMS, parseChainParams } from "../protocol/chain-params.ts";
import { type Endpoint, normalizeBaseURL } from "../protocol/endpoint.ts";
import { type LatestEpoch, parseLatestEpoch } from "../protocol/epochs.ts";
import { parseIdentity } from "../protocol/identity.ts";
import { eligibleEndpoints } from "../protocol/participants/eligible-endpoints.ts";
import type { ProofLabel } from "../protocol/proof/verify-participants.ts";
import { isClassicInferenceRetired, type NodeVersions, parseVersions } from "../protocol/versions.ts";
import type { FetchFunction } from "../transport/fetch-function.ts";
import { type ReadNodeOptions, readNode } from "./read-node.ts";
import { type ParticipantsTrust, readParticipants } from "./read-participants.ts";

export interface DiscoverOptions {
  /** A node or mirror of the network; any form `normalizeBaseURL` understands. There is no default. */
  readonly sourceUrl: string;
  /** Only nodes that serve this model. */
  readonly model?: string;
  /** Address prefix of the network, default `gonka`. */
  readonly prefix?: string;
  /** What the list must be checked against; without it the label is at best `self-consistent`. */
  readonly trust?: ParticipantsTrust;
  /** How many nodes to find before stopping to probe. Default 8. */
  readonly wanted?: number;
  readonly fetch?: FetchFunction;
  readonly clock?: Clock;
  readonly random?: () => number;
  readonly signal?: AbortSignal;
}

/** What a source said about its network, and which of its nodes can be used. */
export interface Discovery {
  /** Probed: each answered with the address it is listed under. Empty when `retired`. */
  readonly endpoints: readonly Endpoint[];
  /** Nodes left out, with the reason. */
  readonly skipped: readonly { readonly address: string; readonly reason: string }[];
  /** True from v0.2.14 on: nodes answer signed requests with 410, so nothing else was asked. */
  readonly retired: boolean;
  readonly apiVersionText: string | undefined;
  /**
   * How far the list is proven. `unverified` lists are one server's word, and so are, with any label, who is excluded and
   * who is on the transfer-agent list: no proof covers either.
   */
  readonly label: ProofLabel;
  /** Why the label is not a better one, in sentences. */
  readonly reasons: readonly string[];
  readonly epochId: bigint | undefined;
  /** When the network made the block that proves the list, milliseconds since 1970; absent without a proof. */
  readonly provenAtMs?: number | undefined;
}

const DEFAULT_WANTED = 8;
const PROBE_TIMEOUT_MS = 4_000;

/**
 * Finds the nodes of a network from one source: version first, then participants with their proof, minus the excluded,
 * limited to the chain's transfer-agent list and the model, then each asked for its identity.
 * Throws `discovery_failed`, `proof_invalid`, `unreachable`, `wrong_url`.
 *
 * @example
 * ```ts
 * const { endpoints, label } = await discoverEndpoints({ sourceUrl: "https://node.example" });
 * ```
 */
export async function discoverEndpoints(options: DiscoverOptions): Promise<Discovery> {
  const source = normalizeBaseURL(options.sourceUrl);
  const reading = toReading(options);
  const versions = await readVersions(source, reading);
  const retired = isClassicInferenceRetired(versions?.apiVersion);
  const common = { retired, apiVersionText: versions?.apiVersionText };
  if (retired) {
    return { ...common, endpoints: [], skipped: [], label: "unverified", reasons: [], epochId: undefined };
  }
  const [list, params, latest] = await Promise.all([
    readParticipants(source, reading, options.trust),
    readChainParams(source, reading),
    readLatestEpoch(source, reading),
  ]);
  refuseOldEpoch(list.epochId, latest);
  const eligible = eligibleEndpoints(list.participants, {
    excluded: list.excluded,
    allowedTransferAddresses: params.allowedTransferAddresses,
    prefix: options.prefix ?? DEFAULT_PREFIX,
    ...(options.model === undefined ? {} : { model: options.model }),
  });
  const probed = await probe(shuffle(eligible.endpoints, options.random ?? Math.random), options, reading);
  return {
    ...common,
    endpoints: probed.endpoints,
    skipped: [...eligible.skipped, ...probed.skipped],
    label: list.label,
    reasons: list.reasons,
    epochId: list.epochId,
    provenAtMs: list.provenAtMs,
  };
}

function toReading(options: DiscoverOptions): ReadNodeOptions {
  return {
    fetch: options.fetch ?? ((input, init) => globalThis.fetch(input, init)),
    clock: options.clock ?? systemClock,
    signal: options.signal,
  };
}

/** Undefined when the source answers but tells no version: older nodes have no such route. */
export async function readVersions(source: string, reading: ReadNodeOptions): Promise<NodeVersions | undefined> {
  try {
    return parseVersions((await readNode(`${source}/versions`, reading)).json);
  } catch (error) {
    if (ZephError.is(error) && error.code === "bad_response") return undefined;
    throw error;
  }
}

/** Where the network stands, by the source's word; undefined where it does not tell. */
async function readLatestEpoch(source: string, reading: ReadNodeOptions): Promise<LatestEpoch | undefined> {
  try {
    return parseLatestEpoch((await readNode(`${source}/epochs/latest`, reading)).json);
  } catch (error) {
    if (ZephError.is(error)) return undefined;
    throw error;
  }
}

/**
 * The good list of an epoch that is over has a good proof, and names nodes that may be gone or banned since. Before the
 * hosts of a new epoch are chosen, the latest is one ahead of the list in force.
 */
function refuseOldEpoch(epochId: bigint, latest: LatestEpoch | undefined): void {
  if (latest === undefined) return;
  const oldestInForce = latest.phase === "Inference" ? latest.epochIndex : latest.epochIndex - 1n;
  if (epochId >= oldestInForce) return;
  throw new ZephError("proof_invalid", {
    detail: `the list is of epoch ${epochId}, and the source names ${latest.epochIndex} as the latest`,
  });
}

/** The chain API is often switched off. Without it nobody is known to be shut out, as with an empty list. */
export async function readChainParams(source: string, reading: ReadNodeOptions) {
  const root = source.slice(0, -"/v1".length);
  try {
    const { json } = await readNode(`${root}/chain-api/productscience/inference/inference/params`, reading);
    return parseChainParams(json);
  } catch (error) {
    // Dropped or slow is no more than switched off: who may not serve refuses by itself.
    if (ZephError.is(error)) return DEFAULT_CHAIN_PARAMS;
    throw error;
  }
}

/** Asks nodes who they are, a few at a time, until enough have answered. */
async function probe(candidates: readonly Endpoint[], options: DiscoverOptions, reading: ReadNodeOptions) {
  const wanted = options.wanted ?? DEFAULT_WANTED;
  const endpoints: Endpoint[] = [];
  const skipped: { address: string; reason: string }[] = [];
  for (let from = 0; from < candidates.length && endpoints.length < wanted; from += wanted) {
    const batch = candidates.slice(from, from + wanted);
    const faults = await Promise.all(batch.map((endpoint) => identityFault(endpoint, options, reading)));
    batch.forEach((endpoint, index) => {
      const reason = faults[index];
      if (reason === undefined) endpoints.push(endpoint);
      else skipped.push({ address: endpoint.address ?? "", reason });
    });
  }
  return { endpoints, skipped };
}

/** Why a node cannot be used, by its own word; undefined when it can. */
async function identityFault(endpoint: Endpoint, options: DiscoverOptions, reading: ReadNodeOptions) {
  try {
    const { json } = await readNode(`${endpoint.baseURL}/identity`, { ...reading, timeoutMs: PROBE_TIMEOUT_MS });
    const { address } = parseIdentity(json, { prefix: options.prefix ?? DEFAULT_PREFIX });
    return address === endpoint.address ? undefined : `says its address is ${address}`;
  } catch (error) {
    if (!ZephError.is(error)) throw error;
    // Nodes before v0.2.6 have no identity route; they cannot be checked, which is not a fault of theirs.
    if (error.status === 404) return undefined;
    return error.detail ?? error.summary;
  }
}

function shuffle<T>(items: readonly T[], random: () => number): T[] {
  return items
    .map((item) => ({ item, rank: random() }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ item }) => item);
}
