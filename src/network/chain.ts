import {
  type JsonObject,
  optional,
  parseForeignJson,
  readAmount,
  readBoolean,
  readBoundedText,
  readList,
  readObject,
  readText,
  SMALL_ANSWER_LIMITS,
} from "../base/json.ts";
import { ZephError } from "../errors.ts";
import { type DevshardConfig, devshardRules, type EscrowTerms, sessionTerms } from "../wire/devshard/rules.ts";
import { type LatestEpoch, parseBalance } from "../wire/documents.ts";
import { type NodeClient, nodeClient, nodeRoot, type ReadNodeOptions } from "./node.ts";

/** An escrow's row on the chain. Amounts in ngonka. */
export interface Escrow extends EscrowTerms {
  /** Decimal. */
  readonly id: string;
  /** Bech32 address; only it may order diffs and settle. */
  readonly creator: string;
  readonly amount: bigint;
  readonly model: string;
  /** Address of each slot, in order. */
  readonly slots: readonly string[];
  /** Epoch of its creation; it can be settled in this one and the next. */
  readonly epochIndex: bigint;
  readonly settled: boolean;
}

/** The chain's parameters for devshards (gonka-ai/gonka `DevshardEscrowParams`, v0.2.15). */
export interface DevshardParams {
  readonly minAmount: bigint;
  readonly maxAmount: bigint;
  /** Slots of a new escrow. */
  readonly groupSize: number;
  /** Who may create escrows and settle them. */
  readonly allowedCreators: readonly string[];
  /** Names that are at once URL segment and tag; empty where the chain does not say. */
  readonly approvedVersions: readonly string[];
  /** Highest nonce that can be settled. 0 lets nothing be settled. */
  readonly maxNonce: number;
  readonly requestsEnabled: boolean;
  readonly tokenPrice: bigint;
  readonly createDevshardFee: bigint;
  readonly feePerNonce: bigint;
  readonly refusalTimeoutSeconds: number;
  readonly executionTimeoutSeconds: number;
  /** Percent; v3 takes it from here, v4 from the escrow. */
  readonly voteThresholdFactor: number;
  /** Least price of a unit of gas, ngonka; 0 where not told. */
  readonly minGasPriceNgonka: bigint;
}

/** What became of a broadcast, or of a transaction that was looked up. */
export interface TxOutcome {
  /** 0 is success. */
  readonly code: number;
  readonly log: string;
  /** Attributes of all events, as `type.key`. */
  readonly attributes: ReadonlyMap<string, string>;
}

/** Everything a devshard needs of the chain, over the REST interface of its nodes. */
export interface ChainClient {
  readonly url: string;
  params(signal?: AbortSignal): Promise<DevshardParams>;
  /** `undefined` for an id that the chain does not have (never created, or pruned). */
  escrow(id: string, signal?: AbortSignal): Promise<Escrow | undefined>;
  /** Where a host is reached; `undefined` for an address that is no participant. */
  hostUrl(address: string, signal?: AbortSignal): Promise<string | undefined>;
  /** Keys that an address lets sign inferences for it. */
  grantees(granter: string, signal?: AbortSignal): Promise<readonly string[]>;
  /** `undefined` until the account has received something. */
  accountNumber(address: string, signal?: AbortSignal): Promise<bigint | undefined>;
  balance(address: string, signal?: AbortSignal): Promise<bigint | undefined>;
  chainId(signal?: AbortSignal): Promise<string>;
  /** `undefined` where the node does not tell. */
  epoch(signal?: AbortSignal): Promise<LatestEpoch | undefined>;
  /** Whether hosts serve a model in an epoch; `undefined` where the node does not tell. */
  modelHasGroup(epochIndex: bigint, model: string, signal?: AbortSignal): Promise<boolean | undefined>;
  /** Hands a transaction to the node. Its own answer only; whether it is in a block, {@link ChainClient.transaction} tells. */
  broadcast(txRaw: Uint8Array, signal?: AbortSignal): Promise<TxOutcome>;
  /** `undefined` while no block holds it. */
  transaction(hash: string, signal?: AbortSignal): Promise<TxOutcome | undefined>;
}

const INFERENCE = "/productscience/inference/inference";
const START_MESSAGE = "/inference.inference.MsgStartInference";

type ChainReading = Pick<ReadNodeOptions, "fetch" | "clock">;

/**
 * Reads and writes through the REST interface of nodes: of the one that answered last, and of the others in their order
 * while it does not. A node of another chain than the first that answered is none of them. All reads throw `unreachable`,
 * `timeout_headers` and `bad_response`.
 *
 * @param urls of nodes, with or without `/v1`, or of their REST interfaces (`…/chain-api`)
 */
