import type { ZephError } from "../../errors/zeph-error.ts";

/** The one object a `--json` command prints: `{ ok: true, data }` or `{ ok: false, error }`. */
export function renderJson(result: { readonly data: unknown } | { readonly error: ZephError }): string {
  const body = "error" in result ? { ok: false, error: result.error } : { ok: true, data: result.data };
  return `${JSON.stringify(body, (_key, value: unknown) => (typeof value === "bigint" ? value.toString() : value), 2)}\n`;
}
