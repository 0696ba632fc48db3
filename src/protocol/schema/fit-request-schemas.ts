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
  const text = JSON.stringify(schema);
  const known = verdicts[nullUnions].get(text);
  if (known !== undefined) return known.isUnchanged ? { schema, dropped: [] } : known;
  const maxJsonDepth = NETWORK_LIMITS.maxJsonDepth - ABOVE_PARAMETERS;
  const fitted = fitSchema(schema, { ...NETWORK_LIMITS.toolSchema, maxJsonDepth, nullUnions });
  remember(verdicts[nullUnions], text, fitted.schema === schema ? UNCHANGED : { ...fitted, isUnchanged: false });
  return fitted;
}

/** What became of a schema; nothing of it may be changed in place. */
interface Verdict extends FittedSchema {
  readonly isUnchanged: boolean;
}

const UNCHANGED: Verdict = { isUnchanged: true, schema: {}, dropped: [] };
const MAX_REMEMBERED = 512;
const MAX_REMEMBERED_CHARS = 16_384;

/** Agents send the same tools with every turn, and looking through a schema costs many times what finding it here does. */
const verdicts: Readonly<Record<PlacedLimits["nullUnions"], Map<string, Verdict>>> = {
  keep: new Map(),
  avoid: new Map(),
};

function remember(known: Map<string, Verdict>, text: string, verdict: Verdict): void {
  if (text.length > MAX_REMEMBERED_CHARS) return;
  // The one that came in first goes; tools that are still in use come back with the next turn.
  const [oldest] = known.keys();
  if (known.size >= MAX_REMEMBERED && oldest !== undefined) known.delete(oldest);
  known.set(text, verdict);
}

/** `response_format.json_schema.schema`, as the network takes it. */
export function fitAnswerSchema(schema: FittedSchema["schema"]): FittedSchema {
  const maxJsonDepth = NETWORK_LIMITS.maxJsonDepth - ABOVE_ANSWER;
  return fitSchema(schema, { ...NETWORK_LIMITS.responseSchema, maxJsonDepth, nullUnions: "keep" });
}
