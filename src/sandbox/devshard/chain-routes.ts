import {
  balancesBody,
  epochInfoBody,
  latestEpochBody,
  servedModelsBody,
  validationWeights,
  versionsBody,
} from "../classic/reads.ts";
import type { DevshardChain, TakenTx } from "./chain.ts";
import { type Escrow, TxRefusal } from "./chain-tx.ts";
import { sha256 } from "./crypto.ts";

/** What a route answers; `body` becomes JSON. */
interface ChainAnswer {
  readonly status: number;
  readonly body: unknown;
}

/** A request to the chain's REST interface; `/chain-api` in front of the path is optional. */
interface ChainRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly body: Buffer;
}

type Route = readonly [
  method: string,
  pattern: RegExp,
  answer: (chain: DevshardChain, parameters: readonly string[], request: ChainRequest) => ChainAnswer,
];

const NODE_VERSION = "0.2.15";
const INFERENCE = "/productscience/inference/inference";

/**
 * The chain as a client reads it: REST of the SDK and of the inference module (64-bit numbers as text, 32-bit ones as
 * numbers), and the public API of a node. Shapes as upstream's REST reader parses them.
 */
const ROUTES: readonly Route[] = [
  get(`${INFERENCE}/devshard_escrow/([^/]+)`, escrowById),
  get(`${INFERENCE}/params`, params),
  get(`${INFERENCE}/participant/([^/]+)`, participant),
  get(`${INFERENCE}/grantees_by_message_type/([^/]+)/([^/]+)`, grantees),
  get(`${INFERENCE}/epoch_group_data/(\\d+)`, groupData),
  get(`${INFERENCE}/get_current_epoch`, (chain) => ok({ epoch: String(chain.epoch) })),
  get(`${INFERENCE}/epoch_info`, (chain) =>
    ok(epochInfoBody(chain.blocks.latest().height, chain.epoch, chain.epochStart)),
  ),
  get(`${INFERENCE}/models_all`, (chain) => ok(servedModelsBody(chain.models))),
  get(`${INFERENCE}/preserved_nodes_snapshot`, () => ok({ snapshot: null, found: false })),
  get("/cosmos/auth/v1beta1/accounts/([^/]+)", account),
  get("/cosmos/bank/v1beta1/balances/([^/]+)/by_denom", balance),
  get("/cosmos/bank/v1beta1/balances/([^/]+)", balances),
  get("/cosmos/base/tendermint/v1beta1/node_info", nodeInfo),
  get("/cosmos/tx/v1beta1/txs/([0-9A-Fa-f]+)", txByHash),
  ["POST", /^\/cosmos\/tx\/v1beta1\/txs$/, broadcast],
  get("/v1/epochs/latest", (chain) =>
    ok(latestEpochBody(chain.blocks.latest().height, chain.epoch, chain.epochStart, "v0.2.15")),
  ),
  get("/v1/epochs/current/participants", currentParticipants),
  get("/v1/governance/models", (chain) => ok({ models: chain.models.map((id) => ({ id })) })),
  get("/v1/status", () => ok({ status: "ok" })),
  get("/v1/versions", (chain) => ok({ ...versionsBody(NODE_VERSION, chain.nowMs()), mlnodes: [] })),
  get("/v1/models", modelList),
  get("/v2/accounts/([^/]+)", nodeAccount),
  ["POST", /^\/v1\/chat\/completions$/, retired],
];

export function answerChain(chain: DevshardChain, request: ChainRequest): ChainAnswer {
  const path = request.path.replace(/^\/chain-api(?=\/)/, "");
  for (const [method, pattern, answer] of ROUTES) {
    const match = method === request.method ? pattern.exec(path) : null;
    if (match !== null) return answer(chain, match.slice(1).map(decodeURIComponent), request);
  }
  return { status: 501, body: { code: 12, details: [], message: "Not Implemented" } };
}

function get(path: string, answer: Route[2]): Route {
  return ["GET", new RegExp(`^${path}$`), answer];
}

function ok(body: unknown): ChainAnswer {
  return { status: 200, body };
}

function notFound(message: string): ChainAnswer {
  return { status: 404, body: { code: 5, details: [], message } };
}

