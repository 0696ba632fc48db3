import type { StaticAnswer } from "../faults/static-answers.ts";
import { isRetired, type NodeSetting } from "../server/node-setting.ts";
import { json, notFound, type ReadContext, type ReadRoute } from "./read-route.ts";

/** What a node says about itself, its models, prices, and one inference (shared reference 2.1). */
export const nodeRoutes: readonly ReadRoute[] = [
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

const COMMIT = "8a35022b000000000000000000000000000000ff";

function versions({ setting }: ReadContext): StaticAnswer {
  const { version, shape } = setting.state;
  const build = (application_name: string) => ({ application_name, version, commit: COMMIT });
  return json({
    timestamp: new Date(setting.chain.blocks.nowMs()).toISOString(),
    api_version: build("decentralized-api"),
    node_version: build("inferenced"),
    mlnodes: listsModelNodes(version, shape) ? [{ id: "node0", version: "v3.0.8" }] : undefined,
  });
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
