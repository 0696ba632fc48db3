import { Secret } from "../base/secret.ts";
import { type Clock, DEFAULT_DEADLINES, type Deadlines, systemClock } from "../base/time.ts";
import type { FetchFunction } from "../base/world.ts";
import { extractCostUsd } from "../brokers/records.ts";
import { BROKERS, brokerForBaseURL, findBroker } from "../brokers/registry.ts";
import { ZephError, type ZephErrorCode } from "../errors.ts";
import type { Discovery } from "../network/discovery.ts";
import type { RequestSigner } from "../signer/signer.ts";
import { type Endpoint, normalizeBaseURL } from "../wire/endpoint.ts";
import { type Carry, carryOf } from "./exchange.ts";
import type { FailoverOptions } from "./failover.ts";
import { type OnTransportEvent, retryBudget, slots } from "./policy.ts";

/** What every kind of connection takes. */
export interface ConnectionOptions {
  /** Name in messages and usage; default the broker's host, or `gonka`. */
  readonly name?: string;
  /**
   * Attempts in all, the first included, whatever the number of nodes. Default 3. Natively a corrected clock, or a
   * signature made anew, may add one.
   */
  readonly maxAttempts?: number;
  /**
   * Also repeat a POST that may have been answered, and charged for, although no answer arrived: a timeout, a connection
   * that broke after the request had left. Default false.
   */
  readonly retryCharged?: boolean;
  /** Requests under way at once; the rest wait in line. Default no limit. */
  readonly maxConcurrent?: number;
  readonly deadlines?: Partial<Deadlines>;
  /** The fetch that does the network work; a caller's own keeps its proxies and agents. Default: the global one. */
  readonly fetch?: FetchFunction;
  /** Hints that know more than the catalogue's, such as this broker's top-up page. */
  readonly hints?: Readonly<Partial<Record<ZephErrorCode, string>>>;
  readonly onEvent?: OnTransportEvent;
  readonly clock?: Clock;
  /** Chance for jitter, 0 <= value < 1. Default `Math.random`. */
  readonly random?: () => number;
}

/** A hosted broker, or any OpenAI-compatible endpoint with a Bearer key. */
export interface BrokerConnection extends ConnectionOptions {
  readonly kind: "broker";
  /** Any form {@link normalizeBaseURL} understands. */
  readonly baseURL: string;
  /** `undefined`, as a variable that is not set gives it, and empty text fail at the first request: `secret_missing`. */
  readonly apiKey: string | Secret | undefined;
}

/** Who signs: a signer made before, or a key to make one from at the first request. */
export type SignerChoice =
  | { readonly signer: RequestSigner; readonly privateKey?: never; readonly prefix?: never }
  | {
      /** 64 hex digits; what `RequestSigner.fromHex` takes. Without any, the first request fails: `secret_missing`. */
      readonly privateKey: string | Secret | undefined;
      /** Address prefix of the network. Default `gonka`. */
      readonly prefix?: string;
      readonly signer?: never;
    };

/** A node as the config and the official SDK write it (gonka-ai/gonka-openai, typescript/README.md). */
export interface NodeAddress {
  /** Any form {@link normalizeBaseURL} understands. */
  readonly url: string;
  /** Bech32 address of the node. */
  readonly address: string;
  /** Label for people; the host where none was given. */
  readonly name?: string;
}

/** Nodes to use: each with its base URL and address, or what `discoverEndpoints` found, as it came. */
export type Nodes = readonly (Endpoint | NodeAddress)[] | Discovery;

export interface NativeConnectionOptions extends ConnectionOptions {
  readonly kind: "native";
  /** Nodes to use. Give these, `sourceUrl` or `discover`; the first of them that is given counts. */
  readonly endpoints?: Nodes;
  /** A node or mirror to read the nodes from, and to keep reading them from. There is no default host. */
  readonly sourceUrl?: string;
  /** Where nodes come from otherwise, asked before each request: `endpointSource` keeps what it found. */
  readonly discover?: (signal: AbortSignal) => Promise<Nodes>;
  /** Order of nodes: in turn, or fastest first. Default `round-robin`. */
  readonly order?: "round-robin" | "latency";
}

/** Requests signed with the user's own key, over a pool of Gonka nodes. */
export type NativeConnection = NativeConnectionOptions & SignerChoice;

/**
 * Chat completions paid from an escrow of one's own: native access on networks since v0.2.14. For Node only; the journals
 * of the escrows lie in a folder.
 */