function escrowById(chain: DevshardChain, [id = ""]: readonly string[]): ChainAnswer {
  const escrow = chain.escrow(id);
  if (escrow !== undefined) return ok({ escrow: escrowRow(escrow), found: true });
  return chain.missingEscrowAs === "404" ? notFound("not found") : ok({ escrow: null, found: false });
}

function escrowRow(escrow: Escrow): object {
  return {
    amount: String(escrow.amount),
    app_hash: escrow.appHash,
    auto_seal_every_n_nonces: escrow.autoSealEvery,
    create_devshard_fee: String(escrow.createDevshardFee),
    creator: escrow.creator,
    epoch_index: String(escrow.epochIndex),
    fee_per_nonce: String(escrow.feePerNonce),
    id: escrow.id,
    inference_seal_grace_nonces: escrow.sealGraceNonces,
    inference_seal_grace_seconds: escrow.sealGraceSeconds,
    model_id: escrow.modelId,
    settled: escrow.settled,
    slots: escrow.slots,
    token_price: String(escrow.tokenPrice),
    validation_rate: escrow.validationRate,
    vote_threshold_factor: escrow.voteThresholdFactor,
  };
}

function params({ params: given, slots }: DevshardChain): ChainAnswer {
  const versions = given.approvedVersions.map((name) => ({
    binary: "https://example.invalid/devshardd.zip",
    name,
    sha256: "0".repeat(64),
  }));
  const devshard = {
    allowed_creator_addresses: given.allowedCreators,
    approved_versions: versions,
    create_devshard_fee: String(given.createDevshardFee),
    default_auto_seal_every_n_nonces: given.autoSealEvery,
    default_inference_seal_grace_nonces: given.sealGraceNonces,
    default_inference_seal_grace_seconds: given.sealGraceSeconds,
    devshard_requests_enabled: given.requestsEnabled,
    execution_timeout: String(given.executionTimeoutSeconds),
    fee_per_nonce: String(given.feePerNonce),
    group_size: slots.length,
    max_amount: String(given.maxAmount),
    max_escrows_per_epoch: String(given.maxEscrowsPerEpoch),
    max_nonce: given.maxNonce,
    min_amount: String(given.minAmount),
    refusal_timeout: String(given.refusalTimeoutSeconds),
    token_price: String(given.tokenPrice),
    validation_rate: given.validationRate,
    vote_threshold_factor: given.voteThresholdFactor,
  };
  const fees = { min_gas_price_ngonka: String(given.minGasPrice) };
  return ok({ params: { devshard_escrow_params: devshard, fee_params: fees } });
}

function participant(chain: DevshardChain, [address = ""]: readonly string[]): ChainAnswer {
  const found = chain.participants.get(address);
  if (found === undefined) return notFound("not found");
  const { inferenceUrl: inference_url, weight } = found;
  return ok({ participant: { address, index: address, inference_url, status: "ACTIVE", validator_key: "", weight } });
}

function grantees(chain: DevshardChain, [granter = "", type = ""]: readonly string[]): ChainAnswer {
  const granted = type === "/inference.inference.MsgStartInference" ? chain.granteesOf(granter) : [];
  return ok({ grantees: granted.map((address) => ({ address, pub_key: "" })) });
}

function groupData(chain: DevshardChain, [epoch = ""]: readonly string[], { query }: ChainRequest): ChainAnswer {
  const model = query.get("model_id") ?? query.get("modelId") ?? "";
  if (Number(epoch) > chain.epoch || (model !== "" && !chain.models.includes(model))) return notFound("not found");
  const weights = validationWeights(chain.participants.values());
  const total = String([...chain.participants.values()].reduce((sum, { weight }) => sum + weight, 0));
  const data = { epoch_index: epoch, model_id: model, validation_weights: weights, total_weight: total };
  return ok({ epoch_group_data: data });
}

function account(chain: DevshardChain, [address = ""]: readonly string[]): ChainAnswer {
  const found = chain.account(address);
  if (found === undefined) {
    return notFound(`rpc error: code = NotFound desc = account ${address} not found: key not found`);
  }
  const type = "/cosmos.auth.v1beta1.BaseAccount";
  const account_number = String(found.number);
  return ok({ account: { "@type": type, account_number, address, pub_key: null, sequence: "0" } });
}

function balance(chain: DevshardChain, [address = ""]: readonly string[], { query }: ChainRequest): ChainAnswer {
  const denom = query.get("denom") ?? "";
  const amount = denom === "ngonka" ? (chain.account(address)?.balance ?? 0n) : 0n;
  return ok({ balance: { denom, amount: String(amount) } });
}

