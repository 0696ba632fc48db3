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
  parseBalance,
  parseChainParams,
  parseChainStatus,
  parseLatestEpoch,
  parseNetworkPricing,
  parseVersions,
} from "../wire/documents.ts";
import { type Endpoint, endpointLabel } from "../wire/endpoint.ts";
import { type Model, type NodeModel, parseModels, parseNodeModels } from "../wire/models.ts";
import { parseErrorBody, readNetworkFailure } from "../wire/refusals.ts";

export interface ReadNodeOptions {
  readonly fetch: FetchFunction;
  readonly clock: Clock;
  /** For headers and body together, milliseconds. Default 10 000. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
}

/** A document read from a node, and what the reading itself told. */
interface NodeDocument {
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
async function readNode(
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

/** The parameters that decide who may ask and who may answer. */
export interface ChainFacts {
  readonly params: ChainParams;
  readonly developers: DeveloperAccess;
  /** False where the chain API is switched off, which says nothing against the network. */
  readonly told: boolean;
}

export type NodeClient = ReturnType<typeof nodeClient>;

/**
 * Everything that is read of one node, nothing signed. What a node may leave out is `undefined` where it does; otherwise all
 * throw what {@link readNode} throws.
 *
 * @param url in any form: with or without `/v1`, or of its chain's REST interface (`…/chain-api`)
 */
export function nodeClient(url: string, reading: ReadNodeOptions) {
  const root = nodeRoot(url);
  const read = (path: string): Promise<NodeDocument> => readNode(`${root}${path}`, reading);
  const offered = (path: string): Promise<NodeDocument | undefined> => read(path).catch(unlessBad);

  return {
    /** Its address without `/v1`. */
    root,
    /** Any other document, by its path from the root. */
    read,
    /** Undefined when it answers but tells no version: older nodes have no such route. */
    versions: (): Promise<NodeVersions | undefined> =>
      read("/v1/versions")
        .then(({ json }) => parseVersions(json))
        .catch(unlessBad),
    /** As it came: the prefix of its address is the reader's to know. Nodes before v0.2.6 have no such route (404). */
    identity: () => read("/v1/identity"),
    /** Errors are those of a request to the node. */
    models: async (): Promise<readonly Model[]> => parseModels((await read("/v1/models").catch(named)).json),
    /** The same list with what nodes add of their own. Errors as of {@link models}. */
    nodeModels: async (): Promise<readonly NodeModel[]> =>
      parseNodeModels((await read("/v1/models").catch(named)).json),
    /** Prices of the network that follow demand, else the fixed ones. */
    async pricing(): Promise<NetworkPricing | undefined> {
      const document = (await offered("/v1/governance/pricing")) ?? (await offered("/v1/pricing"));
      return document && parseNetworkPricing(document.json);
    },
    /** From `GET /v2/accounts/{address}`, or `GET /v1/participants/{address}` before v0.2.12. */
    async account(address: string): Promise<AccountState> {
      try {
        const { json } = await read(`/v2/accounts/${address}`).catch((error: unknown) => {
          if (isAbsentRoute(error)) return read(`/v1/participants/${address}`);
          throw error;
        });
        const account = parseAccount(json);
        return account.publicKey === undefined ? { kind: "no-public-key" } : { kind: "ready", account };
      } catch (error) {
        if (!ZephError.is(error) || error.status !== 404) throw error;
        return { kind: /no public key/i.test(error.detail ?? "") ? "no-public-key" : "not-found" };
      }
    },
    /** By the chain's own word, where its interface is not switched off: also of accounts without a key. */
    async balance(address: string): Promise<bigint | undefined> {
      const document = await offered(`/chain-api/cosmos/bank/v1beta1/balances/${address}`);
      return document && parseBalance(document.json);
    },
    async chainFacts(): Promise<ChainFacts> {
      const document = await offered("/chain-api/productscience/inference/inference/params");
      if (document === undefined)
        return { params: DEFAULT_CHAIN_PARAMS, developers: parseDeveloperAccess({}), told: false };
      return { params: parseChainParams(document.json), developers: parseDeveloperAccess(document.json), told: true };
    },
    /** The chain's latest block, and the server's own time; undefined where the RPC is switched off. */
    async status(): Promise<(ChainStatus & { readonly serverDateMs: number | undefined }) | undefined> {
      const document = await offered("/chain-rpc/status");
      return document && { ...parseChainStatus(document.json), serverDateMs: document.serverDateMs };
    },
    async epoch(): Promise<LatestEpoch | undefined> {
      const document = await offered("/v1/epochs/latest");
      return document && parseLatestEpoch(document.json);
    },
  };
}

/** A node's address without `/v1` and `/chain-api`. Throws `wrong_url`. */
export function nodeRoot(url: string): string {
  const text = url
    .trim()
    .replace(/\/+$/, "")
    .replace(/(?:\/v1|\/chain-api)+$/, "");
  if (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)) return text;
  throw new ZephError("wrong_url", { detail: "not an address of a node" });
}

/** For what a node does not offer; one that cannot be reached is an error all the same. */
function unlessBad(error: unknown): undefined {
  if (!ZephError.is(error) || error.code !== "bad_response") throw error;
}

function named(error: unknown): never {
  throw nameNodeError(error);
}

/** A 404 that speaks of the account is an answer; one that speaks of the route sends us to the next. */
function isAbsentRoute(error: unknown): boolean {
  return ZephError.is(error) && error.status === 404 && !/account/i.test(error.detail?.split("404 ")[1] ?? "");
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
      const node = nodeClient(baseURL, { fetch, clock, signal, timeoutMs: STATUS_TIMEOUT_MS });
      return (await node.status())?.latestBlockTimeMs;
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
      // Shared by the requests that wait for it, so it follows no single caller's signal. No readable answer says nothing
      // about signed requests: older nodes have no such route.
      const node = nodeClient(endpoint.baseURL, { fetch, clock, timeoutMs: VERSION_TIMEOUT_MS });
      entry = { versions: node.versions().catch(() => undefined), readAtMs: clock.nowMs() };
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
