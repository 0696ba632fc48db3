import { scrub } from "../internal/redact.ts";

const MAX_NAME_CHARS = 64;
const MAX_CHARS = 1024;

/** Names beyond this are counted and not looked at: no header has room for them. */
const MAX_NAMES = 512;

/** Names of fields made fit for a header and a log: callers choose these names, and may paste a key into one. */
export function shownNames(names: readonly string[]): readonly string[] {
  return names.map((name, index) => (index < MAX_NAMES ? shownName(name) : "…"));
}

function shownName(name: string): string {
  return scrub(name.slice(0, MAX_NAME_CHARS)).replace(/[^\w.[\]-]/g, "?");
}

/** Shown names as one header value. */
export function joinNames(names: readonly string[]): string {
  let shown = "";
  for (const [index, name] of names.entries()) {
    const next = index === 0 ? name : `${shown}, ${name}`;
    if (next.length > MAX_CHARS) return `${shown}, and ${names.length - index} more`;
    shown = next;
  }
  return shown;
}
