import { decodeBech32 } from "../crypto.ts";
import {
  chainRpcRoutes,
  json,
  notFound,
  participantsResponse,
  type ReadContext,
  type ReadRoute,
} from "./chain-reads.ts";
import {
  type Exchange,
  errorAnswer,
  FRONT_ANSWERS,
  isAtLeast,
  isRetired,
  type NetworkState,
  type NodeSetting,
  type StaticAnswer,
} from "./node.ts";

const COMMIT = "8a35022b000000000000000000000000000000ff";

/** What a node says about itself, its models, prices, and one inference (shared reference 2.1). */
const nodeRoutes: readonly ReadRoute[] = [
  { pattern: /^\/v1\/status$/, answer: () => json({ status: "ok" }) },
  { pattern: /^\/v1\/versions$/, answer: versions },
  { pattern: /^\/v1\/identity$/, answer: identity },
  { pattern: /^\/v1\/models$/, answer: models },
  {
    pattern: /^\/v1\/governance\/models$/,
    answer: async ({ setting }) => json({ models: await chainModels(setting) }),
  },
  { pattern: /^\/v1\/pricing$/, answer: ({ setting }) => pricing(setting, "static") },
  { pattern: /^\/v1\/governance\/pricing$/, answer: ({ setting }) => pricing(setting, "dynamic") },
  { pattern: /^\/v1\/chat\/completions$/, answer: oneInference },
];

const STAGE_BLOCKS = 100;

const EPOCH_BLOCKS = 15_391;

/** What v0.2.15 adds to its read endpoints. */
const DEPRECATED = { Deprecation: "true" };

/** Epochs and their participants, in the shape the network is set to (shared reference 2.1 and 2.2). */
const epochRoutes: readonly ReadRoute[] = [
  { pattern: /^\/v1\/epochs\/latest$/, answer: latestEpoch },
  { pattern: /^\/v1\/epochs\/([^/]+)\/participants$/, answer: participants },
];

/** Accounts as the nodes show them (shared reference 2.1). */
const accountRoutes: readonly ReadRoute[] = [
  {
    pattern: /^\/v2\/accounts\/([^/]+)$/,
    answer: (context) => (isAtLeast(context.setting.state.version, 12) ? account(context) : notFound("Not Found")),
  },
  { pattern: /^\/v1\/participants\/([^/]+)$/, answer: account },
  { pattern: /^\/v1\/participants$/, answer: allParticipants },
];

const INFERENCE = "/chain-api/productscience/inference/inference";

/** The chain's REST interface behind `/chain-api`: every 64-bit number is text (shared reference 2.1). */
const chainApiRoutes: readonly ReadRoute[] = [
  route(`${INFERENCE}/params`, params),
  route("/chain-api/cosmos/bank/v1beta1/balances/([^/]+)", balances),
  route("/chain-api/cosmos/auth/v1beta1/accounts/([^/]+)", authAccount),
  route(`${INFERENCE}/inference_participant/([^/]+)`, inferenceParticipant),
  route(`${INFERENCE}/participant/([^/]+)`, participant),
  route(`${INFERENCE}/get_current_epoch`, ({ setting }) => json({ epoch: epochText(setting.chain.epochs.current()) })),
  route(`${INFERENCE}/epoch_info`, epochInfo),
  route(`${INFERENCE}/current_epoch_group_data`, epochGroup),
  route(`${INFERENCE}/models_all`, servedModels),
  route(`${INFERENCE}/model_per_token_price/([^/]+)`, price),
  route(`${INFERENCE}/all_model_per_token_prices`, prices),
  route(`${INFERENCE}/excluded_participants/(\\d+)`, excluded),
  route(`${INFERENCE}/grantees_by_message_type/([^/]+)/([^/]+)`, () => json({ grantees: [] })),
];

/** Every GET a node answers. */
const ROUTES: readonly ReadRoute[] = [
  ...nodeRoutes,
  ...epochRoutes,
  ...accountRoutes,
  ...chainApiRoutes,
  ...chainRpcRoutes,
];

export function isReadPath(path: string): boolean {
  return ROUTES.some(({ pattern }) => pattern.test(path));
}

