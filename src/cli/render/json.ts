import type { ZephError } from "../../errors/zeph-error.ts";

/** Signs that JSON may hold as they are, and that a terminal obeys or does not show. They stand in strings only. */
const UNESCAPED_CONTROLS = /[\u007f-\u009f\u2028\u2029\p{Cf}\p{Default_Ignorable_Code_Point}]/gu;

/**
 * The one object a `--json` command prints: `{ ok: true, data }` or `{ ok: false, error }`, with `notices` where there is
 * something to know besides. `data` beside an error is what came before it.
 */
export function renderJson(
  result: { readonly data?: unknown; readonly error?: ZephError },
  notices: readonly string[] = [],
): string {
  const { data, error } = result;
  const outcome = error === undefined ? { ok: true, data } : { ok: false, error, data };
  return `${toSafeJson(notices.length === 0 ? outcome : { ...outcome, notices }, 2)}\n`;
}

/** JSON without a sign that could control a terminal: what is not shown is escaped. Big integers become texts. */
export function toSafeJson(value: unknown, indent?: number): string {
  const text = JSON.stringify(
    value,
    (_key, each: unknown) => (typeof each === "bigint" ? each.toString() : each),
    indent,
  );
  return escapeUnseen(text);
}

/** The same for JSON that is written already. */
export function escapeUnseen(json: string): string {
  return json.replace(UNESCAPED_CONTROLS, (sign) => {
    let escaped = "";
    for (let at = 0; at < sign.length; at += 1) escaped += `\\u${sign.charCodeAt(at).toString(16).padStart(4, "0")}`;
    return escaped;
  });
}
