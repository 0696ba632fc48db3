import { errorAnswer } from "../faults/static-answers.ts";
import type { ReadContext, ReadRoute } from "./read-route.ts";

/** What a node says about itself, its models and one inference (shared reference 2.1). */
export const nodeRoutes: readonly ReadRoute[] = [
  { pattern: /^\/v1\/status$/, answer: () => ({ json: { status: "ok" } }) },
  {
    pattern: /^\/v1\/versions$/,
    answer: ({ setting }) => ({ json: versions(setting.state.version, setting.chain.blocks.nowMs()) }),
  },
  { pattern: /^\/v1\/chat\/completions$/, answer: oneInference },
];

function versions(version: string, nowMs: number): unknown {
  const build = (application_name: string) => ({
    application_name,
    version,
    commit: "0000000000000000000000000000000000000000",
  });
  return {
    timestamp: new Date(nowMs).toISOString(),
    api_version: build("decentralized-api"),
    node_version: build("inferenced"),
    mlnodes: [],
  };
}

function oneInference({ setting, query }: ReadContext) {
  const entry = setting.chain.ledger.find(query.get("id") ?? "");
  if (entry === undefined) return errorAnswer(404, "inference not found");
  return {
    json: {
      inference_id: entry.inferenceId,
      status: entry.state.toUpperCase(),
      model: entry.model,
      requested_by: entry.account,
      transferred_by: entry.node,
      escrow_amount: Number(entry.escrowNgonka),
      actual_cost: Number(entry.chargedNgonka),
      start_block_height: entry.startedAtHeight,
    },
  };
}
