import { FRONT_ANSWERS, type StaticAnswer } from "../faults/static-answers.ts";
import { json, type ReadContext, type ReadRoute } from "./read-route.ts";

const INFERENCE = "/chain-api/productscience/inference/inference";

function route(path: string, answer: ReadRoute["answer"]): ReadRoute {
  return { pattern: new RegExp(`^${path}$`), answer };
}

/** The chain's REST interface behind `/chain-api`: every 64-bit number is text (shared reference 2.1). */
export const chainApiRoutes: readonly ReadRoute[] = [
  route(`${INFERENCE}/params`, params),
  route("/chain-api/cosmos/bank/v1beta1/balances/([^/]+)", balances),
  route("/chain-api/cosmos/auth/v1beta1/accounts/([^/]+)", authAccount),
  route(`${INFERENCE}/inference_participant/([^/]+)`, inferenceParticipant),
  route(`${INFERENCE}/participant/([^/]+)`, participant),
  route(`${INFERENCE}/get_current_epoch`, ({ setting }) => json({ epoch: epochText(setting.chain.epochs.current()) })),
  route(`${INFERENCE}/epoch_info`, epochInfo),
  route(`${INFERENCE}/current_epoch_group_data`, epochGroup),
  route(`${INFERENCE}/models_all`, models),
  route(`${INFERENCE}/model_per_token_price/([^/]+)`, price),
  route(`${INFERENCE}/all_model_per_token_prices`, prices),
  route(`${INFERENCE}/excluded_participants/(\\d+)`, excluded),
  route(`${INFERENCE}/grantees_by_message_type/([^/]+)/([^/]+)`, () => json({ grantees: [] })),
];

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
  const found = setting.chain.accounts.find(parameters[0] ?? "");
  const held = found === undefined ? [] : [{ denom: "ngonka", amount: String(found.balanceNgonka) }];
  return json({ balances: held, pagination: { next_key: null, total: String(held.length) } });
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
  return json({
    block_height: String(setting.chain.blocks.latest().height),
    latest_epoch: { index: epochText(epoch), poc_start_block_height: String(epoch?.pocStartBlockHeight ?? 0) },
  });
}

function epochGroup({ setting }: ReadContext): StaticAnswer {
  const epoch = setting.chain.epochs.current();
  const weights = (epoch?.participants ?? []).map(({ address, weight }) => ({
    member_address: address,
    weight: String(weight),
    reputation: 1,
  }));
  return json({
    epoch_group_data: {
      epoch_index: epochText(epoch),
      epoch_group_id: String(epoch?.epochGroupId ?? 0),
      poc_start_block_height: String(epoch?.pocStartBlockHeight ?? 0),
      validation_weights: weights,
    },
  });
}

async function models({ setting }: ReadContext): Promise<StaticAnswer> {
  const served = await setting.engine.models();
  return json({
    model: served.map(({ id }) => ({ id, units_of_compute_per_token: "1" })),
    pagination: { next_key: null, total: String(served.length) },
  });
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