export function chainClient(urls: string | readonly string[], reading: ChainReading): ChainClient {
  const nodes = [...new Set([urls].flat())].map((url) => nodeChain(url, reading));
  const admitted = new Set<ChainClient>();
  let chainId: string | undefined;
  let latest = 0;

  async function admit(node: ChainClient, signal: AbortSignal | undefined): Promise<void> {
    if (nodes.length === 1 || admitted.has(node)) return;
    const id = await node.chainId(signal);
    chainId ??= id;
    if (id !== chainId)
      throw new ZephError("bad_response", { detail: `${node.url} is a node of ${id}, not of ${chainId}` });
    admitted.add(node);
  }

  /** What the first node says that can say something; `hasFailed` when one before it could not. */
  async function first<T>(
    ask: (node: ChainClient, hasFailed: boolean) => Promise<T>,
    signal: AbortSignal | undefined,
  ): Promise<T> {
    const failures: unknown[] = [];
    for (let step = 0; step < nodes.length; step += 1) {
      const index = (latest + step) % nodes.length;
      const node = nodes[index] as ChainClient;
      try {
        await admit(node, signal);
        const answer = await ask(node, failures.length > 0);
        latest = index;
        return answer;
      } catch (error) {
        signal?.throwIfAborted();
        if (!ZephError.is(error)) throw error;
        failures.push(error);
      }
    }
    throw failures[0] ?? new ZephError("no_endpoints", { detail: "no node of the chain is named" });
  }

  return {
    url: nodes[0]?.url ?? "",
    params: (signal) => first((node) => node.params(signal), signal),
    escrow: (id, signal) => first((node) => node.escrow(id, signal), signal),
    hostUrl: (address, signal) => first((node) => node.hostUrl(address, signal), signal),
    grantees: (granter, signal) => first((node) => node.grantees(granter, signal), signal),
    accountNumber: (address, signal) => first((node) => node.accountNumber(address, signal), signal),
    balance: (address, signal) => first((node) => node.balance(address, signal), signal),
    async chainId(signal) {
      chainId ??= await first((node) => node.chainId(signal), signal);
      return chainId;
    },
    epoch: (signal) => first((node) => node.epoch(signal), signal),
    modelHasGroup: (epochIndex, model, signal) =>
      first((node) => node.modelHasGroup(epochIndex, model, signal), signal),
    // The same bytes may go to any number of nodes: the chain takes them once.
    broadcast: (txRaw, signal) =>
      first(async (node, hasFailed) => {
        const outcome = await node.broadcast(txRaw, signal);
        if (outcome.code === 0 || !hasFailed) return outcome;
        // The node before may have passed it on, and this one then says no to it for just that.
        throw new ZephError("unreachable", { detail: `it is not known whether it was taken: ${outcome.log}` });
      }, signal),
    /** One node may be behind the others, so that only all of them together can say no. */
    async transaction(hash, signal) {
      let found: TxOutcome | undefined;
      await first(async (node) => {
        found = await node.transaction(hash, signal);
        return found;
      }, signal);
      for (const node of nodes.length === 1 ? [] : nodes) {
        if (found !== undefined) break;
        found = await admit(node, signal)
          .then(() => node.transaction(hash, signal))
          .catch(() => undefined);
        signal?.throwIfAborted();
      }
      return found;
    },
  };
}

