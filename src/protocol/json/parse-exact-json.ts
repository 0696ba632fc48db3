import { ZephError } from "../../errors/zeph-error.ts";
import { jsonFault, refuseExcess } from "../../internal/scan-json.ts";

/** A JSON string, or a JSON number. Strings come first so that digits inside them are left alone. */
const TOKEN = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
const LONG_INTEGER = /^-?\d{16,}$/;

/**
 * `JSON.parse` that keeps every digit of integers above 2⁵³: they come out as decimal strings, which every parser of this
 * folder reads like numbers. Nodes write balances and heights as bare numbers. Throws `bad_response`.
 */
export function parseExactJson(text: string): unknown {
  try {
    refuseExcess(text);
    return JSON.parse(text.replace(TOKEN, (token) => (LONG_INTEGER.test(token) ? `"${token}"` : token)));
  } catch (cause) {
    throw new ZephError("bad_response", { detail: `the answer ${jsonFault(cause)}`, cause });
  }
}
