import { asObject } from "../json/measure-json.ts";
import { NETWORK_LIMITS } from "../network-parameters.ts";
import { fitSchema } from "./fit-schema.ts";
import type { FittedSchema, PlacedLimits } from "./schema-problem.ts";

/** JSON levels above a tool's parameters: request, tools, tool, function. */
const ABOVE_PARAMETERS = 4;
/** JSON levels above the schema of an answer: request, response_format, json_schema. */
const ABOVE_ANSWER = 3;

/** Whether a model's types may have null beside others: MiniMax' tool parser stumbles over `["string","null"]`. */
export function nullUnionsFor(model: string): PlacedLimits["nullUnions"] {
  return /minimax/i.test(model) ? "avoid" : "keep";
}

/** `function.parameters` of a tool, as the network takes them; what is no schema object becomes one without parameters. */
export function fitToolParameters(parameters: unknown, nullUnions: PlacedLimits["nullUnions"]): FittedSchema {
  const schema = asObject(parameters);
  if (schema === undefined) return { schema: { type: "object", properties: {} }, dropped: [] };
  const maxJsonDepth = NETWORK_LIMITS.maxJsonDepth - ABOVE_PARAMETERS;
  return fitSchema(schema, { ...NETWORK_LIMITS.toolSchema, maxJsonDepth, nullUnions });
}

/** `response_format.json_schema.schema`, as the network takes it. */
export function fitAnswerSchema(schema: FittedSchema["schema"]): FittedSchema {
  const maxJsonDepth = NETWORK_LIMITS.maxJsonDepth - ABOVE_ANSWER;
  return fitSchema(schema, { ...NETWORK_LIMITS.responseSchema, maxJsonDepth, nullUnions: "keep" });
}
