import { asObject, fitsBytes, jsonDepth } from "../json/measure-json.ts";
import type { JsonObject } from "../json/read-value.ts";
import { SCHEMA_REFERENCE_KEYWORDS, type SchemaLimits } from "../network-parameters.ts";
import { compilesInGo } from "./go-pattern.ts";
import { PLAIN_VALUES, SCHEMA_ARMS, SCHEMA_MAPS } from "./keywords.ts";
import { isTypeName } from "./type-names.ts";

/** Bounds of a schema at its place in a request. */
export interface PlacedLimits extends SchemaLimits {
  /** JSON levels the schema may have: the network bounds the whole request at 32, and some are above it. */
  readonly maxJsonDepth: number;
  /** MiniMax' tool parser stumbles over types such as `["string","null"]`. */
  readonly nullUnions: "keep" | "avoid";
}

export interface FittedSchema {
  /** The given one itself when it fits. */
  readonly schema: JsonObject;
  /** What it no longer says: keywords, or words such as `recursion`. References that were put in place are not among them. */
  readonly dropped: readonly string[];
}

/** Whether a schema has to be rebuilt before the network takes it. */
export function hasSchemaProblem(schema: JsonObject, limits: PlacedLimits): boolean {
  const counted = { nodes: 0 };
  return (
    !nodeFits(schema, 1, limits, counted) ||
    jsonDepth(schema, limits.maxJsonDepth + 1) > limits.maxJsonDepth ||
    !fitsBytes(schema, limits.maxBytes)
  );
}

function nodeFits(node: JsonObject, depth: number, limits: PlacedLimits, counted: { nodes: number }): boolean {
  counted.nodes += 1;
  if (depth > limits.maxDepth || counted.nodes > limits.maxNodes) return false;
  if (!keywordsFit(node, limits)) return false;
  for (const [keyword, value] of Object.entries(node)) {
    if (typeof value !== "object" || value === null || PLAIN_VALUES.has(keyword)) continue;
    const children: readonly unknown[] = isMap(keyword) || Array.isArray(value) ? Object.values(value) : [value];
    for (const child of children) {
      const schema = asObject(child);
      if (schema !== undefined && !nodeFits(schema, depth + 1, limits, counted)) return false;
    }
  }
  return true;
}

function isMap(keyword: string): boolean {
  return SCHEMA_MAPS.some((name) => name === keyword);
}

function keywordsFit(node: JsonObject, limits: PlacedLimits): boolean {
  if (SCHEMA_REFERENCE_KEYWORDS.some((keyword) => Object.hasOwn(node, keyword))) return false;
  if (Array.isArray(node.enum) && node.enum.length > limits.maxEnumValues) return false;
  for (const keyword of SCHEMA_ARMS) {
    const arms = node[keyword];
    if (Array.isArray(arms) && (arms.length > limits.maxArms || hasNullArm(arms, limits))) return false;
  }
  if (node.type !== undefined && !typeFits(node.type, limits)) return false;
  return node.pattern === undefined || compilesInGo(node.pattern, limits.maxPatternBytes);
}

function hasNullArm(arms: readonly unknown[], { nullUnions }: PlacedLimits): boolean {
  return nullUnions === "avoid" && arms.some((arm) => asObject(arm)?.type === "null");
}

function typeFits(type: unknown, { nullUnions }: PlacedLimits): boolean {
  if (!Array.isArray(type)) return isTypeName(type);
  return type.every(isTypeName) && !(nullUnions === "avoid" && type.includes("null"));
}
