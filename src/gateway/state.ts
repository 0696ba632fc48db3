import { randomBytes, timingSafeEqual } from "node:crypto";
import type { HeaderView } from "../base/header-fields.ts";
import type { KeptTexts } from "../base/kept-texts.ts";
import { Secret } from "../base/secret.ts";
import { type Clock, systemClock } from "../base/time.ts";
import { brokerForBaseURL } from "../brokers/registry.ts";
import { ZephError } from "../errors.ts";
import { type SecretMask, secretMask } from "../provider/without-secrets.ts";
import { type ToolsMemory, toolsMemory } from "../rules/clean.ts";
import { NETWORK_LIMITS } from "../rules/parameters.ts";
import { exchangeByFetch, type Exchange as UpstreamExchange } from "../transport/exchange.ts";
import { type GonkaFetch, listModels } from "../transport/gonka-fetch.ts";
import type { Answer } from "./answer.ts";
import { type ResponsesOptions, responseMemory } from "./dialects/responses.ts";
import type { Exchange, ExchangeRecord, GatewayRequest } from "./exchange.ts";
import { type GatewayMetrics, gatewayMetrics } from "./metrics.ts";

/** What all requests of one gateway share. */
export interface GatewayState {
  readonly options: LocalGatewayOptions;
  readonly clock: Clock;
  readonly heartbeatMs: number;
  readonly maxBodyBytes: number;
  readonly checkKey: KeyCheck;
  readonly checkHost: HostCheck;
  readonly origins: OriginCheck;
  readonly checkEmbeddings: EmbeddingCheck;
  /** Kinds of tools besides functions that the broker serves before the network sees the request. */
  readonly keepToolType: (type: string) => boolean;
  /** What became of tools that callers bring again and again. */
  readonly toolsMemory: ToolsMemory;
  /** What the other APIs share: kept responses, time and ids, tools of the broker. */
  readonly dialects: ResponsesOptions;
  /** The way to the upstream. */
  readonly exchange: UpstreamExchange;
  /** Takes the user's own secrets out of what is sent. */
  readonly mask: SecretMask;
  readonly metrics: GatewayMetrics;
  readonly onEnd: (record: ExchangeRecord) => void;
  readonly held: { bytes: number };
  draining: boolean;
  inFlight: number;
}

/** What a route needs: the shared state, and the one request. */
export interface RouteContext {
  readonly state: GatewayState;
  readonly exchange: Exchange;
  readonly request: GatewayRequest;
}

/** Lists of tools: one for each agent that is at work. */
const MAX_REMEMBERED_TOOLS = 64;

const DEFAULT_HEARTBEAT_MS = 10_000;

export function gatewayState(options: LocalGatewayOptions): GatewayState {
  const metrics = gatewayMetrics(options.providerName ?? "gonka", configuredModels(options));
  const { upstream } = options;
  const clock = options.clock ?? systemClock;
  const keepToolType = toolTypesOf(upstream.baseURL);
  const state: GatewayState = {
    options,
    clock,
    heartbeatMs: options.heartbeatMs ?? DEFAULT_HEARTBEAT_MS,
    maxBodyBytes: options.maxBodyBytes ?? NETWORK_LIMITS.maxBodyBytes,
    checkKey: keyCheck(options.key),
    checkHost: hostCheck(options.allowedHosts),
    origins: originCheck(options.allowedOrigins),
    checkEmbeddings: embeddingCheck(upstream, clock),
    keepToolType,
    toolsMemory: toolsMemory(MAX_REMEMBERED_TOOLS),
    dialects: {
      memory: responseMemory(),
      stamps: { nowMs: () => clock.nowMs(), newId: () => randomBytes(18).toString("hex") },
      keepsToolType: keepToolType,
    },
    exchange: upstream.core?.exchange ?? exchangeByFetch(upstream, upstream.baseURL),
    mask: secretMask(options.secrets ?? []),
    metrics,
    onEnd(record) {
      state.inFlight -= 1;
      metrics.ended(record);
      options.onRequest?.(record);
    },
    held: { bytes: 0 },
    draining: false,
    inFlight: 0,
  };
  return state;
}

function configuredModels({
  defaultModel,
  defaultEmbeddingModel,
  aliases = {},
}: LocalGatewayOptions): readonly string[] {
  return [defaultModel, defaultEmbeddingModel, ...Object.values(aliases)].filter((model) => model !== undefined);
}

/** GonkaGate has tools of its own (`gonkagate:web_search` …). */
function toolTypesOf(baseURL: string): (type: string) => boolean {
  const id = brokerForBaseURL(baseURL)?.id;
  return (type) => id !== undefined && type.startsWith(`${id}:`);
}

