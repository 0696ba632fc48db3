import { optional, readAmount, readBoolean, readObject, readText } from "./json/read-value.ts";

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
