/** Keywords whose value is a map of names to schemas; the map itself counts as nothing. */
export const SCHEMA_MAPS = ["properties", "patternProperties", "dependentSchemas"] as const;

/** Keywords whose value is a list of alternatives, bounded in number. */
export const SCHEMA_ARMS = ["anyOf", "oneOf", "allOf"] as const;

/** Keywords whose value is one schema, or in older drafts a list of them. */
export const SUBSCHEMAS = [
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
export const PLAIN_VALUES: ReadonlySet<string> = new Set([
  "enum",
  "const",
  "default",
  "examples",
  "required",
  "dependentRequired",
]);

/** Keywords that only mean something together with references. */
export const REFERENCE_KEYWORDS: ReadonlySet<string> = new Set([
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

export const CHILD_KEYWORDS: ReadonlySet<string> = new Set([...SCHEMA_MAPS, ...SCHEMA_ARMS, ...SUBSCHEMAS]);
