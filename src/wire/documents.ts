import {
  asObject,
  decodeBase64,
  type JsonObject,
  optional,
  type Reader,
  readAmount,
  readBoolean,
  readList,
  readNumber,
  readObject,
  readText,
  unreadable,
} from "../base/json.ts";
import { ZephError } from "../errors.ts";
import { type AddressOptions, DEFAULT_PREFIX, parseAddress } from "./endpoint.ts";

/** The three numbers of a version; what follows them (`-post2`, `-rc1`, a commit) does not count. */
export interface Version {
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
}

/** `GET /v1/versions`. */
export interface NodeVersions {
  /**
   * Version of the public API, or where its build gave itself no readable one, of the chain node behind it: a network
   * upgrades both in one go. `undefined` when neither can be read.
   */
  readonly apiVersion: Version | undefined;
  /** The same as the node wrote it, to show; or what it wrote instead of one. */
  readonly apiVersionText: string | undefined;
  /** Of the chain node behind it. */
  readonly chainVersionText: string | undefined;
}

/**
 * First version whose public API answers signed inference requests with 410 and whose chain refuses their transactions
 * (gonka-ai/gonka ee730031, upgrade v0.2.14; on the main network since 2026-07-23).
 */
const CLASSIC_INFERENCE_RETIRED: Version = { major: 0, minor: 2, patch: 14 };

/** Reads `GET /v1/versions`. Throws `bad_response`. */
export function parseVersions(value: unknown): NodeVersions {
  const root = readObject(value, "versions");
  const apiText = versionText(root.api_version);
  const chainVersionText = versionText(root.node_version);
  const readable = [apiText, chainVersionText].find((text) => text !== undefined && parseVersion(text) !== undefined);
  return {
    apiVersion: readable === undefined ? undefined : parseVersion(readable),
    apiVersionText: readable ?? apiText,
    chainVersionText,
  };
}

/** Build-time strings: what is of another type or blank is one the build did not set. */
function versionText(part: unknown): string | undefined {
  const text = asObject(part)?.version ?? part;
  return typeof text === "string" && text.trim() !== "" ? text : undefined;
}

/** Finds a version in text such as `v0.2.13`, `release/v0.2.9-post2` or `0.2.13-4-g8a35022`. */
export function parseVersion(text: string): Version | undefined {
  const [, major, minor, patch] = /(?<![\d.])v?(\d{1,6})\.(\d{1,6})\.(\d{1,6})/.exec(text) ?? [];
  if (major === undefined || minor === undefined || patch === undefined) return undefined;
  return { major: Number(major), minor: Number(minor), patch: Number(patch) };
}

/** Negative, zero or positive, as `a` is older than, equal to or newer than `b`. */
export function compareVersions(a: Version, b: Version): number {
  return a.major - b.major || a.minor - b.minor || a.patch - b.patch;
}

/**
 * True when a node of this API version takes no signed inference requests any more, so that no prompt should be sent to
 * it. An unknown version says nothing, and counts as not retired.
 */
export function isClassicInferenceRetired(apiVersion: Version | undefined): boolean {
  return apiVersion !== undefined && compareVersions(apiVersion, CLASSIC_INFERENCE_RETIRED) >= 0;
}

export function formatVersion({ major, minor, patch }: Version): string {
  return `${major}.${minor}.${patch}`;
}

/** `GET /v1/identity`: who a node says it is. */
export interface NodeIdentity {
  /** Address that requests to this node must name. */
  readonly address: string;
  /** Latest block the node knows. */
  readonly blockHeight: bigint | undefined;
  /** RFC 3339 time of the statement. */
  readonly timestamp: string | undefined;
  /**
   * Other URLs that claim to work for this node, url → address. No known node sends them, and nothing proves them: they
   * may only be used under the rules that hold for discovered nodes.
   */
  readonly delegates: Readonly<Record<string, string>>;
}