/** Answers a GET: none is authenticated. */
export async function serveRead(setting: NodeSetting, exchange: Exchange): Promise<void> {
  const { path, query } = exchange.recorded;
  for (const route of ROUTES) {
    const match = route.pattern.exec(path);
    if (match === null) continue;
    const parameters = match.slice(1).map((part) => decodeURIComponent(part ?? ""));
    exchange.send(await route.answer({ setting, parameters, query: new URLSearchParams(query) }));
    return;
  }
  exchange.send(notFound("Not Found"));
}

function versions({ setting }: ReadContext): StaticAnswer {
  const { version, shape } = setting.state;
  const mlnodes = listsModelNodes(version, shape) ? [{ id: "node0", version: "v3.0.8" }] : undefined;
  return json({ ...versionsBody(version, setting.chain.blocks.nowMs()), mlnodes });
}

export function versionsBody(version: string, nowMs: number): object {
  const build = (application_name: string) => ({ application_name, version, commit: COMMIT });
  return {
    timestamp: new Date(nowMs).toISOString(),
    api_version: build("decentralized-api"),
    node_version: build("inferenced"),
  };
}

/** Since v0.2.14, and not on an unpatched v0.2.15 host; a list that is missing does not mean that there are none. */
function listsModelNodes(version: string, shape: string): boolean {
  return isRetired(version) && shape === "restored";
}

function identity({ setting }: ReadContext): StaticAnswer {
  const data = {
    address: setting.state.identityAddress ?? setting.address,
    block: setting.chain.blocks.latest().height,
    timestamp: new Date(setting.chain.blocks.nowMs()).toISOString(),
    ...(setting.state.delegateTa === undefined ? {} : { delegate_ta: setting.state.delegateTa }),
  };
  return json({ data, signature: setting.sign(Buffer.from(JSON.stringify(data))) });
}

async function models({ setting }: ReadContext): Promise<StaticAnswer> {
  if (setting.state.modelsShape === "units") return json({ models: await chainModels(setting) });
  const served = await setting.engine.models();
  return json({
    object: "list",
    data: served.map((model) => ({
      object: "model",
      id: model.id,
      hugging_face_id: model.id,
      name: model.id.split("/").at(-1),
      created: 1_770_000_000,
      input_modalities: ["text"],
      output_modalities: ["text"],
      context_length: model.contextLengthTokens,
      max_output_length: model.maxOutputTokens,
    })),
  });
}

async function chainModels(setting: NodeSetting): Promise<readonly unknown[]> {
  const served = await setting.engine.models();
  return served.map((model) => ({
    proposed_by: "genesis",
    id: model.id,
    units_of_compute_per_token: "1",
    hf_repo: model.id,
    v_ram: 320,
    throughput_per_nonce: 1_000,
  }));
}

async function pricing({ chain, engine }: NodeSetting, kind: "static" | "dynamic"): Promise<StaticAnswer> {
  const price = Number(chain.params.pricePerTokenNgonka);
  const served = await engine.models();
  return json({
    unit_of_compute_price: price,
    models: served.map(({ id }) => ({
      id,
      units_of_compute_per_token: 1,
      price_per_token: price,
      ...(kind === "dynamic" ? { utilization: 0.25, capacity: 100_000 } : {}),
    })),
    dynamic_pricing_enabled: kind === "dynamic",
  });
}

function oneInference({ setting, query }: ReadContext): StaticAnswer {
  const entry = setting.chain.ledger.find(query.get("id") ?? "");
  if (entry === undefined) return notFound("inference not found");
  return json({
    inference_id: entry.inferenceId,
    status: entry.state.toUpperCase(),
    model: entry.model,
    requested_by: entry.account,
    transferred_by: entry.node,
    escrow_amount: Number(entry.escrowNgonka),
    actual_cost: Number(entry.chargedNgonka),
    start_block_height: entry.startedAtHeight,
  });
}

function route(path: string, answer: ReadRoute["answer"]): ReadRoute {
  return { pattern: new RegExp(`^${path}$`), answer };
}

function params({ setting }: ReadContext): StaticAnswer {
  const given = setting.chain.params;
  if (given.allowListForm === "disabled") return FRONT_ANSWERS["chain-api-disabled"];
  return json({
    params: {
      validation_params: {
        timestamp_expiration: String(given.timestampExpirationSeconds),
        timestamp_advance: String(given.timestampAdvanceSeconds),
      },
      developer_access_params: {
        until_block_height: String(given.developerAccess?.untilBlockHeight ?? 0),
        allowed_developer_addresses: given.developerAccess?.allowed ?? [],
      },
      ...(given.allowListForm === "absent"
        ? {}
        : { transfer_agent_access_params: { allowed_transfer_addresses: given.allowedTransferAgents } }),
    },
  });
}

