import { asObject } from "../json/measure-json.ts";
import type { JsonObject } from "../json/read-value.ts";
import { cleanKeywords, type Detail, type OnDrop } from "./clean-keywords.ts";
import { SCHEMA_ARMS, SCHEMA_MAPS, SUBSCHEMAS } from "./keywords.ts";
import { type FieldBudget, type OpenSchemas, resolveNode } from "./resolve-node.ts";
import type { FittedSchema, PlacedLimits } from "./schema-problem.ts";

/** A schema of the original and its counterpart that is being built. */
interface Slot {
  readonly source: JsonObject;
  readonly into: Record<string, unknown>;
  readonly depth: number;
  /** JSON levels above, this one included. */
  readonly level: number;
  readonly open: OpenSchemas | undefined;
}

/**
 * The same schema without references and within the bounds. Built level by level, so that what is cut when there are too
 * many nodes is what lies deepest; and from the top, so that references to references cost no more than the nodes that
 * are kept. What is cut leaves a schema that allows more, never one that forbids what was allowed.
 */
export function rebuildSchema(
  root: JsonObject,
  {
    limits,
    detail,
    maxDepth,
    budget,
  }: {
    readonly limits: PlacedLimits;
    readonly detail: Detail;
    readonly maxDepth: number;
    readonly budget: FieldBudget;
  },
): FittedSchema {
  const result: Record<string, unknown> = {};
  const dropped = new Set<string>();
  const onDrop: OnDrop = (what) => dropped.add(what);
  const queue: Slot[] = [{ source: root, into: result, depth: 1, level: 1, open: undefined }];
  let nodes = 1;
  const hasRoom = (slot: Slot, levels: number, count = 1) =>
    slot.depth < maxDepth &&
    slot.level + levels <= limits.maxJsonDepth &&
    nodes + count <= limits.maxNodes &&
    budget.fields > 0;

  function child(slot: Slot, source: JsonObject, levels: number, open: OpenSchemas): JsonObject {
    const into: Record<string, unknown> = {};
    nodes += 1;
    queue.push({ source, into, depth: slot.depth + 1, level: slot.level + levels, open });
    return into;
  }
  /** A schema as a child; `true` and `false` are schemas too, and count as nothing. */
  function place(slot: Slot, value: unknown, levels: number, open: OpenSchemas): unknown {
    const schema = asObject(value);
    if (schema !== undefined) return child(slot, schema, levels, open);
    return typeof value === "boolean" ? value : undefined;
  }
  function addMap(slot: Slot, keyword: string, map: JsonObject, open: OpenSchemas): void {
    const kept: Record<string, unknown> = {};
    let isCut = false;
    for (const [name, value] of Object.entries(map)) {
      if (!hasRoom(slot, 2)) {
        isCut = true;
        break;
      }
      const placed = place(slot, value, 2, open);
      if (placed !== undefined) Object.defineProperty(kept, name, { ...OWN, value: placed });
    }
    if (Object.keys(kept).length > 0 || !isCut) slot.into[keyword] = kept;
    if (isCut) onDrop(keyword);
    if (isCut && keyword === "properties") forgetProperties(slot.into, kept);
  }
  function addList(slot: Slot, keyword: string, list: readonly unknown[], open: OpenSchemas): void {
    if (list.length === 0) return;
    if (hasRoom(slot, 2, list.length)) slot.into[keyword] = list.map((each) => place(slot, each, 2, open) ?? {});
    else onDrop(keyword);
  }
  function expand(slot: Slot): void {
    const { node, open } = resolveNode(slot.source, slot.open, { root, nullUnions: limits.nullUnions, budget, onDrop });
    cleanKeywords(node, slot.into, { limits, detail, levels: limits.maxJsonDepth - slot.level, onDrop });
    for (const keyword of SUBSCHEMAS) {
      const value = node[keyword];
      if (Array.isArray(value)) addList(slot, keyword, value, open);
      else if (typeof value === "boolean") slot.into[keyword] = value;
      else if (asObject(value) === undefined) continue;
      else if (hasRoom(slot, 1)) slot.into[keyword] = place(slot, value, 1, open);
      else onDrop(keyword);
    }
    for (const keyword of SCHEMA_ARMS) {
      const arms = node[keyword];
      if (!Array.isArray(arms)) continue;
      if (arms.length > limits.maxArms) onDrop(keyword);
      addList(slot, keyword, arms.slice(0, limits.maxArms), open);
    }
    for (const keyword of SCHEMA_MAPS) {
      const map = asObject(node[keyword]);
      if (map !== undefined) addMap(slot, keyword, map, open);
    }
  }
  for (const slot of queue) expand(slot);
  return { schema: result, dropped: [...dropped] };
}

const OWN = { enumerable: true, configurable: true, writable: true } as const;

/** Properties that are no longer described must stay allowed, and can no longer be asked for. */
function forgetProperties(into: Record<string, unknown>, kept: JsonObject): void {
  delete into.additionalProperties;
  delete into.unevaluatedProperties;
  if (!Array.isArray(into.required)) return;
  into.required = into.required.filter((name) => typeof name === "string" && Object.hasOwn(kept, name));
}
