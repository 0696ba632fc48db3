import type { ProviderConfig } from "../config/provider.ts";
import { CATALOGUE } from "../errors/catalogue.ts";
import { matchModel } from "../protocol/match-model.ts";
import type { Model } from "../protocol/models.ts";
import { findListed } from "../provider/known-model.ts";
import type { Setup } from "../provider/setup.ts";
import type { CheckResult } from "./check.ts";
import { changeField } from "./config-place.ts";
import { passed, warned } from "./results.ts";

type RunnableConfig = Exclude<ProviderConfig, { type: "other" }>;

/**
 * Is the configured model still offered? Ids are compared as the endpoint does: letter case counts (B36), unless a chat
 * has the list in mind and corrects it.
 *
 * @param remembered the list as a chat remembers it
 */
export function judgeModel(
  setup: Setup,
  config: RunnableConfig,
  models: readonly Model[],
  remembered: readonly Model[],
): CheckResult {
  const chatIds = models.filter(({ kind }) => kind === "chat").map(({ id }) => id);
  const { model } = config;
  if (model === undefined) {
    const [first] = chatIds;
    const detail = `no model is configured for ${config.name}; offered: ${someOf(chatIds)}`;
    const change =
      first === undefined ? { hint: CATALOGUE.model_missing.hint } : changeField(setup, config, "model", first);
    return { status: "fail", code: "model_missing", detail, ...change };
  }
  if (models.length === 0) return warned(`the list is empty, so ${model} cannot be compared with it`);
  const match = matchModel(model, chatIds);
  if (match.kind === "exact") return passed(model, { data: { model } });
  const listed = models.find(({ id }) => id === model);
  if (listed !== undefined) return judgeEmbedding(setup, config, listed, chatIds);
  const corrected = findListed(remembered, model)?.id;
  if (corrected !== undefined && chatIds.includes(corrected)) {
    const detail = `${model} is called ${corrected} here; a chat corrects it while it remembers the list`;
    return warned(detail, { data: { model }, ...changeField(setup, config, "model", corrected) });
  }
  const nearest = match.kind === "loose" ? [match.id] : match.nearest;
  const detail =
    match.kind === "loose"
      ? `${model} is called ${match.id} here; letter case counts`
      : `${model} is not offered any more; nearest: ${nearest.join(", ")}`;
  return notOffered(setup, config, detail, nearest);
}

/** A name that looks like an embedding model's is a guess; a list that says so itself is not. */
function judgeEmbedding(
  setup: Setup,
  config: RunnableConfig,
  { id, saysEmbedding }: Model,
  chatIds: readonly string[],
): CheckResult {
  if (saysEmbedding !== true) {
    return warned(`${id} seems to be no chat model`, { hint: "See `zeph models`.", data: { model: id } });
  }
  return notOffered(setup, config, `${id} makes embeddings; for chat there are: ${someOf(chatIds)}`, chatIds);
}

function notOffered(setup: Setup, config: RunnableConfig, detail: string, better: readonly string[]): CheckResult {
  const [best] = better;
  const change =
    best === undefined ? { hint: CATALOGUE.model_not_found.hint } : changeField(setup, config, "model", best);
  const data = { model: config.model, nearest: better.slice(0, 3) };
  return { status: "fail", code: "model_not_found", detail, data, ...change };
}

function someOf(ids: readonly string[]): string {
  return ids.length === 0 ? "none" : `${ids.slice(0, 3).join(", ")}${ids.length > 3 ? " …" : ""}`;
}
