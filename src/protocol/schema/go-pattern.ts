import { fitsBytes } from "../json/measure-json.ts";

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
export function compilesInGo(pattern: unknown, maxBytes: number): boolean {
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
