import type { ZephError } from "../../errors/zeph-error.ts";
import { readBoundedText } from "../../internal/read-bounded.ts";
import { parseForeignJson } from "../../internal/scan-json.ts";
import { normalizeBaseURL } from "../../protocol/endpoint.ts";
import { parseModels } from "../../protocol/models.ts";
import type { FetchFunction } from "../../transport/fetch-function.ts";
import type { CheckResult } from "../check.ts";
import { changeField } from "../config-place.ts";
import { failed } from "../results.ts";
import type { BrokerSighting } from "./broker-sighting.ts";

const MAX_LIST_BYTES = 16 * 1024 * 1024;
/** Where APIs usually lie below a host. */
const USUAL_PATHS = ["/v1", "/api/v1"] as const;

/**
 * A wrong address, with the right one where it can be found: the broker's known one, or a usual path on the same host.
 * Asked without the key: a place that is only guessed must not get it.
 */
export async function findBaseURL(
  sighting: BrokerSighting,
  error: ZephError,
  signal: AbortSignal,
): Promise<CheckResult> {
  const { config, broker, setup } = sighting;
  const used = normalizeBaseURL(config.baseURL);
  const guesses = [broker?.baseURL, ...USUAL_PATHS.map((path) => new URL(path, used).href)]
    .filter((guess) => guess !== undefined)
    .map(normalizeBaseURL)
    .filter((guess) => guess !== used);
  for (const guess of new Set(guesses)) {
    if (!(await looksLikeApi(setup.world.fetch, guess, signal))) continue;
    const data = { base_url: used, suggested: guess };
    return { ...failed(error), ...changeField(setup, config, "base_url", guess), data };
  }
  return failed(error, { data: { base_url: used } });
}

/** An API answers with a list, or says in JSON that a key is missing; a web server answers with a page. */
async function looksLikeApi(fetch: FetchFunction, baseURL: string, signal: AbortSignal): Promise<boolean> {
  try {
    const response = await fetch(`${baseURL}/models`, { redirect: "manual", signal });
    const json: unknown = parseForeignJson(await readBoundedText(response.body, MAX_LIST_BYTES));
    if (response.status === 401 || response.status === 403) return typeof json === "object" && json !== null;
    return response.ok && parseModels(json).length >= 0;
  } catch (thrown) {
    if (signal.aborted) throw thrown;
    // No answer, no JSON, no list: not the place.
    return false;
  }
}
