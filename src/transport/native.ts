import { type Clock, type NanosClock, nanosClock, once, systemClock, untilAborted } from "../base/time.ts";
import type { FetchFunction } from "../base/world.ts";
import { ZephError } from "../errors.ts";
import type { Discovery } from "../network/discovery.ts";
import { blockTime, nodeClient, versionGate } from "../network/node.ts";
import { mediaParts } from "../rules/parameters.ts";
import { DEFAULT_PREFIX, type Endpoint, normalizeBaseURL, parseAddress, parsePrefix } from "../wire/endpoint.ts";
import { readNativeRefusal } from "../wire/refusals.ts";
import { isRead, type OutgoingRequest } from "./body.ts";
import { connectionDefaults, type NativeConnection, type NodeAddress, type Nodes, openSigner } from "./connection.ts";
import type { FailoverOptions } from "./failover.ts";
import { EndpointPool } from "./policy.ts";
import { requireNodeSize, type Signing, sendSigned } from "./send.ts";

/**
 * Base URL of the native network for SDKs that want one: requests below it go to a node of the pool. The name can never
 * resolve (RFC 2606), so a request that misses the pool reaches nobody.
 */
export const NATIVE_BASE_URL = "https://gonka.invalid/v1";

/** Timestamps must never repeat for one key, however many connections sign with it: one source per clock and address. */
const sources = new WeakMap<Clock, Map<string, NanosClock>>();

export function nativeOptions(connection: NativeConnection): {
  readonly baseURL: string;
  readonly options: FailoverOptions;
} {
  const common = connectionDefaults(connection);
  const prefix = parsePrefix(connection.signer?.prefix ?? connection.prefix ?? DEFAULT_PREFIX);
  const named = connection.endpoints === undefined ? undefined : readNodes(connection.endpoints, prefix);
  const pool = new EndpointPool(named ?? [], connection.order === undefined ? {} : { order: connection.order });
  const signing = openSigning(connection);
  const checkContent = nodeContentCheck(common.fetch, common.clock);
  const discover = named === undefined ? nodeList(connection, prefix) : undefined;
  let readLast: Nodes | undefined;
  return {
    baseURL: NATIVE_BASE_URL,
    options: {
      ...common,
      path: "native",
      needsDone: true,
      pool,
      send: sendSigned(signing.open, common.carry),
      readRefusal: readNativeRefusal,
      baseURLs: () => [NATIVE_BASE_URL, ...pool.status(0).map(({ endpoint }) => endpoint.baseURL)],
      async prepare(request, signal) {
        if (!isRead(request)) {
          requireNodeSize(request);
          // Opened here: the clock that belongs to its key must be known before the first attempt.
          await signing.open();
        }
        const nodes = await discover?.(signal);
        // A list that is remembered comes as the same object; it was read when it came first.
        if (nodes !== undefined && nodes !== readLast) pool.replace(readNodes(nodes, prefix));
        readLast = nodes;
        if (!isRead(request)) {
          const endpoints = pool.status(common.clock.nowMs()).map(({ endpoint }) => endpoint);
          await checkContent(request, endpoints, signal);
        }
      },
      admit: versionGate(common.fetch, common.clock),
      readNodeTime: blockTime(common.fetch, common.clock),
      correctClock: (serverNowMs) => signing.nanos()?.correct(serverNowMs),
      signingOffsetMs: () => signing.nanos()?.offsetMs ?? 0,
    },
  };
}

/** The signer with its clock, made at the first signed request: the crypto is not loaded before. */
function openSigning(connection: NativeConnection) {
  let nanos: NanosClock | undefined;
  async function make(): Promise<Signing> {
    const { signer, privateKey, prefix } = connection;
    const opened = signer ?? (await openSigner(privateKey, prefix === undefined ? {} : { prefix }));
    nanos = sharedNanos(opened.address, connection);
    return { signer: opened, nanos };
  }
  return {
    open: once(make),
    nanos: () => nanos,
  };
}

/** Discovery reads proofs, which takes much code; it is loaded when a connection names a source, and used then. */
function nodeList(
  { sourceUrl, discover, fetch, clock, random }: NativeConnection,
  prefix: string,
): NativeConnection["discover"] {
  if (sourceUrl === undefined) return discover;
  const options = {
    sourceUrl,
    prefix,
    ...(fetch === undefined ? {} : { fetch }),
    ...(clock === undefined ? {} : { clock }),
    ...(random === undefined ? {} : { random }),
  };
  return endpointSource({
    discover: async () => (await import("../network/discovery.ts")).discoverEndpoints(options),
    ...(clock === undefined ? {} : { clock }),
  });
}

/** Chance is injected only together with the clock: what keeps two processes apart must not be fixed by accident. */
function sharedNanos(address: string, { clock, random }: Pick<NativeConnection, "clock" | "random">): NanosClock {
  if (clock === undefined) return sharedNanos(address, { clock: systemClock });
  const byAddress = sources.get(clock) ?? new Map<string, NanosClock>();
  sources.set(clock, byAddress);
  const nanos = byAddress.get(address) ?? nanosClock(clock, random);
  byAddress.set(address, nanos);
  return nanos;
}

