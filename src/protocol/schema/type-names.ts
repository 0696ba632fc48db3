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

export function isTypeName(value: unknown): boolean {
  return TYPES.has(value);
}

/** A `type` the network takes: the value itself when it is one, a translation, or `undefined`. */
export function cleanType(value: unknown, nullUnions: "keep" | "avoid"): unknown {
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