/** One node. Source: gonka-ai/gonka `inference-chain` v0.2.15; cosmos-sdk v0.53 for `/cosmos`. */
function nodeChain(url: string, reading: ChainReading): ChainClient {
  const root = nodeRoot(url);
  const node = (signal: AbortSignal | undefined) => nodeClient(root, { ...reading, signal });
  let found: Promise<string> | undefined;

  /** Path of the REST interface: behind the node's proxy, or at the root of a chain that runs alone. */
  function api(signal: AbortSignal | undefined): Promise<string> {
    found ??= findApi(node(signal)).catch((error: unknown) => {
      found = undefined;
      throw error;
    });
    return found;
  }
  async function read(path: string, signal: AbortSignal | undefined): Promise<unknown> {
    return (await node(signal).read(`${await api(signal)}${path}`)).json;
  }
  async function find(path: string, signal: AbortSignal | undefined): Promise<unknown> {
    try {
      return await read(path, signal);
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  return {
    url: root,
    params: async (signal) => parseParams(await read(`${INFERENCE}/params`, signal)),
    escrow: async (id, signal) => {
      const json = await find(`${INFERENCE}/devshard_escrow/${encodeURIComponent(id)}`, signal);
      return json === undefined ? undefined : parseEscrow(json);
    },
    hostUrl: async (address, signal) => {
      const json = await find(`${INFERENCE}/participant/${address}`, signal);
      if (json === undefined) return undefined;
      const participant = optional(readObject(json, "participant response").participant, "participant", readObject);
      const text = optional(participant?.inference_url, "inference_url", readText)?.replace(/\/+$/, "");
      return text === undefined || text === "" ? undefined : text;
    },
    grantees: async (granter, signal) => {
      const path = `${INFERENCE}/grantees_by_message_type/${granter}/${encodeURIComponent(START_MESSAGE)}`;
      const json = await find(path, signal);
      const list = json === undefined ? undefined : readObject(json, "grantees response").grantees;
      const one = (value: unknown, place: string) => readText(readObject(value, place).address, `${place}.address`);
      return optional(list, "grantees", (value, place) => readList(value, place, one)) ?? [];
    },
    accountNumber: async (address, signal) => {
      const json = await find(`/cosmos/auth/v1beta1/accounts/${address}`, signal);
      return json === undefined
        ? undefined
        : accountNumberOf(readObject(readObject(json, "account").account, "account"));
    },
    balance: async (address, signal) => {
      try {
        return parseBalance(await read(`/cosmos/bank/v1beta1/balances/${address}`, signal));
      } catch (error) {
        if (ZephError.is(error) && error.code === "bad_response") return undefined;
        throw error;
      }
    },
    chainId: async (signal) => {
      const json = readObject(await read("/cosmos/base/tendermint/v1beta1/node_info", signal), "node_info");
      const info = readObject(json.default_node_info, "default_node_info");
      return readText(info.network, "network");
    },
    epoch: (signal) => node(signal).epoch(),
    modelHasGroup: async (epochIndex, model, signal) => {
      const path = `${INFERENCE}/epoch_group_data/${epochIndex}?model_id=${encodeURIComponent(model)}`;
      try {
        return hasWeights(await read(path, signal));
      } catch (error) {
        // A node answers 404 both for a model without a group and for a route it does not have.
        if (isMissing(error)) return /epoch group|not found|no group/i.test(error.detail ?? "") ? false : undefined;
        throw error;
      }
    },
    broadcast: async (txRaw, signal) => {
      const body = JSON.stringify({
        tx_bytes: Buffer.from(txRaw).toString("base64"),
        mode: "BROADCAST_MODE_SYNC",
      });
      const json = await post(`${root}${await api(signal)}/cosmos/tx/v1beta1/txs`, body, { ...reading, signal });
      return parseTxResponse(json);
    },
    transaction: async (hash, signal) => {
      const json = await find(`/cosmos/tx/v1beta1/txs/${hash}`, signal);
      return json === undefined ? undefined : parseTxResponse(json);
    },
  };
}

/**
 * The configuration of a session over an escrow: what its row says, the chain's parameters where the version takes them
 * from there, and the hosts' fallbacks.
 */
export function devshardConfig(
  escrow: Escrow,
  params: Pick<DevshardParams, "voteThresholdFactor">,
  version: string,
): DevshardConfig {
  const fromParams = devshardRules(version).thresholdFactorFrom === "params";
  const voteThresholdFactor = fromParams ? params.voteThresholdFactor : escrow.voteThresholdFactor;
  const { id: escrowId, creator: user, slots: group, amount } = escrow;
  return { escrowId, version, group, user, amount, ...sessionTerms({ ...escrow, voteThresholdFactor }, group.length) };
}

async function findApi(node: NodeClient): Promise<string> {
  let last: unknown;
  for (const base of ["/chain-api", ""]) {
    try {
      parseParams((await node.read(`${base}${INFERENCE}/params`)).json);
      return base;
    } catch (error) {
      if (!ZephError.is(error) || error.code !== "bad_response") throw error;
      last = error;
    }
  }
  throw last;
}

function isMissing(error: unknown): error is ZephError {
  return ZephError.is(error) && error.code === "bad_response" && error.status === 404;
}

function parseParams(json: unknown): DevshardParams {
  const params = readObject(readObject(json, "params response").params, "params");
  const devshard = readObject(params.devshard_escrow_params, "devshard_escrow_params");
  const fees = optional(params.fee_params, "fee_params", readObject);
  const versionName = (value: unknown, place: string) => readText(readObject(value, place).name, `${place}.name`);
  return {
    minAmount: whole(devshard, "min_amount"),
    maxAmount: whole(devshard, "max_amount"),
    groupSize: small(devshard, "group_size"),
    allowedCreators: listOf(devshard, "allowed_creator_addresses", readText),
    approvedVersions: listOf(devshard, "approved_versions", versionName),
    maxNonce: small(devshard, "max_nonce"),
    requestsEnabled: optional(devshard.devshard_requests_enabled, "devshard_requests_enabled", readBoolean) ?? false,
    tokenPrice: whole(devshard, "token_price"),
    createDevshardFee: whole(devshard, "create_devshard_fee"),
    feePerNonce: whole(devshard, "fee_per_nonce"),
    refusalTimeoutSeconds: small(devshard, "refusal_timeout"),
    executionTimeoutSeconds: small(devshard, "execution_timeout"),
    voteThresholdFactor: small(devshard, "vote_threshold_factor"),
    minGasPriceNgonka: fees === undefined ? 0n : whole(fees, "min_gas_price_ngonka"),
  };
}

function parseEscrow(json: unknown): Escrow | undefined {
  const answer = readObject(json, "escrow response");
  const row = optional(answer.escrow, "escrow", readObject);
  if (row === undefined || answer.found === false) return undefined;
  return {
    id: whole(row, "id").toString(),
    creator: readText(row.creator, "creator"),
    amount: whole(row, "amount"),
    model: readText(row.model_id, "model_id"),
    slots: listOf(row, "slots", readText),
    epochIndex: whole(row, "epoch_index"),
    settled: optional(row.settled, "settled", readBoolean) ?? false,
    tokenPrice: whole(row, "token_price"),
    createDevshardFee: whole(row, "create_devshard_fee"),
    feePerNonce: whole(row, "fee_per_nonce"),
    sealGraceNonces: small(row, "inference_seal_grace_nonces"),
    sealGraceSeconds: small(row, "inference_seal_grace_seconds"),
    autoSealEvery: small(row, "auto_seal_every_n_nonces"),
    voteThresholdFactor: small(row, "vote_threshold_factor"),
  };
}

/** Missing is 0: older chains lack the newer fields. */
function whole(object: JsonObject, field: string): bigint {
  return optional(object[field], field, readAmount) ?? 0n;
}

function small(object: JsonObject, field: string): number {
  return Number(whole(object, field));
}

function listOf<T>(object: JsonObject, field: string, read: (value: unknown, place: string) => T): readonly T[] {
  return optional(object[field], field, (value, place) => readList(value, place, read)) ?? [];
}

/** Vesting and module accounts wrap the plain one. */
function accountNumberOf(account: JsonObject): bigint {
  const wrapped = account.base_vesting_account ?? account.base_account;
  return wrapped === undefined ? whole(account, "account_number") : accountNumberOf(readObject(wrapped, "account"));
}

function hasWeights(json: unknown): boolean {
  const data = optional(readObject(json, "epoch group").epoch_group_data, "epoch_group_data", readObject);
  const weights = data?.validation_weights ?? data?.member_seed_signatures;
  return data !== undefined && (!Array.isArray(weights) || weights.length > 0);
}

function parseTxResponse(json: unknown): TxOutcome {
  const answer = readObject(readObject(json, "tx answer").tx_response, "tx_response");
  const logs = Array.isArray(answer.logs) ? answer.logs : [];
  const events = [answer.events, ...logs.map((log) => (log as JsonObject | null)?.events)].flat();
  const attributes = new Map<string, string>();
  for (const event of events) {
    const { type, attributes: list } = (event ?? {}) as { type?: unknown; attributes?: unknown };
    if (!Array.isArray(list)) continue;
    for (const { key, value } of list)
      if (!attributes.has(`${type}.${key}`)) attributes.set(`${type}.${key}`, `${value}`);
  }
  return {
    code: Number(optional(answer.code, "code", readAmount) ?? 0n),
    log: optional(answer.raw_log, "raw_log", readText) ?? "",
    attributes,
  };
}

const MAX_ANSWER_BYTES = 4 * 1024 * 1024;

/** Throws `unreachable` whenever it is not known whether the node took the transaction. */
async function post(url: string, body: string, { fetch, signal }: ReadNodeOptions): Promise<unknown> {
  const deadline = AbortSignal.timeout(30_000);
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body,
      redirect: "manual",
      signal: signal === undefined ? deadline : AbortSignal.any([signal, deadline]),
    });
    const text = await readBoundedText(response.body, MAX_ANSWER_BYTES);
    return parseForeignJson(text, SMALL_ANSWER_LIMITS);
  } catch (cause) {
    signal?.throwIfAborted();
    throw new ZephError("unreachable", { detail: `${new URL(url).host} did not say whether it took it`, cause });
  }
}