/**
 * The nodes that a caller names, in the one form used everywhere. Throws `wrong_url`, and `invalid_address` for a node
 * whose address is missing or none of this network; for a discovery also `native_closed` and `no_endpoints`.
 */
function readNodes(nodes: Nodes, prefix: string): readonly Endpoint[] {
  const list = "endpoints" in nodes ? usableEndpoints(nodes) : nodes;
  // A node named twice is one node: it must not be asked a second time for what it refused.
  return [...new Map(list.map((node) => readNodeAddress(node, prefix)).map((node) => [toKey(node), node])).values()];
}

function toKey({ baseURL, address }: Endpoint): string {
  return `${baseURL} ${address}`;
}

function readNodeAddress(node: Endpoint | NodeAddress, prefix: string): Endpoint {
  const { url, address = "", name, ...rest }: Partial<Endpoint & NodeAddress> = node;
  const baseURL = normalizeBaseURL(url ?? rest.baseURL ?? "");
  try {
    return { baseURL, address: parseAddress(address, { prefix }), ...(name === undefined ? {} : { name }) };
  } catch (error) {
    if (!ZephError.is(error) || error.code !== "invalid_address") throw error;
    throw new ZephError("invalid_address", { detail: `node ${new URL(baseURL).host}: ${error.detail}` });
  }
}

/** What a discovery left behind, in a form that can be kept in a file. */
export interface CachedEndpoints {
  readonly readAtMs: number;
  readonly endpoints: readonly Endpoint[];
  /** The epoch they are of, in digits, where it is known. */
  readonly epochId?: string | undefined;
}

/** Keeps the last discovery between processes. Both functions may fail silently: a cache is a convenience. */
export interface EndpointCache {
  load(): Promise<CachedEndpoints | undefined>;
  save(cached: CachedEndpoints): Promise<void>;
}

export interface EndpointSourceOptions {
  readonly discover: () => Promise<Discovery>;
  readonly cache?: EndpointCache;
  /** How long a list counts as fresh. Default 5 minutes: nodes limit these reads to 10 a minute. */
  readonly ttlMs?: number;
  readonly clock?: Clock;
  /** Told when an old list is used because the source cannot be read. */
  readonly onStale?: (ageMs: number, error: ZephError) => void;
}

const DEFAULT_TTL_MS = 5 * 60_000;

/** Epochs last about a day; an older list names nodes that may be gone. */
const MAX_STALE_MS = 24 * 3_600_000;

/**
 * A list of nodes that keeps itself fresh on use: cached, shared by requests that ask at once, and used beyond its time
 * when the source fails. Throws `native_closed` when the network has retired signed requests, `no_endpoints` when it has
 * no usable node.
 */
export function endpointSource(options: EndpointSourceOptions): (signal: AbortSignal) => Promise<readonly Endpoint[]> {
  const { clock = systemClock, ttlMs = DEFAULT_TTL_MS } = options;
  let cached: CachedEndpoints | undefined;
  let refreshing: Promise<readonly Endpoint[]> | undefined;

  /** What was found before, while it may still be used. */
  const known = () => (cached !== undefined && clock.nowMs() - cached.readAtMs <= MAX_STALE_MS ? cached : undefined);

  function useKnown({ readAtMs, endpoints, epochId }: CachedEndpoints, listed: bigint | undefined) {
    const detail = `the list is of epoch ${listed}, and epoch ${epochId} is known already`;
    options.onStale?.(clock.nowMs() - readAtMs, new ZephError("proof_invalid", { detail }));
    return endpoints;
  }

  async function refresh(): Promise<readonly Endpoint[]> {
    cached ??= await options.cache?.load();
    const fresh = freshEndpoints(cached, clock.nowMs(), ttlMs);
    if (fresh !== undefined) return fresh;
    try {
      const discovery = await options.discover();
      const endpoints = usableEndpoints(discovery);
      const newer = newerThan(discovery.epochId, known());
      if (newer !== undefined) return useKnown(newer, discovery.epochId);
      cached = { endpoints, readAtMs: clock.nowMs(), epochId: discovery.epochId?.toString() };
      await options.cache?.save(cached);
      return endpoints;
    } catch (error) {
      const ageMs = clock.nowMs() - (cached?.readAtMs ?? Number.NEGATIVE_INFINITY);
      if (!ZephError.is(error) || !error.retryable || cached === undefined || ageMs > MAX_STALE_MS) throw error;
      options.onStale?.(ageMs, error);
      return cached.endpoints;
    }
  }
  return async (signal) => {
    const fresh = freshEndpoints(cached, clock.nowMs(), ttlMs);
    if (fresh !== undefined) return fresh;
    refreshing ??= refresh().finally(() => {
      refreshing = undefined;
    });
    return untilAborted(refreshing, signal);
  };
}

