import { ZephError } from "../errors/zeph-error.ts";
import { readBoundedText } from "../internal/read-bounded.ts";
import { jsonFault, parseForeignJson } from "../internal/scan-json.ts";
import { errorBehind } from "../transport/give-up.ts";
import type { GonkaFetch } from "./gonka-fetch.ts";

const MAX_JSON_BYTES = 16 * 1024 * 1024;

/** Reads one JSON document below a connection's base URL. A refusal is thrown as the `ZephError` the loop named. */
export async function readJson(gonka: GonkaFetch, path: string, signal?: AbortSignal): Promise<unknown> {
  const response = await gonka(gonka.baseURL + path, signal === undefined ? {} : { signal });
  const text = await readBoundedText(response.body, MAX_JSON_BYTES);
  if (!response.ok) throw errorBehind(response) ?? new ZephError("bad_response", { status: response.status });
  try {
    return parseForeignJson(text);
  } catch (cause) {
    throw new ZephError("bad_response", { detail: `${path} ${jsonFault(cause)}`, cause });
  }
}
