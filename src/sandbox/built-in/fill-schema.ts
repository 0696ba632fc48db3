import { gist } from "./reply-text.ts";

type Schema = Readonly<Record<string, unknown>>;

const MAX_DEPTH = 12;

/** A value that fits a JSON schema, taken from `text` where something in it fits. Deterministic. */
export function fillSchema(schema: unknown, text: string): unknown {
  return fill(asSchema(schema), text, "", 0);
}

function asSchema(value: unknown): Schema {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Schema) : {};
}

function fill(schema: Schema, text: string, name: string, depth: number): unknown {
  if (depth > MAX_DEPTH) return null;
  if ("const" in schema) return schema.const;
  if (Array.isArray(schema.enum)) return chooseEnum(schema.enum, text);
  for (const keyword of ["anyOf", "oneOf"]) {
    const arms = schema[keyword];
    if (Array.isArray(arms)) return fill(chooseArm(arms), text, name, depth + 1);
  }
  if (Array.isArray(schema.allOf)) {
    return fill(Object.assign({}, ...schema.allOf.map(asSchema)), text, name, depth + 1);
  }
  switch (typeOf(schema)) {
    case "object":
      return fillObject(schema, text, depth);
    case "array":
      return fillArray(schema, text, name, depth);
    case "integer":
      return Math.round(fillNumber(schema, text));
    case "number":
      return fillNumber(schema, text);
    case "boolean":
      return schema.default ?? !RISKY.test(name);
    case "null":
      return null;
    default:
      return fillString(schema, text, name);
  }
}

/** Switches that nobody means who did not say so. */
const RISKY = /background|dangerous|force|overwrite|recursive/i;

function typeOf(schema: Schema): unknown {
  if (Array.isArray(schema.type)) return schema.type.find((type) => type !== "null") ?? "null";
  if (schema.type !== undefined) return schema.type;
  if (schema.properties !== undefined) return "object";
  return schema.items === undefined ? "string" : "array";
}

function chooseEnum(values: readonly unknown[], text: string): unknown {
  const lower = text.toLowerCase();
  return values.find((value) => typeof value === "string" && lower.includes(value.toLowerCase())) ?? values[0];
}

function chooseArm(arms: readonly unknown[]): Schema {
  return asSchema(arms.find((arm) => asSchema(arm).type !== "null") ?? arms[0]);
}

function fillObject(schema: Schema, text: string, depth: number): Record<string, unknown> {
  const properties = asSchema(schema.properties);
  const required = Array.isArray(schema.required) ? schema.required : Object.keys(properties);
  const filled: Record<string, unknown> = {};
  for (const [name, property] of Object.entries(properties)) {
    if (required.includes(name) || isMentioned(asSchema(property), text)) {
      filled[name] = fill(asSchema(property), text, name, depth + 1);
    }
  }
  return filled;
}

/** An optional property is filled only when the text has a value for it. */
function isMentioned(schema: Schema, text: string): boolean {
  const lower = text.toLowerCase();
  return (
    Array.isArray(schema.enum) &&
    schema.enum.some((value) => typeof value === "string" && lower.includes(value.toLowerCase()))
  );
}

function fillArray(schema: Schema, text: string, name: string, depth: number): unknown[] {
  const length = typeof schema.minItems === "number" ? Math.min(Math.max(schema.minItems, 1), 16) : 1;
  return Array.from({ length }, () => fill(asSchema(schema.items), text, name, depth + 1));
}

function fillNumber(schema: Schema, text: string): number {
  const minimum = typeof schema.minimum === "number" ? schema.minimum : Number.NEGATIVE_INFINITY;
  const maximum = typeof schema.maximum === "number" ? schema.maximum : Number.POSITIVE_INFINITY;
  const found = Number(/-?\d+(?:\.\d+)?/.exec(text)?.[0] ?? 1);
  return Math.min(Math.max(found, minimum), maximum);
}

const FORMATS: Readonly<Record<string, string>> = {
  date: "2026-01-01",
  "date-time": "2026-01-01T00:00:00Z",
  email: "someone@example.com",
  uri: "https://example.com/",
  uuid: "00000000-0000-4000-8000-000000000000",
};

function fillString(schema: Schema, text: string, name: string): string {
  const format = typeof schema.format === "string" ? FORMATS[schema.format] : undefined;
  if (format !== undefined) return format;
  const found = findByName(name, text) ?? /["“'`]([^"”'`]+)["”'`]/.exec(text)?.[1] ?? gist(text);
  const maximum = typeof schema.maxLength === "number" ? schema.maxLength : found.length;
  const minimum = typeof schema.minLength === "number" ? schema.minLength : 0;
  return found.slice(0, maximum).padEnd(minimum, ".");
}

/** Things that can be recognised in a sentence by the name of what is wanted. */
function findByName(name: string, text: string): string | undefined {
  if (/city|location|place|town|country|destination/i.test(name)) {
    return /\b(?:in|at|for|near|of|from|to)\s+(\p{Lu}[\p{L}'-]*(?:\s+\p{Lu}[\p{L}'-]*)*)/u.exec(text)?.[1];
  }
  if (/url|uri|link/i.test(name)) return /https?:\/\/[^\s"'<>]+/.exec(text)?.[0];
  if (/^(?:cmd|command|script)s?$/i.test(name)) return /`([^`]+)`/.exec(text)?.[1];
  if (/path|file/i.test(name)) return /(?:[\w.~-]*\/)*[\w-]+\.\w+|(?:[\w.~-]+)?\/[\w./-]+/.exec(text)?.[0];
  return undefined;
}