/** A source that falls behind what it said itself, or is another one now, must not bring an old epoch back. */
function newerThan(epochId: bigint | undefined, known: CachedEndpoints | undefined): CachedEndpoints | undefined {
  const isOlder = epochId !== undefined && known?.epochId !== undefined && epochId < BigInt(known.epochId);
  return isOlder ? known : undefined;
}

function freshEndpoints(cached: CachedEndpoints | undefined, nowMs: number, ttlMs: number) {
  if (cached === undefined || cached.endpoints.length === 0) return undefined;
  const ageMs = nowMs - cached.readAtMs;
  // A negative age is a clock that was set back: nothing can be said about freshness then.
  return ageMs >= 0 && ageMs < ttlMs ? cached.endpoints : undefined;
}

/** The nodes of a discovery; throws where there is none to use. */
function usableEndpoints({ endpoints, retired, apiVersionText, skipped }: Discovery): readonly Endpoint[] {
  if (retired) {
    throw new ZephError("native_closed", {
      detail: `the network runs ${apiVersionText ?? "a newer version"}; nothing was sent`,
    });
  }
  if (endpoints.length === 0) {
    const reasons = skipped.slice(0, 3).map(({ address, reason }) => `${address}: ${reason}`);
    throw new ZephError("no_endpoints", {
      detail: reasons.length === 0 ? "the network lists none" : reasons.join("; "),
    });
  }
  return endpoints;
}

/** Most requests hold none of these words, and are not parsed. */
const MAY_HOLD_MEDIA = /"type"\s*:\s*"[^"]*(?:image|video|audio|file|document|media)/i;

/** What a model takes changes with an epoch at most. */
const LIST_TTL_MS = 10 * 60_000;
const LIST_TIMEOUT_MS = 4_000;

/** So many nodes are asked, one after the other, before the request goes out without the list's word. */
const MAX_ASKED = 3;

/**
 * Keeps images, sound and files away from models that do not take them, before anything is signed: throws
 * `unsupported_capability` where the network's model list (`input_modalities` of `GET /v1/models`) leaves the kind out. Nodes
 * themselves take content parts of any type (gonka-ai/gonka decentralized-api/completionapi/request_validation.go,
 * v0.2.13) and charge for the model server's refusal. A list that does not tell, or cannot be read, keeps nothing back.
 */
function nodeContentCheck(fetch: FetchFunction, clock: Clock) {
  let list: { readonly models: ReadonlyMap<string, readonly string[]>; readonly readAtMs: number } | undefined;

  async function modalitiesOf(model: string, endpoints: readonly Endpoint[], signal: AbortSignal) {
    if (list === undefined || clock.nowMs() - list.readAtMs > LIST_TTL_MS) {
      const models = await readModalities(endpoints.slice(0, MAX_ASKED), { fetch, clock, signal });
      if (models === undefined) return [];
      list = { models, readAtMs: clock.nowMs() };
    }
    return list.models.get(model) ?? [];
  }

  return async (
    { path, body }: Pick<OutgoingRequest, "path" | "body">,
    endpoints: readonly Endpoint[],
    signal: AbortSignal,
  ): Promise<void> => {
    if (body === undefined || !path.startsWith("/chat/completions")) return;
    const request = parseIfMedia(new TextDecoder().decode(body));
    const { model, parts } = mediaParts(request);
    if (model === undefined || parts.length === 0) return;
    const taken = await modalitiesOf(model, endpoints, signal);
    const refused = taken.length === 0 ? undefined : parts.find(({ modality }) => !taken.includes(modality));
    if (refused === undefined) return;
    throw new ZephError("unsupported_capability", {
      detail: `${refused.at}: ${refused.type}; the network lists ${model} as a model that takes ${taken.join(", ")} (input_modalities)`,
      hint: `Leave it out and describe it, or choose a model that takes ${refused.modality}: \`zeph gonka models\`.`,
    });
  };
}

function parseIfMedia(text: string): unknown {
  if (!MAY_HOLD_MEDIA.test(text)) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    // What is no JSON is the node's to refuse, in its own words.
    return undefined;
  }
}

async function readModalities(
  endpoints: readonly Endpoint[],
  reading: { readonly fetch: FetchFunction; readonly clock: Clock; readonly signal: AbortSignal },
): Promise<ReadonlyMap<string, readonly string[]> | undefined> {
  for (const { baseURL } of endpoints) {
    try {
      const models = await nodeClient(baseURL, { ...reading, timeoutMs: LIST_TIMEOUT_MS }).nodeModels();
      return new Map(models.map(({ id, inputModalities }) => [id, inputModalities]));
    } catch (thrown) {
      if (reading.signal.aborted || !ZephError.is(thrown)) throw thrown;
      // The next one may tell; the request itself will say what is wrong with this one.
    }
  }
  return undefined;
}
