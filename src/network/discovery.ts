import { type Clock, systemClock } from "../base/time.ts";
import type { FetchFunction } from "../base/world.ts";
import { ZephError } from "../errors.ts";
import { isClassicInferenceRetired, type LatestEpoch, parseIdentity } from "../wire/documents.ts";
import { DEFAULT_PREFIX, type Endpoint, normalizeBaseURL } from "../wire/endpoint.ts";
import {
  type ExcludedParticipant,
  eligibleEndpoints,
  type Participant,
  type ProofLabel,
  type Trust,
  verifyParticipants,
} from "../wire/participants.ts";
import { type NodeClient, nodeClient, type ReadNodeOptions } from "./node.ts";

export interface DiscoverOptions {
  /** A node or mirror of the network; any form `normalizeBaseURL` understands. There is no default. */
  readonly sourceUrl: string;
  /** Only nodes that serve this model. */
  readonly model?: string | undefined;
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
  const node = nodeClient(source, reading);
  const versions = await node.versions();
  const retired = isClassicInferenceRetired(versions?.apiVersion);
  const common = { retired, apiVersionText: versions?.apiVersionText };
  if (retired) {
    return { ...common, endpoints: [], skipped: [], label: "unverified", reasons: [], epochId: undefined };
  }
  const [list, chain, latest] = await Promise.all([
    readParticipants(node, options.trust),
    // Without the chain's word nobody is known to be shut out, as with an empty list: who may not serve refuses by itself.
    ifTold(node.chainFacts()),
    ifTold(node.epoch()),
  ]);
  refuseOldEpoch(list.epochId, latest);
  const eligible = eligibleEndpoints(list.participants, {
    excluded: list.excluded,
    allowedTransferAddresses: chain?.params.allowedTransferAddresses ?? [],
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
    const { json } = await nodeClient(endpoint.baseURL, { ...reading, timeoutMs: PROBE_TIMEOUT_MS }).identity();
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

/** What a list of nodes is checked against. Without a pinned hash the server that sent it vouches for itself. */
export interface ParticipantsTrust extends Trust {
  /** Chain the list must come from. */
  readonly chainId?: string | undefined;
  /**
   * `required` refuses a list without a proof that holds; `none` takes the server's word and does not read what would
   * prove it. Default `as-offered`: a proof that is there must hold.
   */
  readonly proof?: "required" | "as-offered" | "none" | undefined;
}

interface ParticipantsList {
  readonly participants: readonly Participant[];
  readonly excluded: readonly ExcludedParticipant[];
  readonly epochId: bigint;
  readonly label: ProofLabel;
  readonly reasons: readonly string[];
  /** When the network made the block that proves the list, milliseconds since 1970. An old proof is still a true one. */
  readonly provenAtMs?: number | undefined;
}

const PAGE_SIZE = 100;

/** No network has more validators than this; a source that says so is not to be followed. */
const MAX_PAGES = 20;

/**
 * Reads the participants of the current epoch and checks their proof as far as the source offers one: the commit and the
 * validators come from its chain RPC, which is often switched off. Throws `discovery_failed`, `proof_invalid`.
 */
export async function readParticipants(node: NodeClient, trust: ParticipantsTrust = {}): Promise<ParticipantsList> {
  const { chainId, proof = "as-offered", ...pinned } = trust;
  const { json } = await node.read("/v1/epochs/current/participants").catch((error: unknown) => {
    if (!ZephError.is(error) || error.code !== "bad_response") throw error;
    throw new ZephError("discovery_failed", { detail: error.detail ?? error.summary, cause: error });
  });
  const response = proof === "none" ? withoutProof(json) : json;
  const height = headerHeight(response);
  const [commit, validators] =
    height === undefined
      ? [undefined, undefined]
      : await Promise.all([
          ifTold(node.read(`/chain-rpc/commit?height=${height}`)).then((document) => document?.json),
          readValidators(node, height),
        ]);
  const list = verifyParticipants({
    response,
    commit,
    validators,
    chainId: proof === "none" ? undefined : chainId,
    trust: pinned,
  });
  if (proof === "required" && list.label === "unverified") {
    throw new ZephError("proof_invalid", {
      detail: "the source offers no proof, and one is required",
      hint: "Ask another source; without gonka_verify_proof (GONKA_VERIFY_PROOF) this one's word is taken.",
    });
  }
  const unchecked = proof === "none" && chainId !== undefined;
  return {
    ...list,
    provenAtMs: list.evidence?.headerTimeMs,
    reasons: unchecked
      ? [...list.reasons, `Whether it is of the chain ${chainId} was not checked, as no proof is wanted.`]
      : list.reasons,
  };
}

function withoutProof(answer: unknown): unknown {
  if (typeof answer !== "object" || answer === null || Array.isArray(answer)) return answer;
  return { ...answer, proof_ops: undefined, block: undefined };
}

/** All pages of the validator set, or undefined when the chain RPC does not give them. */
async function readValidators(node: NodeClient, height: string): Promise<unknown> {
  const pages: unknown[] = [];
  let seen = 0;
  for (let page = 1; page <= MAX_PAGES; page += 1) {
    const found = await ifTold(node.read(`/chain-rpc/validators?height=${height}&page=${page}&per_page=${PAGE_SIZE}`));
    if (found === undefined) return undefined;
    pages.push(found.json);
    const { count, total } = pageSize(found.json);
    seen += count;
    if (count === 0 || seen >= total) return pages;
  }
  return undefined;
}

/** What a source may have switched off, or drops, or is slow with: without it what is found is worth less, no more. */
async function ifTold<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (ZephError.is(error)) return undefined;
    throw error;
  }
}

function headerHeight(response: unknown): string | undefined {
  const height = dig(response, ["block", "header", "height"]);
  const text = typeof height === "number" || typeof height === "string" ? String(height) : "";
  return /^\d{1,18}$/.test(text) ? text : undefined;
}

function pageSize(document: unknown): { readonly count: number; readonly total: number } {
  const result = dig(document, ["result"]) ?? document;
  const list = dig(result, ["validators"]);
  const total = Number(dig(result, ["total"]));
  return { count: Array.isArray(list) ? list.length : 0, total: Number.isFinite(total) ? total : 0 };
}

function dig(value: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (inner, name) => (typeof inner === "object" && inner !== null ? Reflect.get(inner, name) : undefined),
    value,
  );
}

/** What a list of nodes tells about its proof. */
interface ProvenList {
  readonly provenAtMs?: number | undefined;
}

/** How old the block is that proves a list, as an aside such as `, from a block 3 h old`; empty without a proof. */
export function proofAge({ provenAtMs }: ProvenList, nowMs: number): string {
  return provenAtMs === undefined ? "" : `, from a block ${ageWords(Math.max(0, nowMs - provenAtMs))} old`;
}

/** The time of that block for `--json`. */
export function provenAt({ provenAtMs }: ProvenList): string | null {
  return provenAtMs === undefined ? null : new Date(provenAtMs).toISOString();
}

function ageWords(ageMs: number): string {
  const minutes = Math.floor(ageMs / 60_000);
  if (minutes < 2) return `${Math.floor(ageMs / 1000)} s`;
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h` : `${Math.floor(hours / 24)} days`;
}