export interface DevshardConnection extends ConnectionOptions {
  readonly kind: "devshard";
  /** The key of the escrows' creator: 64 hex digits. Without any, the first request fails: `secret_missing`. */
  readonly privateKey: string | Secret | undefined;
  /** A node of the network, or its REST interface. Of several the next is asked while one does not answer. */
  readonly sourceUrl: string | readonly string[];
  /** Address prefix of the network. Default `gonka`. */
  readonly prefix?: string | undefined;
  /** Folder of the journals; `zeph` uses `~/.local/state/zeph`. */
  readonly stateFolder: string;
  /** Longest answer where a request says none, tokens. Default 4096. */
  readonly maxTokens?: number | undefined;
  /** Opens an escrow by itself when none has room. Absent: it never does, and `devshard_none_open` is thrown. */
  readonly autoOpen?:
    | {
        readonly model: string;
        /** ngonka for each escrow. */
        readonly amount: bigint;
        /** Escrows in 24 hours. */
        readonly maxPerDay: number;
      }
    | undefined;
}

/** How to reach the network. Which of the three it is changes nothing for the caller. */
export type Connection = BrokerConnection | NativeConnection | DevshardConnection;

/** Attempts in all, the first included. */
const DEFAULT_MAX_ATTEMPTS = 3;

/** What both kinds of connection share. The only place where the global `fetch` is the default. */
export function connectionDefaults(connection: ConnectionOptions) {
  const clock = connection.clock ?? systemClock;
  const fetch: FetchFunction = connection.fetch ?? ((input, init) => globalThis.fetch(input, init));
  return {
    fetch,
    carry: carryOf(fetch),
    maxAttempts: connection.maxAttempts ?? DEFAULT_MAX_ATTEMPTS,
    deadlines: { ...DEFAULT_DEADLINES, ...connection.deadlines },
    budget: retryBudget(clock),
    slots: slots(connection.maxConcurrent),
    clock,
    random: connection.random ?? Math.random,
    retryCharged: connection.retryCharged ?? false,
    hints: connection.hints ?? {},
    onEvent: connection.onEvent ?? (() => {}),
  } satisfies Partial<FailoverOptions> & { fetch: FetchFunction; carry: Carry };
}

/** What the registry knows about an endpoint, as far as an adapter needs it. */
export interface BrokerFacts {
  readonly baseURL: string;
  /** Environment variables that may hold a key for this endpoint, best first. */
  readonly keyVariables: readonly string[];
  /** What a request cost, by the broker's own rules; undefined means unknown, which is not 0. */
  costUsd(body: unknown, headers: Headers | undefined): number | undefined;
}

/**
 * Looks up a broker by its id, or by the address that is used. The key variable of one broker is never offered for
 * another: its key would leave the house for a stranger. Throws `config_invalid` for an id that is not in the registry,
 * `wrong_url` for an address that is none.
 */
export function brokerFacts(access: { readonly broker: string } | { readonly baseURL: string }): BrokerFacts {
  const isNamed = "broker" in access;
  const record = isNamed ? findBroker(access.broker) : brokerForBaseURL(access.baseURL);
  const address = isNamed ? record?.baseURL : access.baseURL;
  if (address === undefined) throw unknownBroker(isNamed ? access.broker : "");
  return {
    baseURL: normalizeBaseURL(address),
    keyVariables: [
      ...(record?.keyEnv === undefined ? [] : [record.keyEnv]),
      ...(record === undefined
        ? []
        : [`ZEPH_COMPATIBLE_${record.id.toUpperCase().replace(/[^A-Z0-9]/g, "_")}_API_KEY`]),
      "GONKA_API_KEY",
    ],
    costUsd: extractCostUsd,
  };
}

function unknownBroker(id: string): ZephError {
  const known = BROKERS.filter(({ baseURL }) => baseURL !== undefined).map((broker) => broker.id);
  return new ZephError("config_invalid", {
    detail: `"${id}" is not a known broker`,
    hint: `Use one of ${known.join(", ")}, or give baseURL instead.`,
  });
}

interface OpenSignerOptions {
  /** Address prefix of the network. Default `gonka`. */
  readonly prefix?: string;
}

/**
 * A signer for a private key. The crypto is loaded here and not before, so that programs that use a broker never load
 * it (it needs Node; brokers work on edge runtimes too). Throws `secret_missing`, `invalid_private_key`, `invalid_prefix`.
 */
export async function openSigner(
  privateKey: string | Secret | undefined,
  options: OpenSignerOptions = {},
): Promise<RequestSigner> {
  const keyHex = Secret.from(privateKey ?? "").reveal();
  // What is no text at all, as plain JavaScript may give, is refused by the signer.
  if (typeof keyHex === "string" && keyHex.trim() === "") {
    throw new ZephError("secret_missing", {
      detail: "no private key was given",
      hint: "Check the variable it is read from.",
    });
  }
  const { RequestSigner } = await import("../signer/signer.ts");
  return RequestSigner.fromHex(keyHex, options);
}
