import { stringify } from "smol-toml";
import { isTable, type Table } from "./layer.ts";

/**
 * Signs that TOML allows as they are and that would steer the terminal, or mislead the eyes, of whoever looks at the file.
 * Only strings can hold them, and strings are rendered with escapes.
 */
const HIDDEN_SIGNS = /[\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;

/** `key = value` on one line; tables inside become inline tables. */
export function renderField(key: string, value: unknown): string {
  return `${renderKey(key)} = ${renderValue(value)}`;
}

/** A whole `[[element]]`, arrays of tables below it as `[[element.key]]`. Without a line break at the end. */
export function renderElement(path: readonly string[], values: Table, newline: string): string {
  const present = Object.entries(values).filter(([, value]) => value !== undefined);
  const fields = present.filter(([, value]) => !isListOfTables(value)).map(([key, value]) => renderField(key, value));
  const lists = present.flatMap(([key, value]) => (isListOfTables(value) ? [[key, value] as const] : []));
  const below = lists.flatMap(([key, list]) =>
    list.map((item) => `${newline}${renderElement([...path, key], item, newline)}`),
  );
  return [`[[${path.map(renderKey).join(".")}]]`, ...fields, ...below].join(newline);
}

export function isListOfTables(value: unknown): value is readonly Table[] {
  return Array.isArray(value) && value.length > 0 && value.every(isTable);
}

export function renderValue(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(renderValue).join(", ")}]`;
  if (isTable(value)) {
    const fields = Object.entries(value).filter(([, inner]) => inner !== undefined);
    return fields.length === 0 ? "{}" : `{ ${fields.map(([key, inner]) => renderField(key, inner)).join(", ")} }`;
  }
  return stringify({ value })
    .replace(/^value = /, "")
    .trimEnd()
    .replace(HIDDEN_SIGNS, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

function renderKey(key: string): string {
  return /^[A-Za-z0-9_-]+$/.test(key) ? key : JSON.stringify(key);
}
