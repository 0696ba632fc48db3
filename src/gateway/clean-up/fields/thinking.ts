import { FORBIDDEN_TEMPLATE_KEYS, NETWORK_LIMITS, REASONING_EFFORTS } from "../../../protocol/network-parameters.ts";
import { asObject, countValues, fitsBytes, jsonDepth, without } from "../json.ts";
import type { FieldRule } from "./numbers.ts";

const EFFORTS: ReadonlySet<unknown> = new Set(REASONING_EFFORTS);

/** The network checks the word and then drops the field; unknown words are refused. */
export const reasoningEffort: FieldRule = (value) => {
  if (EFFORTS.has(value)) return value;
  return value === "max" || value === "maximum" ? "xhigh" : undefined;
};

export const reasoning: FieldRule = (value) => {
  const given = asObject(value);
  if (given === undefined) return undefined;
  if (given.effort === undefined || EFFORTS.has(given.effort)) return value;
  const effort = reasoningEffort(given.effort);
  return effort === undefined ? undefined : { ...given, effort };
};

/** Other servers take a plain switch here. */
export const thinking: FieldRule = (value) => {
  if (typeof value === "boolean") return { type: value ? "enabled" : "disabled" };
  return asObject(value) === undefined ? undefined : value;
};

/** Arguments of the chat template, without those that would take it over. What is too large goes as a whole. */
export const templateArguments: FieldRule = (value) => {
  const given = asObject(value);
  if (given === undefined) return undefined;
  const { maxTemplateDepth, maxTemplateNodes, maxTemplateBytes } = NETWORK_LIMITS;
  const isForbidden = FORBIDDEN_TEMPLATE_KEYS.some((key) => Object.hasOwn(given, key));
  const kept = isForbidden ? without(given, FORBIDDEN_TEMPLATE_KEYS) : given;
  if (Object.keys(kept).length === 0 && isForbidden) return undefined;
  if (jsonDepth(kept, maxTemplateDepth + 1) > maxTemplateDepth) return undefined;
  if (countValues(kept, maxTemplateNodes + 1) > maxTemplateNodes) return undefined;
  return fitsBytes(kept, maxTemplateBytes) ? kept : undefined;
};
