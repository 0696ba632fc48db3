import { asObject, without } from "../json/measure-json.ts";
import type { JsonObject } from "../json/read-value.ts";
import type { OnDrop } from "./clean-keywords.ts";
import { SCHEMA_ARMS } from "./keywords.ts";

/** The schemas a node stands in, innermost first: a reference to one of them would never end. */
export interface OpenSchemas {
  readonly schema: JsonObject;
  readonly outer: OpenSchemas | undefined;
}

export interface ResolvedNode {
  readonly node: JsonObject;
  readonly open: OpenSchemas;
}

/** References may lead to references; nobody needs more hops than this. */
const MAX_HOPS = 32;
/** A pointer beyond this is no name in anybody's schema. */
const MAX_POINTER_CHARS = 1024;

/** Fields that may still be copied while one schema is rebuilt: what is kept of a schema has far fewer. */
export interface FieldBudget {
  fields: number;
}

/**
 * Follows a node's reference and folds what has only one meaning: `allOf` with one arm, and, where unions with null are
 * to be avoided, what is left of those. A reference back to a schema around it is cut to its type and description.
 */
export function resolveNode(
  source: JsonObject,
  outer: OpenSchemas | undefined,
  {
    root,
    nullUnions,
    budget,
    onDrop,
  }: {
    readonly root: JsonObject;
    readonly nullUnions: "keep" | "avoid";
    readonly budget: FieldBudget;
    readonly onDrop: OnDrop;
  },
): ResolvedNode {
  let node = source;
  let open: OpenSchemas = { schema: source, outer };
  for (let hop = 0; hop < MAX_HOPS && budget.fields > 0; hop += 1) {
    budget.fields -= sizeOf(node);
    if (Object.hasOwn(node, "$ref")) {
      const target = findTarget(root, node.$ref);
      const siblings = without(node, ["$ref"]);
      if (target === undefined) {
        onDrop("a reference that leads nowhere");
        return { node: siblings, open };
      }
      if (isOpen(target, open)) {
        onDrop("recursion");
        return { node: { ...leafOf(target), ...siblings }, open };
      }
      node = merge(target, siblings);
      open = { schema: target, outer: open };
      continue;
    }
    const folded = foldArms(node, nullUnions, onDrop);
    if (folded === node) return { node, open };
    node = folded;
  }
  onDrop("a chain of references");
  return { node: leafOf(node), open };
}

/** Fields, and entries of the lists and maps that are copied together with them. */
function sizeOf(node: JsonObject): number {
  let size = 0;
  for (const name in node) size += Array.isArray(node[name]) ? node[name].length + 1 : 1;
  return size + Object.keys(asObject(node.properties) ?? {}).length;
}

function isOpen(schema: JsonObject, open: OpenSchemas): boolean {
  for (let at: OpenSchemas | undefined = open; at !== undefined; at = at.outer) if (at.schema === schema) return true;
  return false;
}

/** What is kept of a schema where its inside would never end. */
function leafOf({ type, description }: JsonObject): JsonObject {
  return { ...(type === undefined ? {} : { type }), ...(description === undefined ? {} : { description }) };
}

/** Looks up `#`, `#/$defs/Name` and any other JSON pointer. What is not in the document cannot be fetched here. */
function findTarget(root: JsonObject, reference: unknown): JsonObject | undefined {
  if (typeof reference !== "string" || !reference.startsWith("#")) return undefined;
  const pointer = reference.slice(1);
  if (pointer === "") return root;
  if (!pointer.startsWith("/") || pointer.length > MAX_POINTER_CHARS) return undefined;
  let at: unknown = root;
  for (const step of pointer.slice(1).split("/")) {
    if (typeof at !== "object" || at === null) return undefined;
    const name = unescapeStep(step);
    at = Object.hasOwn(at, name) ? Reflect.get(at, name) : undefined;
  }
  return asObject(at);
}

function unescapeStep(step: string): string {
  const name = step.replaceAll("~1", "/").replaceAll("~0", "~");
  try {
    return decodeURIComponent(name);
  } catch {
    // A name with a stray % means itself.
    return name;
  }
}

/** Two schemas that both hold, the second one's words winning. */
function merge(base: JsonObject, more: JsonObject): JsonObject {
  const merged: Record<string, unknown> = { ...base, ...more };
  const properties = [base.properties, more.properties].map(asObject);
  if (properties.every((map) => map !== undefined)) merged.properties = { ...properties[0], ...properties[1] };
  if (Array.isArray(base.required) && Array.isArray(more.required)) {
    merged.required = [...new Set([...base.required, ...more.required])];
  }
  return merged;
}

function foldArms(node: JsonObject, nullUnions: "keep" | "avoid", onDrop: OnDrop): JsonObject {
  for (const keyword of SCHEMA_ARMS) {
    const arms = node[keyword];
    if (!Array.isArray(arms)) continue;
    const mayDropNull = nullUnions === "avoid" && keyword !== "allOf";
    const kept = mayDropNull ? arms.filter((arm) => asObject(arm)?.type !== "null") : arms;
    if (kept.length < arms.length) onDrop("null");
    const only = kept.length === 1 ? asObject(kept[0]) : undefined;
    if (only !== undefined && (keyword === "allOf" || mayDropNull)) return merge(only, without(node, [keyword]));
    if (kept.length < arms.length) return kept.length === 0 ? without(node, [keyword]) : { ...node, [keyword]: kept };
  }
  return node;
}
