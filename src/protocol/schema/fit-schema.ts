import { fitsBytes } from "../json/measure-json.ts";
import type { JsonObject } from "../json/read-value.ts";
import type { Detail } from "./clean-keywords.ts";
import { rebuildSchema } from "./rebuild-schema.ts";
import { type FittedSchema, hasSchemaProblem, type PlacedLimits } from "./schema-problem.ts";

/** What is given up, step by step, until the schema is small enough. */
const STEPS: readonly { readonly detail: Detail; readonly maxDepth: number }[] = [
  { detail: "full", maxDepth: 16 },
  { detail: "short", maxDepth: 16 },
  { detail: "bare", maxDepth: 16 },
  { detail: "bare", maxDepth: 8 },
  { detail: "bare", maxDepth: 5 },
  { detail: "bare", maxDepth: 3 },
  { detail: "bare", maxDepth: 2 },
];

/** Three steps for 256 nodes with eight fields each, every one behind a reference, need less; what lies deepest goes first. */
const MAX_COPIED_FIELDS = 16_384;

/**
 * A schema the network takes: the given one when it fits, else one with references put in place, recursion cut, and
 * what exceeds the bounds left out.
 */
export function fitSchema(schema: JsonObject, limits: PlacedLimits): FittedSchema {
  if (!hasSchemaProblem(schema, limits)) return { schema, dropped: [] };
  const budget = { fields: MAX_COPIED_FIELDS };
  for (const { detail, maxDepth } of STEPS) {
    const rebuilt = rebuildSchema(schema, { limits, detail, maxDepth: Math.min(maxDepth, limits.maxDepth), budget });
    if (fitsBytes(rebuilt.schema, limits.maxBytes)) return rebuilt;
  }
  return { schema: { type: "object" }, dropped: ["all but its type"] };
}
