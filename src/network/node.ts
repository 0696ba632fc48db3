import { jsonFault, parseExactJson, readBoundedText } from "../base/json.ts";
import { redactUrl, scrub } from "../base/secret.ts";
import { type Clock, deadlineSignal, untilAborted } from "../base/time.ts";
import type { FetchFunction } from "../base/world.ts";
import { ZephError, type ZephErrorCode } from "../errors.ts";
import {
  type Account,
  type ChainParams,
  type ChainStatus,
  DEFAULT_CHAIN_PARAMS,
  isClassicInferenceRetired,
  type LatestEpoch,
  type NetworkPricing,
  type NodeVersions,
  parseAccount,
  parseChainParams,
  parseChainStatus,
  parseLatestEpoch,
  parseNetworkPricing,
  parseVersions,
} from "../wire/documents.ts";
import { type Endpoint, endpointLabel } from "../wire/endpoint.ts";
import { type Model, parseModels } from "../wire/models.ts";
import { parseErrorBody, readNetworkFailure } from "../wire/refusals.ts";

export interface ReadNodeOptions {
  readonly fetch: FetchFunction;
  readonly clock: Clock;
  /** For headers and body together, milliseconds. Default 10 000. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
}

/** A document read from a node, and what the reading itself told. */
export interface NodeDocument {
  readonly json: unknown;
  /** The node's `Date` header, milliseconds since the epoch. */
  readonly serverDateMs: number | undefined;
  readonly latencyMs: number;
}

/** Participants with proofs of a large network stay far below this. */
const MAX_DOCUMENT_BYTES = 32 * 1024 * 1024;

/**
 * Reads a public document of a node with GET: no key, no signature, no retry, no redirect. Throws `unreachable`,
 * `timeout_headers`, `bad_response` (not JSON, or not 2xx; the status is in `error.status`).
 */
export async function readNode(
  url: string,
  { fetch, clock, timeoutMs = 10_000, signal }: ReadNodeOptions,
): Promise<NodeDocument> {
  const startedAtMs = clock.nowMs();
  const deadline = deadlineSignal(clock, signal);
  deadline.arm("timeout_headers", timeoutMs);
  try {
    const response = await fetch(url, { redirect: "manual", signal: deadline.signal });
    const latencyMs = clock.nowMs() - startedAtMs;
    const text = await readBoundedText(response.body, MAX_DOCUMENT_BYTES);
    if (!response.ok) throw refused(url, response, text);
    const date = Date.parse(response.headers.get("date") ?? "");
    return { json: parseJson(url, text), serverDateMs: Number.isNaN(date) ? undefined : date, latencyMs };
  } catch (thrown) {
    if (signal?.aborted === true) throw signal.reason;
    if (deadline.signal.aborted) throw deadline.signal.reason;
    if (ZephError.is(thrown)) throw thrown;
    const { error } = readNetworkFailure(thrown);
    throw error.with({ detail: `${new URL(url).host}: ${error.detail ?? "no answer"}`, cause: thrown });
  } finally {
    deadline.release();
  }
}

function refused(url: string, response: Response, text: string): ZephError {
  const { message } = parseErrorBody(text, response.headers.get("content-type") ?? "");
  const detail = `${redactUrl(url)} answers ${response.status} ${scrub(message)}`.trim();
  return new ZephError("bad_response", { detail, status: response.status });
}

function parseJson(url: string, text: string): unknown {
  try {
    // Nodes write balances and heights as bare numbers, which JSON.parse rounds above 2^53.
    return parseExactJson(text);
  } catch (cause) {
    throw new ZephError("bad_response", {
      detail: `${redactUrl(url)} ${jsonFault(ZephError.is(cause) ? cause.cause : cause)}`,
      status: 200,
      cause,
    });
  }
}

/** What a network knows of an address. */
export type AccountState =
  | { readonly kind: "ready"; readonly account: Account }
  /** It exists but has published no key: nodes cannot check its signatures. */
  | { readonly kind: "no-public-key" }
  | { readonly kind: "not-found" };

/**
 * Reads an account from a node: `GET /v2/accounts/{address}`, or `GET /v1/participants/{address}` before v0.2.12.
 * @param source base URL of a node, ending in `/v1`
 */
export async function readAccount(source: string, address: string, reading: ReadNodeOptions): Promise<AccountState> {
  const root = source.slice(0, -"/v1".length);
  try {
    return toState(await readFirst([`${root}/v2/accounts/${address}`, `${source}/participants/${address}`], reading));
  } catch (error) {
    if (!ZephError.is(error) || error.status !== 404) throw error;
    return { kind: /no public key/i.test(error.detail ?? "") ? "no-public-key" : "not-found" };
  }
}

function toState(json: unknown): AccountState {
  const account = parseAccount(json);
  return account.publicKey === undefined ? { kind: "no-public-key" } : { kind: "ready", account };
}

/** A 404 that speaks of the account is an answer; one that speaks of the route sends us to the next. */
async function readFirst(urls: readonly string[], reading: ReadNodeOptions): Promise<unknown> {
  for (const [index, url] of urls.entries()) {
    try {
      return (await readNode(url, reading)).json;
    } catch (error) {
      const isLast = index === urls.length - 1;
      const isRouteMissing =
        ZephError.is(error) && error.status === 404 && !/account/i.test(error.detail?.split("404 ")[1] ?? "");
      if (isLast || !isRouteMissing) throw error;
    }
  }
  throw new ZephError("internal", { detail: "no address to read" });
}

/**
 * Prices of a network that follow demand, else the fixed ones; undefined where neither is offered.
 * @param source base URL of a node, ending in `/v1`
 */
export async function readPricing(source: string, reading: ReadNodeOptions): Promise<NetworkPricing | undefined> {
  const document =
    (await readIfOffered(`${source}/governance/pricing`, reading)) ??
    (await readIfOffered(`${source}/pricing`, reading));
  return document === undefined ? undefined : parseNetworkPricing(document.json);
}

/** Undefined for what this node does not offer; an unreachable one is an error all the same. */
async function readIfOffered(url: string, reading: ReadNodeOptions): Promise<NodeDocument | undefined> {
  try {
    return await readNode(url, reading);
  } catch (error) {
    if (ZephError.is(error) && error.code === "bad_response") return undefined;
    throw error;
  }
}

/** A request waits for the answer; nodes that have one give it at once. */
const STATUS_TIMEOUT_MS = 3_000;

/**
 * Reads the time of a node's latest block, milliseconds since 1970, from `GET /chain-rpc/status`: what the node compares
 * timestamps with. Undefined when its chain RPC is switched off.
 */
export function blockTime(
  fetch: FetchFunction,
  clock: Clock,
): (endpoint: Endpoint, signal: AbortSignal) => Promise<number | undefined> {
  return async ({ baseURL }, signal) => {
    try {
      const url = `${baseURL.slice(0, -"/v1".length)}/chain-rpc/status`;
      const { json } = await readNode(url, { fetch, clock, signal, timeoutMs: STATUS_TIMEOUT_MS });
      return parseChainStatus(json).latestBlockTimeMs;
    } catch (thrown) {
      if (signal.aborted) throw thrown;
      // The refusal itself is the error then.
      return undefined;
    }
  };
}

/** How long a node's version is believed. */
const VERSION_TTL_MS = 10 * 60_000;

/** A node that does not tell its version quickly is asked by the request itself. */
const VERSION_TIMEOUT_MS = 3_000;

/**
 * Keeps prompts away from nodes that would only answer 410: asks `GET /v1/versions` once in a while and throws
 * `native_closed` from v0.2.14 on. A node that does not tell is admitted; its own answer then decides.
 */
export function versionGate(
  fetch: FetchFunction,
  clock: Clock,
): (endpoint: Endpoint, signal: AbortSignal) => Promise<void> {
  const known = new Map<string, { readonly versions: Promise<NodeVersions | undefined>; readonly readAtMs: number }>();
  return async (endpoint, signal) => {
    let entry = known.get(endpoint.baseURL);
    if (entry === undefined || clock.nowMs() - entry.readAtMs > VERSION_TTL_MS) {
      entry = { versions: readVersions(endpoint.baseURL, fetch, clock), readAtMs: clock.nowMs() };
      // Networks change their nodes; those that are gone are asked for no more.
      for (const [baseURL, { readAtMs }] of known) if (clock.nowMs() - readAtMs > VERSION_TTL_MS) known.delete(baseURL);
      known.set(endpoint.baseURL, entry);
    }
    const versions = await untilAborted(entry.versions, signal);
    if (!isClassicInferenceRetired(versions?.apiVersion)) return;
    throw new ZephError("native_closed", {
      detail: `${endpointLabel(endpoint)} runs ${versions?.apiVersionText ?? "a newer version"}; nothing was sent to it`,
    });
  };
}

/** Shared by the requests that wait for it, so it follows no single caller's signal. */
async function readVersions(baseURL: string, fetch: FetchFunction, clock: Clock): Promise<NodeVersions | undefined> {
  try {
    const { json } = await readNode(`${baseURL}/versions`, { fetch, clock, timeoutMs: VERSION_TIMEOUT_MS });
    return parseVersions(json);
  } catch {
    // No readable answer says nothing about signed requests: older nodes have no such route.
    return undefined;
  }
}

/** What a network says about itself. `source` is the base URL of a node, ending in `/v1`; nothing is signed. */
export interface ChainFacts {
  readonly params: ChainParams;
  readonly developers: DeveloperAccess;
  /** False where the chain API is switched off, which says nothing against the network. */
  readonly told: boolean;
}

/** The parameters that decide who may ask and who may answer. */
export async function readChainFacts(source: string, reading: ReadNodeOptions): Promise<ChainFacts> {
  const url = `${rootOf(source)}/chain-api/productscience/inference/inference/params`;
  const document = await readIfOffered(url, reading);
  if (document === undefined) {
    return { params: DEFAULT_CHAIN_PARAMS, developers: parseDeveloperAccess({}), told: false };
  }
  return { params: parseChainParams(document.json), developers: parseDeveloperAccess(document.json), told: true };
}

/** The chain's latest block, and the server's own time; undefined where the RPC is switched off. */
export async function readChainStatus(
  source: string,
  reading: ReadNodeOptions,
): Promise<(ChainStatus & { readonly serverDateMs: number | undefined }) | undefined> {
  const document = await readIfOffered(`${rootOf(source)}/chain-rpc/status`, reading);
  return document === undefined
    ? undefined
    : { ...parseChainStatus(document.json), serverDateMs: document.serverDateMs };
}

export async function readLatestEpoch(source: string, reading: ReadNodeOptions): Promise<LatestEpoch | undefined> {
  const document = await readIfOffered(`${source}/epochs/latest`, reading);
  return document === undefined ? undefined : parseLatestEpoch(document.json);
}

export async function readNodeModels(source: string, reading: ReadNodeOptions): Promise<readonly Model[]> {
  try {
    return parseModels((await readNode(`${source}/models`, reading)).json);
  } catch (error) {
    throw nameNodeError(error);
  }
}

/** A node's base URL without `/v1`. */
export function rootOf(source: string): string {
  return source.slice(0, -"/v1".length);
}

/** Whether only selected developers may ask at present. */
export interface DeveloperAccess {
  /** Until this block; 0 where everybody may. */
  readonly untilBlockHeight: bigint;
  readonly allowed: readonly string[];
}

/**
 * Reads `params.developer_access_params` of the chain's parameters (gonka-ai/gonka v0.2.7 on). Absent or unreadable
 * means open: the node's own refusal says the rest.
 */
function parseDeveloperAccess(json: unknown): DeveloperAccess {
  const access = field(field(json, "params"), "developer_access_params");
  const until = field(access, "until_block_height");
  const allowed = field(access, "allowed_developer_addresses");
  const text = typeof until === "number" || typeof until === "string" ? String(until) : "0";
  return {
    untilBlockHeight: /^\d{1,19}$/.test(text) ? BigInt(text) : 0n,
    allowed: Array.isArray(allowed) ? allowed.filter((each): each is string => typeof each === "string") : [],
  };
}

function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}

/** What a node's unfit answer to a read means for requests to it. */
export function nameNodeError(error: unknown): unknown {
  if (!ZephError.is(error) || error.code !== "bad_response") return error;
  const { status = 0, detail } = error;
  return new ZephError(codeOf(status, detail ?? ""), { status, ...(detail === undefined ? {} : { detail }) });
}

function codeOf(status: number, detail: string): ZephErrorCode {
  if (status === 200 && /is not JSON$/.test(detail)) return "wrong_url";
  if (status === 404 || status === 405) return "wrong_url";
  if (status === 410) return "native_closed";
  if (status === 401 && /API key/i.test(detail)) return "native_requires_api_key";
  if (status === 401 || status === 403) return "forbidden";
  if (status === 429) return "capacity_reached";
  if (status === 503) return "service_unavailable";
  return status >= 500 ? "upstream_error" : "bad_response";
}