function balances({ setting, parameters }: ReadContext): StaticAnswer {
  return json(balancesBody(setting.chain.accounts.find(parameters[0] ?? "")?.balanceNgonka));
}

/** @param balance ngonka; undefined for an account that the chain does not have */
export function balancesBody(balance: bigint | undefined): object {
  const held = balance === undefined ? [] : [{ denom: "ngonka", amount: String(balance) }];
  return { balances: held, pagination: { next_key: null, total: String(held.length) } };
}

function authAccount({ setting, parameters }: ReadContext): StaticAnswer {
  const [address = ""] = parameters;
  const found = setting.chain.accounts.find(address);
  if (found === undefined) return grpcNotFound(`account ${address} not found: key not found`);
  const key = found.publicKey?.toString("base64");
  return json({
    account: {
      "@type": "/cosmos.auth.v1beta1.BaseAccount",
      address,
      pub_key: key === undefined ? null : { "@type": "/cosmos.crypto.secp256k1.PubKey", key },
      account_number: "17",
      sequence: key === undefined ? "0" : "1",
    },
  });
}

function inferenceParticipant({ setting, parameters }: ReadContext): StaticAnswer {
  const found = setting.chain.accounts.find(parameters[0] ?? "");
  if (found === undefined) return grpcNotFound("account not found: key not found");
  if (found.publicKey === undefined) return grpcNotFound("account has no public key");
  return json({ pubkey: found.publicKey.toString("base64"), balance: String(found.balanceNgonka) });
}

function participant({ setting, parameters }: ReadContext): StaticAnswer {
  const found = setting.chain.epochs.current()?.participants.find(({ address }) => address === parameters[0]);
  if (found === undefined) return grpcNotFound("not found");
  const { address, inferenceUrl, weight } = found;
  const shown = { index: address, address, weight, inference_url: inferenceUrl, status: "ACTIVE" };
  return json({ participant: shown });
}

function epochInfo({ setting }: ReadContext): StaticAnswer {
  const epoch = setting.chain.epochs.current();
  return json(
    epochInfoBody(setting.chain.blocks.latest().height, epoch?.epochId ?? 0, epoch?.pocStartBlockHeight ?? 0),
  );
}

export function epochInfoBody(height: number, epoch: number, startHeight: number): object {
  return {
    block_height: String(height),
    latest_epoch: { index: String(epoch), poc_start_block_height: String(startHeight) },
  };
}

function epochGroup({ setting }: ReadContext): StaticAnswer {
  const epoch = setting.chain.epochs.current();
  const weights = validationWeights(epoch?.participants ?? []);
  return json({
    epoch_group_data: {
      epoch_index: epochText(epoch),
      epoch_group_id: String(epoch?.epochGroupId ?? 0),
      poc_start_block_height: String(epoch?.pocStartBlockHeight ?? 0),
      validation_weights: weights,
    },
  });
}

export function validationWeights(members: Iterable<{ readonly address: string; readonly weight: number }>): object[] {
  return [...members].map(({ address, weight }) => ({
    member_address: address,
    weight: String(weight),
    reputation: 1,
  }));
}

async function servedModels({ setting }: ReadContext): Promise<StaticAnswer> {
  return json(servedModelsBody((await setting.engine.models()).map(({ id }) => id)));
}

export function servedModelsBody(ids: readonly string[]): object {
  return {
    model: ids.map((id) => ({ id, units_of_compute_per_token: "1" })),
    pagination: { next_key: null, total: String(ids.length) },
  };
}

async function price({ setting, parameters }: ReadContext): Promise<StaticAnswer> {
  const served = await setting.engine.models();
  const found = served.some(({ id }) => id === parameters[0]);
  return json({ price: found ? String(setting.chain.params.pricePerTokenNgonka) : "0", found });
}

async function prices({ setting }: ReadContext): Promise<StaticAnswer> {
  const served = await setting.engine.models();
  const amount = String(setting.chain.params.pricePerTokenNgonka);
  return json({ model_prices: served.map(({ id }) => ({ model_id: id, price: amount })) });
}

