import { type Model, parseModels } from "../protocol/models.ts";
import type { GonkaFetch } from "./gonka-fetch.ts";
import { readJson } from "./read-json.ts";

/**
 * The models an endpoint offers now. Also the free check of a key: 401 means the key is refused.
 * Throws what the connection's refusal means (`invalid_api_key`, `insufficient_quota`, `unreachable` …).
 */
export async function listModels(gonka: GonkaFetch, signal?: AbortSignal): Promise<readonly Model[]> {
  return parseModels(await readJson(gonka, "/models", signal));
}