/** Reads `GET /v1/identity`. The signature in it is not checked: a warm key may have made it. Throws `bad_response`. */
export function parseIdentity(value: unknown, { prefix = DEFAULT_PREFIX }: AddressOptions = {}): NodeIdentity {
  const data = readObject(readObject(value, "identity").data, "data");
  const delegates = optional(data.delegate_ta, "data.delegate_ta", readObject) ?? {};
  return {
    address: readAddress(prefix)(data.address, "data.address"),
    blockHeight: optional(data.block, "data.block", readAmount),
    timestamp: optional(data.timestamp, "data.timestamp", readText),
    delegates: Object.fromEntries(
      Object.entries(delegates).map(([url, address]) => [url, readAddress(prefix)(address, "data.delegate_ta")]),
    ),
  };
}

/** Reads an address a server wrote: as {@link parseAddress}, but a fault is the server's, so `bad_response`. */
function readAddress(prefix: string): Reader<string> {
  return (value, place) => {
    const text = readText(value, place);
    try {
      return parseAddress(text, { prefix });
    } catch (error) {
      if (ZephError.is(error) && error.code === "invalid_address") {
        throw unreadable(place, `is not an address: ${error.detail}`);
      }
      throw error;
    }
  };
}

/** `GET /chain-rpc/status`: the clock that counts for signed requests, and which chain it is. */
export interface ChainStatus {
  readonly chainId: string;
  readonly latestBlockHeight: bigint;
  /** Time of the latest block, milliseconds since 1970: what nodes compare timestamps with. */
  readonly latestBlockTimeMs: number;
  readonly catchingUp: boolean;
}

/** Reads `GET /chain-rpc/status`, with or without the JSON-RPC envelope. Throws `bad_response`. */
export function parseChainStatus(value: unknown): ChainStatus {
  const envelope = readObject(value, "status");
  const result = optional(envelope.result, "result", readObject) ?? envelope;
  const syncInfo = readObject(result.sync_info, "sync_info");
  const time = readText(syncInfo.latest_block_time, "sync_info.latest_block_time");
  // Dates know milliseconds; the further digits of a block's time do not matter for a clock.
  const latestBlockTimeMs = Date.parse(time.replace(/(\.\d{3})\d+/, "$1"));
  if (Number.isNaN(latestBlockTimeMs)) throw unreadable("sync_info.latest_block_time", "is not a time");
  return {
    chainId: readText(readObject(result.node_info, "node_info").network, "node_info.network"),
    latestBlockHeight: readAmount(syncInfo.latest_block_height, "sync_info.latest_block_height"),
    latestBlockTimeMs,
    catchingUp: optional(syncInfo.catching_up, "sync_info.catching_up", readBoolean) ?? false,
  };
}

/** Chain parameters that decide about signed requests. */
export interface ChainParams {
  /** Nodes that may take requests from users; empty means everyone may. */
  readonly allowedTransferAddresses: readonly string[];
  /** How old a timestamp may be against the latest block's time, seconds. */
  readonly timestampExpirationSeconds: number;
  /** How far ahead of it a timestamp may be, seconds. */
  readonly timestampAdvanceSeconds: number;
}

/** Values of the main network (gonka-ai/gonka 8a35022b, `genesis/genesis.json:5044-5045`), for a chain that tells none. */
export const DEFAULT_CHAIN_PARAMS: ChainParams = {
  allowedTransferAddresses: [],
  timestampExpirationSeconds: 60,
  timestampAdvanceSeconds: 30,
};

/** What a node uses for a window of 0 (gonka-ai/gonka 8a35022b, `post_chat_handler.go:792-798`). */
const WINDOW_FOR_ZERO_SECONDS = 10;

