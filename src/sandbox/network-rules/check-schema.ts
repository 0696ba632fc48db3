import { SCHEMA_REFERENCE_KEYWORDS, type SchemaLimits } from "../../protocol/network-parameters.ts";
import { asObject, byteLength, type JsonObject } from "./as-object.ts";

const TYPES: ReadonlySet<unknown> = new Set(["object", "array", "string", "number", "integer", "boolean", "null"]);
/** Keywords whose value is a map of names to schemas; the map itself counts as nothing. */
const SCHEMA_MAPS = ["properties", "patternProperties", "dependentSchemas"] as const;
const SCHEMA_ARMS = ["anyOf", "oneOf", "allOf"] as const;
/** Keywords whose value is not a schema and is not walked. */
const PLAIN_VALUES: ReadonlySet<string> = new Set([
  "enum",
  "const",
  "default",
  "examples",
  "required",
  "dependentRequired",
  ...SCHEMA_MAPS,
]);
/** Go's regular expressions know neither look-around nor back-references. */
const NOT_IN_GO = /\(\?<?[=!]|\\[1-9]|\\k</;

/** What the network has against a JSON schema, in its words, or nothing. */
export function checkSchema(schema: unknown, limits: SchemaLimits): string | undefined {
  const root = asObject(schema);
  if (root === undefined) return "schema must be an object";
  if (byteLength(root) > limits.maxBytes) return `serialized size exceeded: limit ${limits.maxBytes}`;
  const counted = { nodes: 0 };
  return checkNode(root, 1, limits, counted);
}

function checkNode(
  node: JsonObject,
  depth: number,
  limits: SchemaLimits,
  counted: { nodes: number },
): string | undefined {
  counted.nodes += 1;
  if (depth > limits.maxDepth) return `nesting depth exceeded: limit ${limits.maxDepth}`;
  if (counted.nodes > limits.maxNodes) return `node count exceeded: limit ${limits.maxNodes}`;
  const problem = checkKeywords(node, limits);
  if (problem !== undefined) return problem;
  for (const child of children(node)) {
    const found = checkNode(child, depth + 1, limits, counted);
    if (found !== undefined) return found;
  }
  return undefined;
}

function checkKeywords(node: JsonObject, limits: SchemaLimits): string | undefined {
  const reference = SCHEMA_REFERENCE_KEYWORDS.find((keyword) => keyword in node);
  if (reference !== undefined) return `schema reference keyword is forbidden: ${reference}`;
  if (Array.isArray(node.enum) && node.enum.length > limits.maxEnumValues) {
    return `enum size exceeded: limit ${limits.maxEnumValues}`;
  }
  for (const keyword of SCHEMA_ARMS) {
    const arms = node[keyword];
    if (Array.isArray(arms) && arms.length > limits.maxArms) {
      return `schema branch arms exceeded: limit ${limits.maxArms}`;
    }
  }
  const types = Array.isArray(node.type) ? node.type : node.type === undefined ? [] : [node.type];
  if (!types.every((type) => TYPES.has(type))) return "type is not a JSON Schema type";
  return checkPattern(node.pattern, limits);
}

function checkPattern(pattern: unknown, limits: SchemaLimits): string | undefined {
  if (pattern === undefined) return undefined;
  if (typeof pattern !== "string") return "pattern must be a string";
  if (byteLength(pattern) > limits.maxPatternBytes) return `pattern size exceeded: limit ${limits.maxPatternBytes}`;
  try {
    new RegExp(pattern.replaceAll("(?P<", "(?<"));
  } catch {
    return "pattern does not compile";
  }
  return NOT_IN_GO.test(pattern) ? "pattern does not compile" : undefined;
}

function children(node: JsonObject): readonly JsonObject[] {
  const found: unknown[] = SCHEMA_MAPS.flatMap((keyword) => Object.values(asObject(node[keyword]) ?? {}));
  for (const [keyword, value] of Object.entries(node)) {
    if (PLAIN_VALUES.has(keyword)) continue;
    found.push(...(Array.isArray(value) ? value : [value]));
  }
  return found.map(asObject).filter((child) => child !== undefined);
}
