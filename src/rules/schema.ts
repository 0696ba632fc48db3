import { asObject, fitsBytes, type JsonObject, jsonDepth, without } from "../base/json.ts";
import { NETWORK_LIMITS, SCHEMA_REFERENCE_KEYWORDS, type SchemaLimits } from "./parameters.ts";

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
function rebuildSchema(
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

/** The schemas a node stands in, innermost first: a reference to one of them would never end. */
interface OpenSchemas {
  readonly schema: JsonObject;
  readonly outer: OpenSchemas | undefined;
}

interface ResolvedNode {
  readonly node: JsonObject;
  readonly open: OpenSchemas;
}

/** References may lead to references; nobody needs more hops than this. */
const MAX_HOPS = 32;

/** A pointer beyond this is no name in anybody's schema. */
const MAX_POINTER_CHARS = 1024;

/** Fields that may still be copied while one schema is rebuilt: what is kept of a schema has far fewer. */
interface FieldBudget {
  fields: number;
}

/**
 * Follows a node's reference and folds what has only one meaning: `allOf` with one arm, and, where unions with null are
 * to be avoided, what is left of those. A reference back to a schema around it is cut to its type and description.
 */
function resolveNode(
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

/** How much of what is not structure stays: a schema that is too large loses its prose before its meaning. */
type Detail = "full" | "short" | "bare";

const SHORT_DESCRIPTION_CHARS = 120;
const ORNAMENTS: ReadonlySet<string> = new Set(["title", "examples", "default", "deprecated", "readOnly", "writeOnly"]);

/** Told what a schema says in vain: a keyword, or a word for it. */
type OnDrop = (what: string) => void;

/** References whose goal depends on who asks; they are not followed. */
const DYNAMIC_REFERENCES: ReadonlySet<string> = new Set(["$dynamicRef", "$recursiveRef"]);

/** Sets what of a node is not a schema itself, brought into the bounds. `levels` is how deep JSON may still go. */
function cleanKeywords(
  node: JsonObject,
  into: Record<string, unknown>,
  {
    limits,
    detail,
    levels,
    onDrop,
  }: {
    readonly limits: PlacedLimits;
    readonly detail: Detail;
    readonly levels: number;
    readonly onDrop: OnDrop;
  },
): void {
  for (const [keyword, value] of Object.entries(node)) {
    if (DYNAMIC_REFERENCES.has(keyword)) onDrop(keyword);
    if (CHILD_KEYWORDS.has(keyword) || REFERENCE_KEYWORDS.has(keyword)) continue;
    const kept = keywordValue(keyword, value, { limits, detail });
    const isKept = kept !== undefined && jsonDepth(kept, levels + 1) <= levels;
    if (isKept) into[keyword] = kept;
    if (!isKept || isLess(keyword, kept, value)) onDrop(keyword);
  }
}

/** A type in another word is no less, and neither is a list of one. */
function isLess(keyword: string, kept: unknown, given: unknown): boolean {
  if (keyword !== "type") return kept !== given;
  return Array.isArray(given) && new Set(given).size > (Array.isArray(kept) ? kept.length : 1);
}

function keywordValue(
  keyword: string,
  value: unknown,
  { limits, detail }: { readonly limits: PlacedLimits; readonly detail: Detail },
): unknown {
  if (detail !== "full" && ORNAMENTS.has(keyword)) return undefined;
  switch (keyword) {
    case "type":
      return cleanType(value, limits.nullUnions);
    case "pattern":
      return compilesInGo(value, limits.maxPatternBytes) ? value : undefined;
    case "enum":
      // Part of a list would forbid the rest of it; without it the model may still choose rightly.
      return Array.isArray(value) && value.length <= limits.maxEnumValues ? value : undefined;
    case "description":
      return descriptionFor(value, detail);
    case "__proto__":
      return undefined;
    default:
      // The network walks into unknown objects as if they were schemas; they carry nothing a model reads.
      return PLAIN_VALUES.has(keyword) || !holdsObject(value) ? value : undefined;
  }
}

function descriptionFor(value: unknown, detail: Detail): unknown {
  if (typeof value !== "string" || detail === "full") return value;
  return detail === "short" ? value.slice(0, SHORT_DESCRIPTION_CHARS) : undefined;
}

function holdsObject(value: unknown): boolean {
  return Array.isArray(value) ? value.some((each) => asObject(each) !== undefined) : asObject(value) !== undefined;
}

/** Bounds of a schema at its place in a request. */
interface PlacedLimits extends SchemaLimits {
  /** JSON levels the schema may have: the network bounds the whole request at 32, and some are above it. */
  readonly maxJsonDepth: number;
  /** MiniMax' tool parser stumbles over types such as `["string","null"]`. */
  readonly nullUnions: "keep" | "avoid";
}

interface FittedSchema {
  /** The given one itself when it fits. */
  readonly schema: JsonObject;
  /** What it no longer says: keywords, or words such as `recursion`. References that were put in place are not among them. */
  readonly dropped: readonly string[];
}

/** Whether a schema has to be rebuilt before the network takes it. */
function hasSchemaProblem(schema: JsonObject, limits: PlacedLimits): boolean {
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

/** Keywords whose value is a map of names to schemas; the map itself counts as nothing. */
const SCHEMA_MAPS = ["properties", "patternProperties", "dependentSchemas"] as const;

/** Keywords whose value is a list of alternatives, bounded in number. */
const SCHEMA_ARMS = ["anyOf", "oneOf", "allOf"] as const;

/** Keywords whose value is one schema, or in older drafts a list of them. */
const SUBSCHEMAS = [
  "items",
  "prefixItems",
  "additionalItems",
  "additionalProperties",
  "unevaluatedItems",
  "unevaluatedProperties",
  "contains",
  "propertyNames",
  "not",
  "if",
  "then",
  "else",
  "contentSchema",
] as const;

/** Keywords whose value is not a schema, whatever it looks like; the network does not look into them. */
const PLAIN_VALUES: ReadonlySet<string> = new Set([
  "enum",
  "const",
  "default",
  "examples",
  "required",
  "dependentRequired",
]);

/** Keywords that only mean something together with references. */
const REFERENCE_KEYWORDS: ReadonlySet<string> = new Set([
  "$ref",
  "$defs",
  "definitions",
  "$id",
  "$schema",
  "$anchor",
  "$dynamicRef",
  "$dynamicAnchor",
  "$recursiveRef",
  "$recursiveAnchor",
  "$vocabulary",
  "$comment",
]);

const CHILD_KEYWORDS: ReadonlySet<string> = new Set([...SCHEMA_MAPS, ...SCHEMA_ARMS, ...SUBSCHEMAS]);

const TYPES: ReadonlySet<unknown> = new Set(["object", "array", "string", "number", "integer", "boolean", "null"]);

/** Words of Python, Gemini and others for the same seven types. */
const OTHER_WORDS: Readonly<Record<string, string>> = {
  str: "string",
  text: "string",
  int: "integer",
  long: "integer",
  float: "number",
  double: "number",
  decimal: "number",
  bool: "boolean",
  dict: "object",
  map: "object",
  list: "array",
  tuple: "array",
  none: "null",
};

function isTypeName(value: unknown): boolean {
  return TYPES.has(value);
}

/** A `type` the network takes: the value itself when it is one, a translation, or `undefined`. */
function cleanType(value: unknown, nullUnions: "keep" | "avoid"): unknown {
  if (!Array.isArray(value)) return cleanTypeName(value);
  const names = [...new Set(value.map(cleanTypeName).filter((name) => name !== undefined))];
  const kept = nullUnions === "avoid" && names.length > 1 ? names.filter((name) => name !== "null") : names;
  if (kept.length === value.length && kept.every((name, index) => name === value[index])) return value;
  return kept.length > 1 ? kept : kept[0];
}

function cleanTypeName(value: unknown): string | undefined {
  if (typeof value !== "string") return undefined;
  const word = value.toLowerCase();
  const name = OTHER_WORDS[word] ?? word;
  return isTypeName(name) ? name : undefined;
}

/** Escapes that RE2 knows besides punctuation; others, such as \u and back-references, it refuses. */
const ESCAPES =
  /\\(?:[^A-Za-z0-9]|[dDwWsSbBAzaftnrvQEC]|x[0-9A-Fa-f]{2}|x\{[0-9A-Fa-f]{1,6}\}|[pP](?:[A-Z]|\{\^?[A-Za-z_]+\})|0[0-7]{0,2}|[1-7][0-7]{1,2})/g;

/** Look-around, atomic groups, flags, comments: `(?` in any form but plain and named groups. */
const GROUPS = /\(\?(?!:|P?<[A-Za-z_]\w*>)/;

/** RE2 repeats at most a thousand times, and knows no possessive quantifiers and no empty classes. */
const LIMITS = /\{(?:\d*,)?(?!0*1000\})\d{4,}\}|\{(?!0*1000,)\d{4,},\d*\}|[*+?}]\+|\[\^?\]/;

/**
 * Would Go's regular expressions (RE2) take this pattern? Errs towards no: a pattern left out of a schema costs little,
 * one that does not compile costs the whole request. Patterns with flags such as `(?i)` are left out too.
 */
function compilesInGo(pattern: unknown, maxBytes: number): boolean {
  if (typeof pattern !== "string" || !fitsBytes(pattern, maxBytes)) return false;
  const plain = pattern.replace(ESCAPES, "a");
  if (plain.includes("\\") || GROUPS.test(plain) || LIMITS.test(plain)) return false;
  try {
    new RegExp(plain.replaceAll("(?P<", "(?<"));
    return true;
  } catch {
    // The only complaint of the constructor: it does not compile.
    return false;
  }
}