/** Reads `GET /chain-api/productscience/inference/inference/params`. Throws `bad_response`. */
export function parseChainParams(value: unknown): ChainParams {
  const params = readObject(readObject(value, "params response").params, "params");
  const access = optional(params.transfer_agent_access_params, "transfer_agent_access_params", readObject);
  const validation = optional(params.validation_params, "validation_params", readObject);
  return {
    allowedTransferAddresses:
      optional(access?.allowed_transfer_addresses, "allowed_transfer_addresses", (list, place) =>
        readList(list, place, readText),
      ) ?? [],
    ...(validation === undefined
      ? {
          timestampExpirationSeconds: DEFAULT_CHAIN_PARAMS.timestampExpirationSeconds,
          timestampAdvanceSeconds: DEFAULT_CHAIN_PARAMS.timestampAdvanceSeconds,
        }
      : {
          timestampExpirationSeconds: windowSeconds(validation, "timestamp_expiration"),
          timestampAdvanceSeconds: windowSeconds(validation, "timestamp_advance"),
        }),
  };
}

export function isTransferAgentAllowed(params: ChainParams, address: string): boolean {
  return params.allowedTransferAddresses.length === 0 || params.allowedTransferAddresses.includes(address);
}

function windowSeconds(validation: JsonObject, field: string): number {
  const seconds = Number(optional(validation[field], field, readAmount) ?? 0n);
  return seconds === 0 ? WINDOW_FOR_ZERO_SECONDS : seconds;
}

/** 1 GNK = 10⁹ ngonka. */
export const NGONKA_PER_GNK = 1_000_000_000n;
const DENOM = "ngonka";

const PUBLIC_KEY_BYTES = 33;

/** An account as far as a signed request cares. */
export interface Account {
  /** Compressed point, 33 bytes; `undefined` until the account has signed its first transaction. */
  readonly publicKey: Uint8Array | undefined;
  readonly balanceNgonka: bigint;
}

/** Reads `GET /v2/accounts/{address}` (v0.2.12 on) or `GET /v1/participants/{address}`. Throws `bad_response`. */
export function parseAccount(value: unknown): Account {
  const account = readObject(value, "account");
  const denom = optional(account.denom, "denom", readText) ?? DENOM;
  if (denom !== DENOM) throw unreadable("denom", `is not ${DENOM}`);
  return {
    publicKey: optional(account.pubkey, "pubkey", readPublicKey),
    balanceNgonka: optional(account.balance, "balance", readAmount) ?? 0n,
  };
}

/**
 * Reads the public key from the chain's `GET /cosmos/auth/v1beta1/accounts/{address}`; `undefined` where none is
 * published. Vesting and module accounts wrap the plain one. Throws `bad_response`.
 */
export function parseAccountPublicKey(value: unknown): Uint8Array | undefined {
  const account = plainAccount(readObject(readObject(value, "account response").account, "account"));
  const publicKey = optional(account.pub_key, "account.pub_key", readObject);
  if (publicKey === undefined) return undefined;
  const type = optional(publicKey["@type"], "account.pub_key.@type", readText);
  // Nodes check developers' signatures with secp256k1 keys only, so another kind is as good as none.
  if (type !== undefined && !type.endsWith(".secp256k1.PubKey")) return undefined;
  return optional(publicKey.key, "account.pub_key.key", readPublicKey);
}

function plainAccount(account: JsonObject): JsonObject {
  const wrapped = account.base_vesting_account ?? account.base_account;
  return wrapped === undefined ? account : plainAccount(readObject(wrapped, "account"));
}

/** Reads the ngonka of `GET /cosmos/bank/v1beta1/balances/{address}`; 0 where the list has none. Throws `bad_response`. */
export function parseBalance(value: unknown): bigint {
  const balances = readObject(value, "balances response").balances;
  return readList(balances, "balances", (item, place) => {
    const coin = readObject(item, place);
    return readText(coin.denom, `${place}.denom`) === DENOM ? readAmount(coin.amount, `${place}.amount`) : 0n;
  }).reduce((sum, amount) => sum + amount, 0n);
}

function readPublicKey(value: unknown, place: string): Uint8Array | undefined {
  const text = readText(value, place);
  if (text === "") return undefined;
  const decoded = decodeBase64(text);
  if (!decoded.ok || decoded.bytes.length !== PUBLIC_KEY_BYTES) {
    throw unreadable(place, "is not a compressed public key");
  }
  return decoded.bytes;
}

