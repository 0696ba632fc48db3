import { optional, readAmount, readList, readObject, readText, unreadable } from "./json/read-value.ts";

/** A model as a node of the network lists it. */
export interface NodeModel {
  readonly id: string;
  readonly name: string | undefined;
  readonly contextLengthTokens: number | undefined;
  readonly maxOutputTokens: number | undefined;
  /** Empty where the node does not tell. */
  readonly inputModalities: readonly string[];
  readonly outputModalities: readonly string[];
  readonly unitsOfComputePerToken: bigint | undefined;
}

/**
 * Reads `GET /v1/models` of a node, as `{data:[…]}` (v0.2.12 on) or `{models:[…]}` (before), and
 * `GET /v1/governance/models`. A missing list counts as empty. Throws `bad_response`.
 */
export function parseNodeModels(value: unknown): readonly NodeModel[] {
  const root = readObject(value, "models response");
  if (!("data" in root) && !("models" in root)) throw unreadable("models response", "has neither data nor models");
  const place = "data" in root ? "data" : "models";
  return optional(root[place], place, (list, at) => readList(list, at, readModel)) ?? [];
}

function readModel(value: unknown, place: string): NodeModel {
  const model = readObject(value, place);
  const texts = (field: string) =>
    optional(model[field], `${place}.${field}`, (list, at) => readList(list, at, readText)) ?? [];
  const tokens = (field: string) => {
    const count = optional(model[field], `${place}.${field}`, readAmount);
    return count === undefined || count === 0n ? undefined : Number(count);
  };
  return {
    id: readText(model.id, `${place}.id`),
    name: optional(model.name, `${place}.name`, readText),
    contextLengthTokens: tokens("context_length"),
    maxOutputTokens: tokens("max_output_length"),
    inputModalities: texts("input_modalities"),
    outputModalities: texts("output_modalities"),
    unitsOfComputePerToken: optional(
      model.units_of_compute_per_token,
      `${place}.units_of_compute_per_token`,
      readAmount,
    ),
  };
}
