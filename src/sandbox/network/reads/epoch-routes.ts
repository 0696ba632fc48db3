import { errorAnswer, type StaticAnswer } from "../faults/static-answers.ts";
import { isAtLeast } from "../server/node-setting.ts";
import { participantsResponse } from "./participants-response.ts";
import { json, notFound, type ReadContext, type ReadRoute } from "./read-route.ts";

/** Epochs and their participants, in the shape the network is set to (shared reference 2.1 and 2.2). */
export const epochRoutes: readonly ReadRoute[] = [
  { pattern: /^\/v1\/epochs\/latest$/, answer: latestEpoch },
  { pattern: /^\/v1\/epochs\/([^/]+)\/participants$/, answer: participants },
];

/** What v0.2.15 adds to its read endpoints. */
const DEPRECATED = { Deprecation: "true" };

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
  const start = epoch.pocStartBlockHeight;
  const body = {
    block_height: chain.blocks.latest().height,
    latest_epoch: { index: epoch.epochId, poc_start_block_height: start },
    phase: "Inference",
    epoch_stages: stages(epoch.epochId, start),
    next_epoch_stages: stages(epoch.epochId + 1, start + EPOCH_BLOCKS),
  };
  if (state.shape === "restored") {
    return json({ ...body, epoch_params: epochParams(Number), is_confirmation_poc_active: false });
  }
  const none = { is_confirmation_poc_active: false, active_confirmation_poc_event: null };
  return json({ ...body, epoch_params: { epoch_params: epochParams(String) }, ...none }, DEPRECATED);
}

const EPOCH_BLOCKS = 15_391;
const STAGE_BLOCKS = 100;

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