/** An amount for people: `formatGnk(1_500_000_000n)` is `1.5 GNK`. */
export function formatGnk(amountNgonka: bigint): string {
  const sign = amountNgonka < 0n ? "-" : "";
  const amount = amountNgonka < 0n ? -amountNgonka : amountNgonka;
  const fraction = (amount % NGONKA_PER_GNK).toString().padStart(9, "0").replace(/0+$/, "");
  return `${sign}${amount / NGONKA_PER_GNK}${fraction === "" ? "" : `.${fraction}`} GNK`;
}

/** Price of one model on the network. */
interface ModelPrice {
  readonly id: string;
  /** `undefined` when the node does not tell, which is not 0. */
  readonly pricePerTokenNgonka: bigint | undefined;
  readonly unitsOfComputePerToken: bigint | undefined;
  /** Share of the capacity in use, as the node computes it. */
  readonly utilization: number | undefined;
  readonly capacity: number | undefined;
}

/** `GET /v1/governance/pricing` (prices follow demand) or `GET /v1/pricing`. */
export interface NetworkPricing {
  readonly unitOfComputePriceNgonka: bigint | undefined;
  readonly dynamicPricing: boolean;
  readonly models: readonly ModelPrice[];
}

/** Reads either pricing answer. Throws `bad_response`. */
export function parseNetworkPricing(value: unknown): NetworkPricing {
  const pricing = readObject(value, "pricing");
  return {
    unitOfComputePriceNgonka: optional(pricing.unit_of_compute_price, "unit_of_compute_price", readAmount),
    dynamicPricing: optional(pricing.dynamic_pricing_enabled, "dynamic_pricing_enabled", readBoolean) ?? false,
    models: optional(pricing.models, "models", (list, place) => readList(list, place, readModelPrice)) ?? [],
  };
}

function readModelPrice(value: unknown, place: string): ModelPrice {
  const model = readObject(value, place);
  return {
    id: readText(model.id, `${place}.id`),
    pricePerTokenNgonka: optional(model.price_per_token, `${place}.price_per_token`, readAmount),
    unitsOfComputePerToken: optional(
      model.units_of_compute_per_token,
      `${place}.units_of_compute_per_token`,
      readAmount,
    ),
    utilization: optional(model.utilization, `${place}.utilization`, readNumber),
    capacity: optional(model.capacity, `${place}.capacity`, readNumber),
  };
}

/** `GET /v1/epochs/latest`: where the network stands. */
export interface LatestEpoch {
  readonly blockHeight: bigint;
  readonly epochIndex: bigint;
  readonly pocStartBlockHeight: bigint;
  /** `Inference`, or one of the proof-of-compute phases (`PoCGenerate` …), in which capacity is lower. */
  readonly phase: string | undefined;
  /** Length of an epoch in blocks, where told. */
  readonly epochLengthBlocks: bigint | undefined;
  readonly confirmationPocActive: boolean;
}

/** Reads `GET /v1/epochs/latest`; v0.2.15 nests `epoch_params` once more and writes numbers as text. Throws `bad_response`. */
export function parseLatestEpoch(value: unknown): LatestEpoch {
  const root = readObject(value, "epoch");
  const latest = readObject(root.latest_epoch, "latest_epoch");
  const outer = optional(root.epoch_params, "epoch_params", readObject);
  const params = optional(outer?.epoch_params, "epoch_params.epoch_params", readObject) ?? outer;
  return {
    blockHeight: optional(root.block_height, "block_height", readAmount) ?? 0n,
    epochIndex: optional(latest.index, "latest_epoch.index", readAmount) ?? 0n,
    pocStartBlockHeight:
      optional(latest.poc_start_block_height, "latest_epoch.poc_start_block_height", readAmount) ?? 0n,
    phase: optional(root.phase, "phase", readText),
    epochLengthBlocks: optional(params?.epoch_length, "epoch_params.epoch_length", readAmount),
    confirmationPocActive:
      optional(root.is_confirmation_poc_active, "is_confirmation_poc_active", readBoolean) ?? false,
  };
}
