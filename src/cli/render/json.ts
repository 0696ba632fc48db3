import type { ZephError } from "../../errors/zeph-error.ts";

/** Signs that JSON may hold as they are, and that a terminal obeys or uses to hide text. They stand in strings only. */
const UNESCAPED_CONTROLS = /[\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;

const toEscape = (sign: string) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`;

/**
 * The one object a `--json` command prints: `{ ok: true, data }` or `{ ok: false, error }`, with `notices` where there is
 * something to know besides.
 */
export function renderJson(
  result: { readonly data: unknown } | { readonly error: ZephError },
  notices: readonly string[] = [],
): string {
  const outcome = "error" in result ? { ok: false, error: result.error } : { ok: true, data: result.data };
  const body = notices.length === 0 ? outcome : { ...outcome, notices };
  const text = JSON.stringify(
    body,
    (_key, value: unknown) => (typeof value === "bigint" ? value.toString() : value),
    2,
  );
  return `${text.replace(UNESCAPED_CONTROLS, toEscape)}\n`;
}