function balances(chain: DevshardChain, [address = ""]: readonly string[]): ChainAnswer {
  return ok(balancesBody(chain.account(address)?.balance));
}

function nodeInfo({ chainId: network }: DevshardChain): ChainAnswer {
  return ok({
    application_version: { app_name: "inferenced", name: "inference", version: `v${NODE_VERSION}` },
    default_node_info: { moniker: "sandbox", network, version: "0.38.21" },
  });
}

function modelList(chain: DevshardChain): ChainAnswer {
  const data = chain.models.map((id) => ({ object: "model", id, name: id.split("/").at(-1), created: 1_770_000_000 }));
  return ok({ object: "list", data });
}

function nodeAccount(chain: DevshardChain, [address = ""]: readonly string[]): ChainAnswer {
  const found = chain.account(address);
  if (found === undefined) return { status: 404, body: { error: "account not found" } };
  return ok({ pubkey: "", balance: Number(found.balance), denom: "ngonka" });
}

/** What became of signed requests. */
function retired(): ChainAnswer {
  return { status: 410, body: { error: "deprecated", message: "classic inference is deprecated; use devshard" } };
}

function currentParticipants(chain: DevshardChain): ChainAnswer {
  const participants = [...chain.participants.values()].map(({ address, inferenceUrl, weight }) => ({
    index: address,
    inference_url: inferenceUrl,
    weight,
    models: chain.models,
  }));
  return ok({ active_participants: { participants, epoch_id: chain.epoch } });
}

function txByHash(chain: DevshardChain, [hash = ""]: readonly string[]): ChainAnswer {
  const taken = chain.includedTx(hash.toUpperCase());
  if (taken === undefined) return notFound(`tx not found: ${hash}`);
  return ok({ tx: null, tx_response: txResponse(taken, chain.eventsIn) });
}

function txResponse({ hash: txhash, result, tx }: TakenTx, eventsIn: DevshardChain["eventsIn"] = "events"): object {
  const events = (result?.events ?? []).map(({ type, attributes }) => ({
    type,
    attributes: Object.entries(attributes).map(([key, value]) => ({ key, value, index: true })),
  }));
  return {
    height: String(result?.height ?? 0),
    txhash,
    codespace: result?.codespace ?? "",
    code: result?.code ?? 0,
    data: "",
    raw_log: result?.rawLog ?? "",
    logs: eventsIn === "logs" && events.length > 0 ? [{ msg_index: 0, log: "", events }] : [],
    info: "",
    gas_wanted: result === undefined ? "0" : String(tx.gasLimit),
    gas_used: result === undefined ? "0" : String(tx.gasLimit / 2n),
    tx: null,
    timestamp: "",
    events: eventsIn === "logs" ? [] : events,
  };
}

function broadcast(chain: DevshardChain, _: readonly string[], { body }: ChainRequest): ChainAnswer {
  let request: { readonly tx_bytes?: unknown; readonly mode?: unknown };
  try {
    request = JSON.parse(body.toString("utf8"));
  } catch {
    return { status: 400, body: { code: 3, details: [], message: "proto: syntax error: unexpected token" } };
  }
  if (typeof request.tx_bytes !== "string" || request.mode !== "BROADCAST_MODE_SYNC") {
    return { status: 400, body: { code: 3, details: [], message: "invalid empty tx or unsupported mode" } };
  }
  const bytes = Buffer.from(request.tx_bytes, "base64");
  try {
    const { hash, tx, signer, takenAtMs } = chain.broadcast(bytes);
    // The first answer says only that it was taken, also when the block is already there.
    return ok({ tx_response: txResponse({ hash, tx, signer, takenAtMs }) });
  } catch (error) {
    if (!(error instanceof TxRefusal)) throw error;
    return ok({ tx_response: refusedTx(bytes, error) });
  }
}

function refusedTx(bytes: Buffer, { code, codespace, message }: TxRefusal): object {
  const txhash = sha256(bytes).toString("hex").toUpperCase();
  const nothing = { height: "0", data: "", logs: [], info: "", gas_wanted: "0", gas_used: "0", tx: null };
  return { ...nothing, txhash, codespace, code, raw_log: message, timestamp: "", events: [] };
}