function excluded({ setting, parameters }: ReadContext): StaticAnswer {
  const { epochs } = setting.chain;
  const epoch = parameters[0] === "0" ? epochText(epochs.current()) : (parameters[0] ?? "");
  const items = epoch === epochText(epochs.current()) ? epochs.excluded : [];
  return json({
    items: items.map(({ address, reason, atHeight }) => ({
      epoch_index: epoch,
      address,
      reason,
      effective_height: String(atHeight),
    })),
  });
}

function epochText(epoch: { readonly epochId: number } | undefined): string {
  return String(epoch?.epochId ?? 0);
}

function grpcNotFound(message: string): StaticAnswer {
  const body = { code: 5, message: `rpc error: code = NotFound desc = ${message}`, details: [] };
  return { ...json(body), status: 404 };
}

function account({ setting, parameters }: ReadContext): StaticAnswer {
  const { chain } = setting;
  const [address = ""] = parameters;
  if (decodeBech32(address)?.prefix !== chain.prefix) return errorAnswer(400, "invalid address");
  const found = chain.accounts.find(address);
  if (found === undefined) return notFound("account not found");
  if (found.publicKey === undefined) return notFound("account has no public key");
  const balance = Number(found.balanceNgonka);
  return json({ pubkey: found.publicKey.toString("base64"), balance, denom: "ngonka" });
}

function allParticipants({ setting }: ReadContext): StaticAnswer {
  const { chain } = setting;
  const participants = chain.epochs.current()?.participants ?? [];
  return json({
    participants: participants.map(({ address, inferenceUrl, weight }) => ({
      id: address,
      url: inferenceUrl,
      coins_owed: 0,
      refunds_owed: 0,
      balance: 0,
      voting_power: weight,
      reputation: 1,
    })),
    block_height: chain.blocks.latest().height,
  });
}

function participants({ setting, parameters }: ReadContext): StaticAnswer {
  const { chain, state } = setting;
  const [which = ""] = parameters;
  if (which !== "current" && !/^\d+$/.test(which)) return errorAnswer(400, "Invalid epoch id");
  if (which === "0") return errorAnswer(400, "Epoch enumeration starts with 1");
  const epoch = which === "current" ? chain.epochs.current() : chain.epochs.find(Number(which));
  const isNewShape = state.shape === "v0.2.15";
  if (epoch === undefined) {
    return notFound(
      isNewShape
        ? "active participants not found for epoch"
        : "No active participants found for the specified epoch. Looks like PoC failed!",
    );
  }
  const shown = chain.tampering === "previous-epoch" ? (chain.epochs.find(epoch.epochId - 1) ?? epoch) : epoch;
  const excluded = isAtLeast(state.version, 5) ? "with-excluded" : "before-0.2.5";
  return json(participantsResponse(chain, shown, state.shape, excluded), isNewShape ? DEPRECATED : undefined);
}

function latestEpoch({ setting }: ReadContext): StaticAnswer {
  const { chain, state } = setting;
  const epoch = chain.epochs.current();
  if (epoch === undefined) return notFound("epoch not found");
  const body = latestEpochBody(chain.blocks.latest().height, epoch.epochId, epoch.pocStartBlockHeight, state.shape);
  return json(body, state.shape === "restored" ? undefined : DEPRECATED);
}

export function latestEpochBody(height: number, epoch: number, start: number, shape: NetworkState["shape"]): object {
  const body = {
    block_height: height,
    latest_epoch: { index: epoch, poc_start_block_height: start },
    phase: "Inference",
    epoch_stages: stages(epoch, start),
    next_epoch_stages: stages(epoch + 1, start + EPOCH_BLOCKS),
    is_confirmation_poc_active: false,
  };
  if (shape === "restored") return { ...body, epoch_params: epochParams(Number) };
  return { ...body, epoch_params: { epoch_params: epochParams(String) }, active_confirmation_poc_event: null };
}

function stages(epochIndex: number, start: number): object {
  return {
    epoch_index: epochIndex,
    poc_start: start,
    poc_generation_winddown: start + STAGE_BLOCKS,
    poc_generation_end: start + 2 * STAGE_BLOCKS,
    poc_validation_start: start + 2 * STAGE_BLOCKS,
    poc_validation_end: start + 3 * STAGE_BLOCKS,
    set_new_validators: start + 4 * STAGE_BLOCKS,
    next_poc_start: start + EPOCH_BLOCKS,
  };
}

function epochParams(number: (value: number) => unknown): object {
  return { epoch_length: number(EPOCH_BLOCKS), epoch_multiplier: number(1), poc_stage_duration: number(STAGE_BLOCKS) };
}
