/** What fetch decodes by itself, whatever the letter case (https://fetch.spec.whatwg.org/#handle-content-codings). */
const DECODED: ReadonlySet<string> = new Set(["gzip", "x-gzip", "deflate", "br"]);
/** Words that servers put there although nothing is coded. */
const PLAIN: ReadonlySet<string> = new Set([
  "",
  "identity",
  "none",
  "utf-8",
  "utf8",
  "chunked",
  "binary",
  "7bit",
  "8bit",
]);

/** The codings of a `content-encoding` header, in the order in which they were applied; none for a plain body. */
export function contentCodings(header: string | null): readonly string[] {
  const names = (header ?? "").split(",").map((name) => name.trim().replace(/^"|"$/g, "").toLowerCase());
  return names.filter((name) => !PLAIN.has(name));
}

/**
 * A coding that the body still has after fetch: one that it does not know, or any beside a word that is none, which keeps
 * it from decoding at all. Undefined for a body that can be read.
 */
export function codingLeft(header: string | null): string | undefined {
  const codings = contentCodings(header);
  const unknown = codings.find((name) => !DECODED.has(name));
  if (unknown !== undefined || codings.length === 0) return unknown;
  return codings.length === (header ?? "").split(",").length && !/"/.test(header ?? "") ? undefined : codings[0];
}
