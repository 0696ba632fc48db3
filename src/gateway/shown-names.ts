const MAX_CHARS = 1024;

/** Names of fields as one header value: callers choose these names, so nothing else than a name gets through. */
export function shownNames(names: readonly string[]): string {
  const safe = names.map((name) => name.slice(0, 64).replace(/[^\w.[\]-]/g, "?"));
  let shown = "";
  for (const [index, name] of safe.entries()) {
    const next = index === 0 ? name : `${shown}, ${name}`;
    if (next.length > MAX_CHARS) return `${shown}, and ${names.length - index} more`;
    shown = next;
  }
  return shown;
}
