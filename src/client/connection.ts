import type { ZephErrorCode } from "../errors/catalogue.ts";
import type { Deadlines } from "../internal/abort.ts";
import type { Clock } from "../internal/clock.ts";
import type { Secret } from "../internal/secret.ts";
import type { Endpoint } from "../protocol/endpoint.ts";
import type { RequestSigner } from "../signer/request-signer.ts";
import type { OnTransportEvent } from "../transport/events.ts";
import type { FetchFunction } from "../transport/fetch-function.ts";
import type { Discovery } from "./discover-endpoints.ts";

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
  /** A node of the network, or its REST interface. */
  readonly sourceUrl: string;
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