export interface LocalGatewayOptions {
  /** Where requests go: a connection made by `gonkaFetch`, an opened provider's, or a chain of several. */
  readonly upstream: GonkaFetch;
  /** What callers must send as Bearer key or `x-api-key`. `none` lets everybody in: for loopback only. */
  readonly key: Secret | string | "none";
  /** Name of the provider in logs and metrics. Default `gonka`. */
  readonly providerName?: string;
  /** Host names to answer to besides this computer's loopback names, without port. `*` turns the check off. */
  readonly allowedHosts?: readonly string[];
  /** Web origins whose pages may call, such as `http://localhost:3000`. Default none: CORS is off. */
  readonly allowedOrigins?: readonly string[];
  /** Names that callers may use for models, and what they stand for. `claude-*` stands for every name that begins so. */
  readonly aliases?: Readonly<Record<string, string>>;
  /** Used when a request names no model. */
  readonly defaultModel?: string;
  /** Used when a request for embeddings names no model. */
  readonly defaultEmbeddingModel?: string;
  /** `network` (default) makes requests fit the network's published rules; `none` sends them as they are. */
  readonly cleanUp?: "network" | "none";
  /** How the upstream is reached: nodes are stricter about messages than brokers. Default `broker`. */
  readonly access?: "broker" | "native";
  /**
   * `always-stream` asks the upstream for a stream also when the caller did not, and puts the answer together: brokers
   * give up on answers whose first byte takes over 100 s. Default `as-asked`.
   */
  readonly upstreamMode?: "as-asked" | "always-stream";
  /** Silence of a stream after which a comment line is sent. Default 10 000; more than 15 000 makes clients give up. */
  readonly heartbeatMs?: number;
  /** Largest request body taken, bytes. Default 10 MiB, the network's own limit. */
  readonly maxBodyBytes?: number;
  /** Never sent on: where one of these stands in a request, `[redacted]` goes out in its place. */
  readonly secrets?: readonly Secret[];
  /**
   * Called before anything leaves that may cost money, at most a few times for one request. What it throws is the answer:
   * `budget_reached`, as a rule.
   */
  readonly checkBudget?: (asked: AskedUpstream) => Promise<void>;
  /** Where answers of the Responses API are kept for those that refer to them. Default the memory of this process. */
  readonly responses?: KeptTexts;
  /** Adds the numbers of other processes to those of `/metrics`, in Prometheus' text form. */
  readonly sumMetrics?: (own: string) => Promise<string>;
  /** Called with every request; the record fills up while it is worked on. What it gives is answered in its place. */
  readonly onOpen?: (record: ExchangeRecord, request: GatewayRequest) => GatewayRequest | undefined;
  /** Called when a request has ended: for a log. The record holds no body and no secret. */
  readonly onRequest?: (record: ExchangeRecord) => void;
  readonly clock?: Clock;
}

/** What is about to be sent, as far as its cost depends on it. */
export interface AskedUpstream {
  /** The same as in the record that follows when the request has ended. */
  readonly requestId: string;
  readonly model: string | undefined;
  /** JSON, as it is sent. */
  readonly body: string;
}

/** Throws `unsupported_capability` unless the upstream lists the model as one for embeddings. */
type EmbeddingCheck = (model: string, signal: AbortSignal) => Promise<void>;

/** Models come and go within weeks, not within minutes. */
const REMEMBERED_MS = 300_000;

/**
 * Asks the live list before the first request for a model, so that nothing is sent, and paid for, where it cannot work.
 * An upstream that gives no list decides for itself.
 */
function embeddingCheck(upstream: GonkaFetch, clock: Clock): EmbeddingCheck {
  let known: { readonly ids: readonly string[]; readonly readAtMs: number } | undefined;
  return async (model, signal) => {
    const isFresh = known !== undefined && clock.nowMs() - known.readAtMs < REMEMBERED_MS;
    if (isFresh && known?.ids.includes(model) === true) return;
    const ids = await embeddingIds(upstream, signal);
    if (ids === undefined) return;
    known = { ids, readAtMs: clock.nowMs() };
    if (ids.includes(model)) return;
    throw new ZephError("unsupported_capability", {
      detail: "embeddings by this model",
      hint: ids.length === 0 ? "The provider lists no embedding model." : `For embeddings it lists: ${ids.join(", ")}.`,
    });
  };
}

async function embeddingIds(upstream: GonkaFetch, signal: AbortSignal): Promise<readonly string[] | undefined> {
  try {
    return (await listModels(upstream, signal)).filter(({ kind }) => kind === "embedding").map(({ id }) => id);
  } catch (error) {
    if (ZephError.is(error)) return undefined;
    throw error;
  }
}

/**
 * Throws `host_refused` for a `Host` that is not ours. A page of another site can make its own name point to this
 * computer (DNS rebinding) and then read answers as its own; it cannot make the browser send another name than its own.
 */
type HostCheck = (host: string) => void;

const LOOPBACK = /^(?:localhost|[a-z0-9-]+\.localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;

/** @param allowed further host names, without port; `*` lets every name pass */
function hostCheck(allowed: readonly string[] = []): HostCheck {
  if (allowed.includes("*")) return () => {};
  const names = new Set(allowed.map((name) => name.toLowerCase()));
  return (host) => {
    const name = hostName(host);
    if (LOOPBACK.test(name) || names.has(name)) return;
    throw new ZephError("host_refused");
  };
}

/** A `Host` value without its port, in lower case. */
function hostName(host: string): string {
  return host.toLowerCase().replace(/:\d*$/, "");
}

interface OriginCheck {
  /** Headers the answer needs, or none. Throws `origin_refused` for a page that may not call. */
  headersFor(origin: string | null, host: string): Readonly<Record<string, string>>;
  /** The answer to a browser that asks before it sends. */
  preflight(origin: string | null, host: string): Answer;
}

/** What a page may read besides the body. */
const EXPOSED = "x-request-id, x-zeph-removed-params, x-zeph-changed-params, x-zeph-error-code, retry-after";
const PREFLIGHT_SECONDS = 600;
const NO_HEADERS = {};

/**
 * Browsers name the page that sends a request. Pages that are not listed are refused before anything is done: without
 * CORS headers they could not read the answer, but the request would have been made, and paid for.
 */
function originCheck(allowed: readonly string[] = []): OriginCheck {
  const listed = new Set(allowed.map((origin) => origin.replace(/\/$/, "").toLowerCase()));
  function headersFor(origin: string | null, host: string) {
    if (origin === null || isOwn(origin, host)) return NO_HEADERS;
    if (!listed.has(origin.toLowerCase())) throw new ZephError("origin_refused");
    return { "access-control-allow-origin": origin, "access-control-expose-headers": EXPOSED, vary: "origin" };
  }
  return {
    headersFor,
    preflight: (origin, host) => ({
      status: 204,
      headers: {
        ...headersFor(origin, host),
        "access-control-allow-methods": "GET, POST, OPTIONS",
        // SDKs in a browser send headers of their own (x-stainless-…); the key is what counts.
        "access-control-allow-headers": "*, authorization, content-type, x-api-key",
        "access-control-max-age": String(PREFLIGHT_SECONDS),
        // Chrome asks this of addresses on the own computer.
        "access-control-allow-private-network": "true",
      },
      body: null,
    }),
  };
}

/** The gateway's own address, opened in a browser. The host was checked before. */
function isOwn(origin: string, host: string): boolean {
  return origin.toLowerCase() === `http://${host.toLowerCase()}`;
}

/** Throws `local_key_refused` unless the request carries the key. */
type KeyCheck = (headers: HeaderView) => void;

/** @param key what callers must send, or `none` to let everybody in. Throws `usage` for an empty one. */
function keyCheck(key: Secret | string | "none"): KeyCheck {
  if (key === "none") return () => {};
  // An empty one would let everybody in who sends nothing.
  if (Secret.from(key).reveal().trim() === "") throw new ZephError("usage", { detail: "the local key is empty" });
  const expected = Buffer.from(Secret.from(key).reveal());
  return (headers) => {
    const given = presentedKeys(headers);
    if (given.length === 0) throw new ZephError("local_key_refused", { detail: "the request carries no key" });
    if (!given.some((key) => isSame(Buffer.from(key), expected))) throw new ZephError("local_key_refused");
  };
}

/** OpenAI's clients send the one, Anthropic's the other, and some both. */
function presentedKeys(headers: HeaderView): readonly string[] {
  const bearer = /^Bearer +(\S+)\s*$/i.exec(headers.get("authorization") ?? "")?.[1];
  return [bearer, headers.get("x-api-key")?.trim()].filter((key) => key !== undefined);
}

/** Takes the same time wherever a guess is wrong. Only its length shows, and the length of a key is no secret. */
function isSame(given: Buffer, expected: Buffer): boolean {
  const isSameLength = given.length === expected.length;
  return timingSafeEqual(isSameLength ? given : expected, expected) && isSameLength;
}

/** Name of the local key in the vault, and of the variable that may hold it. */
export const LOCAL_KEY_NAME = "ZEPH_LOCAL_GATEWAY_API_KEY";

/** Ten different signs in 24 are more than anybody tries over a network. */
const MIN_CHARS = 24;
const MIN_DIFFERENT_CHARS = 10;

/** What is wrong with a key where other computers can try it, in words that go on from "it …"; `undefined` when nothing is. */
export function localKeyWeakness(key: Secret | string | "none"): string | undefined {
  if (key === "none") return "lets everybody in";
  const text = Secret.from(key).reveal().trim();
  if (text.length < MIN_CHARS) return `has fewer than ${MIN_CHARS} characters`;
  return new Set(text).size < MIN_DIFFERENT_CHARS
    ? `has fewer than ${MIN_DIFFERENT_CHARS} different characters`
    : undefined;
}

/** A new local key. It begins as OpenAI's keys do: some clients check that, and so do filters that mask keys. */
export function makeLocalKey(): Secret {
  return new Secret(`sk-zeph-${randomBytes(32).toString("base64url")}`);
}
